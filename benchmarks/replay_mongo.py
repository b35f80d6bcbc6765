"""A MongoDB server that costs next to nothing: it asks a real one once, and answers again from memory.

    python -m benchmarks.replay_mongo --uri mongodb://127.0.0.1:27017 [--port 0]     serve until interrupted
    python -m benchmarks.replay_mongo --uri … --speed SITE.COLLECTION                print the MB/s that it serves

Readers connect to it without user and password; it connects as its URI says. A request that it has not met is passed
on, and the answer is kept; one that it has met is answered at once, so that a second run costs the reader's own side
only. Requests are the same if their commands are, without session, cluster time, time limit and cursor. A getMore is
matched by its place in its cursor, so any number of cursors, connections and processes may read at once.

It is for reads of data that do not change meanwhile: other commands are refused, and named. `Replay` is the same for
other benchmarks: a process of its own, which `only()` makes refuse what it has not met.
"""

import argparse
import contextlib
import itertools
import logging
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Final, Self

import bson
import pymongo
import pymongo.uri_parser
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from benchmarks.op_msg import DOCUMENT_AT, Command, Pieces, command_of, cursor_offset, receive, send

logger = logging.getLogger(__name__)

READS: Final = frozenset(
    {"find", "getMore", "aggregate", "count", "distinct", "listCollections", "listIndexes", "listDatabases"}
    | {"buildInfo", "collStats", "dbStats", "connectionStatus", "explain"}
)
_HELLO: Final = frozenset({"hello", "ismaster", "isMaster"})
#: Of an answer to hello: enough to be used as a server of its own, without compression and without waiting answers.
_HELLO_FIELDS: Final = frozenset(
    {"maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize", "logicalSessionTimeoutMinutes"}
    | {"minWireVersion", "maxWireVersion"}
)
#: What differs between two requests that ask for the same.
_PASSING: Final = ("lsid", "txnNumber", "$clusterTime", "$readPreference", "maxTimeMS")
_WRITING_STAGES: Final = frozenset({"$out", "$merge"})
#: To this proxy itself: forbid what is not known; say what was counted.
_CONTROL: Final = "replayControl"
_RAW: Final = CodecOptions(RawBSONDocument)
_ILLEGAL_OPERATION: Final = 20
_CURSOR_NOT_FOUND: Final = 43


def plain(command: Command) -> Command:
    """A command without what differs between two requests that ask for the same."""
    kept = {name: value for name, value in command.items() if name not in _PASSING}
    concern = kept.get("readConcern")
    if concern and "afterClusterTime" in concern:
        kept["readConcern"] = {name: value for name, value in concern.items() if name != "afterClusterTime"}
    if "getMore" in kept:
        kept["getMore"] = 0
    return kept


class Answer:
    """What the server answered, and the answers to the getMores that followed, by their commands."""

    def __init__(self, document: bytes) -> None:
        at = cursor_offset(document) if document else None
        #: Whether more follows; then the cursor's id lies between these two.
        self.open = at is not None and document[at : at + 8] != bytes(8)
        self.before = memoryview(document)[: at if self.open else None]
        self.after = memoryview(document)[(at or 0) + 8 :] if self.open else memoryview(b"")
        self.following: dict[bytes, Answer] = {}


@dataclass
class _Cursor:
    """A reader's cursor: where it is in the recording, and the server's cursor if it needed one."""

    answer: Answer
    requests: list[Command] = field(default_factory=list)
    session: ClientSession | None = None
    server_id: int = 0


class Recording:
    """What the server at `uri` answered. Threads may use it at once."""

    def __init__(self, uri: str) -> None:
        self._client: pymongo.MongoClient[Command] = pymongo.MongoClient(uri)
        self._first = Answer(b"")
        self._cursors: dict[int, _Cursor] = {}
        self._ids = itertools.count(1)
        hello = self._client.admin.command("hello")
        self._hello: Command = {"ismaster": True, "isWritablePrimary": True, "helloOk": True, "ok": 1.0}
        self._hello.update((name, value) for name, value in hello.items() if name in _HELLO_FIELDS)
        self._only = False
        self._replayed = self._forwarded = 0

    def answer(self, command: Command) -> Pieces:
        """The answer's document. What went wrong is an answer too, as a server gives it."""
        name = next(iter(command))
        if name in _HELLO:
            return _whole(self._hello)
        if name == _CONTROL:
            self._only = self._only or bool(command.get("only"))
            return _whole({"replayed": self._replayed, "forwarded": self._forwarded, "ok": 1.0})
        if name in ("ping", "endSessions"):
            return _whole({"ok": 1.0})
        if name == "killCursors":
            for number in command["cursors"]:
                self._end(self._cursors.pop(number, None))
            return _whole({"cursorsKilled": command["cursors"], "ok": 1.0})
        stages = {stage for part in command.get("pipeline", []) for stage in part}
        if name not in READS or stages & _WRITING_STAGES:
            return _refusal(f"The replay passes reads only: send {name} to the server itself")
        cursor = self._cursors.pop(command["getMore"], None) if name == "getMore" else _Cursor(self._first)
        if cursor is None:
            return _refusal(f"The replay knows no cursor {command['getMore']}", _CURSOR_NOT_FOUND)
        return self._next(cursor, plain(command))

    def _next(self, cursor: _Cursor, request: Command) -> Pieces:
        key = bson.encode(request)
        known = cursor.answer.following.get(key)
        if known is not None:
            self._replayed += 1
            # The server's own cursor, if there is one, does not move: it would be out of place.
            self._end(cursor)
        elif self._only:
            return _refusal(f"The replay has not met this request: {str(request)[:500]}")
        else:
            self._forwarded += 1
            try:
                document = self._ask(cursor, request)
            except PyMongoError as error:
                return _refusal(f"The server behind the replay failed: {error}")
            known = Answer(document)
            # An answer that ends a cursor before its time is not what the next reader shall get.
            if "getMore" not in request or bson.decode(document, _RAW)["ok"] == 1:
                cursor.answer.following[key] = known
        if not known.open:
            self._end(cursor)
            return [known.before]
        number = next(self._ids)
        self._cursors[number] = _Cursor(known, [*cursor.requests, request], cursor.session, cursor.server_id)
        return [known.before, struct.pack("<q", number), known.after]

    def _ask(self, cursor: _Cursor, request: Command) -> bytes:
        """The server's answer to a cursor's next request, after those that were answered from memory."""
        if cursor.session is None:
            cursor.session = self._client.start_session(causal_consistency=False)
            for earlier in cursor.requests:
                self._send(cursor, earlier)
        return self._send(cursor, request)

    def _send(self, cursor: _Cursor, request: Command) -> bytes:
        command = {**request, "getMore": bson.Int64(cursor.server_id)} if "getMore" in request else dict(request)
        database = self._client[command.pop("$db")]
        answer = database.command(command, check=False, codec_options=_RAW, session=cursor.session)
        cursor.server_id = answer["cursor"]["id"] if "cursor" in answer else 0
        return bytes(answer.raw)

    def _end(self, cursor: _Cursor | None) -> None:
        """Let go of the server's cursor."""
        if cursor is None or cursor.session is None:
            return
        if cursor.server_id and cursor.requests:
            first = cursor.requests[0]
            kill = {"killCursors": str(next(iter(first.values()))), "cursors": [cursor.server_id]}
            self._client[first["$db"]].command(kill, check=False, session=cursor.session)
        cursor.session.end_session()
        cursor.session, cursor.server_id = None, 0


def _whole(document: Command) -> Pieces:
    return [bson.encode(document)]


def _refusal(says: str, code: int = _ILLEGAL_OPERATION) -> Pieces:
    logger.warning("%s", says)
    return _whole({"ok": 0.0, "errmsg": says, "code": code})


class Server(socketserver.ThreadingTCPServer):
    """Serves a recording on 127.0.0.1, a thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, recording: Recording, port: int = 0) -> None:
        self.recording = recording
        super().__init__(("127.0.0.1", port), _Connection)


class _Connection(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        stream: socket.socket = self.request
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            while (received := receive(stream)) is not None:
                request_id, opcode, body = received
                command, awaited = command_of(opcode, body)
                pieces = self.server.recording.answer(command)
                if awaited:
                    send(stream, pieces, 0, request_id, greeting=opcode)


class Replay:
    """A proxy of the server at `uri` in a process of its own, for as long as the context lasts.

    `uri` is then the proxy's. Until `only()` is called it passes on what it has not met, and afterwards refuses it.
    """

    def __init__(self, uri: str) -> None:
        command = [sys.executable, "-m", "benchmarks.replay_mongo", "--uri", uri, "--owned"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.uri = self._process.stdout.readline().strip()
        if not self.uri:
            self._process.wait()
            raise RuntimeError("The replay did not start: its own output, above, says why")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def only(self) -> None:
        """From now on an unknown request is an error that names it."""
        self._control({_CONTROL: 1, "only": True})

    def forwarded(self) -> int:
        """How many requests went to the server so far."""
        return int(self._control({_CONTROL: 1})["forwarded"])

    def _control(self, command: Command) -> Command:
        with pymongo.MongoClient[Command](self.uri) as client:
            return client.admin.command(command)


def speed(uri: str, database: str, find: Command) -> float:
    """The MB/s at which a proxy serves a query's answers to a reader that throws them away.

    Raises:
        RuntimeError: the answer is an error.
    """
    begun, size, number = time.perf_counter(), 0, 0
    with socket.create_connection(pymongo.uri_parser.parse_uri(uri)["nodelist"][0]) as stream:
        request: Command = {**find, "$db": database}
        while number or not size:
            send(stream, [bson.encode(request)], 1)
            _, _, body = receive(stream) or (0, 0, bytearray())
            at = cursor_offset(body, DOCUMENT_AT) if body else None
            if at is None:
                raise RuntimeError(f"The query has no answer: {bytes(body[:300])!r}")
            size += len(body)
            number = int.from_bytes(body[at : at + 8], "little")
            more = {name: find[name] for name in ("batchSize",) if name in find}
            request = {"getMore": bson.Int64(number), "collection": find["find"], **more, "$db": database}
    return size / 1e6 / (time.perf_counter() - begun)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", required=True, help="the real server")
    parser.add_argument("--port", type=int, default=0, help="of the proxy, on 127.0.0.1; 0: any")
    parser.add_argument("--speed", metavar="SITE.COLLECTION", help="print the MB/s that it serves of it, and end")
    parser.add_argument("--owned", action="store_true", help="end with the standard input")
    args = parser.parse_args()
    if args.speed:
        site, _, collection = args.speed.partition(".")
        with Replay(args.uri) as replay:
            speed(replay.uri, site, {"find": collection})
            print(f"{speed(replay.uri, site, {'find': collection}):.0f} MB/s")
        return
    with Server(Recording(args.uri), args.port) as server:
        print(f"mongodb://127.0.0.1:{server.server_address[1]}/", flush=True)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read() if args.owned else serving.join()


if __name__ == "__main__":
    main()
