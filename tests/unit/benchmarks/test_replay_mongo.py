"""The replay of a MongoDB server: what counts as the same request, and cursors, against a server that counts."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import bson
import pymongo
import pytest
from pymongo.errors import OperationFailure

from benchmarks.op_msg import command_of, receive, send
from benchmarks.replay_mongo import Recording, Replay, Server, plain, speed

Document = dict[str, Any]
#: Numbers of the documents of each collection of the fake server.
NUMBERS = {"a": range(10), "b": range(100, 107)}


class FakeServer(socketserver.ThreadingTCPServer):
    """A MongoDB server with the collections of NUMBERS, which remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[Document] = []
        self.cursors: dict[int, list[Document]] = {}
        self.fails = False
        super().__init__(("127.0.0.1", 0), _FakeConnection)

    def count(self, name: str) -> int:
        return sum(1 for command in self.asked if name in command)

    def answer(self, command: Document) -> Document:
        name = next(iter(command))
        if name in ("hello", "ismaster"):
            return {
                "ismaster": True, "helloOk": True, "minWireVersion": 0, "maxWireVersion": 21, "ok": 1.0,
                "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 1000,
                "logicalSessionTimeoutMinutes": 30,
            }  # fmt: skip
        self.asked.append(command)
        if name == "find":
            found: list[Document] = [{"n": n} for n in NUMBERS.get(command["find"], ())]
            return self._batch(command["find"], "firstBatch", found, command.get("batchSize", 101), 0)
        if name == "getMore":
            number = int(command["getMore"])
            if self.fails or number not in self.cursors:
                return {"ok": 0.0, "errmsg": "no such cursor", "code": 43}
            return self._batch("x", "nextBatch", self.cursors[number], command.get("batchSize", 101), number)
        if name == "killCursors":
            for number in command["cursors"]:
                del self.cursors[number]
        if name == "count":
            return {"n": len(NUMBERS[command["count"]]), "ok": 1.0}
        if name == "listIndexes":
            return {"ok": 0.0, "errmsg": "ns does not exist", "code": 26}
        return {"ok": 1.0}

    def _batch(self, collection: str, field: str, documents: list[Document], size: int, number: int) -> Document:
        left = documents[size:]
        if left and not number:
            number = 7_000_000_000 + len(self.asked)
        if left:
            self.cursors[number] = left
        else:
            self.cursors.pop(number, None)
        cursor = {field: documents[:size], "id": bson.Int64(number if left else 0), "ns": f"site.{collection}"}
        return {"cursor": cursor, "ok": 1.0}


class _FakeConnection(socketserver.BaseRequestHandler):
    server: FakeServer

    def handle(self) -> None:
        stream: socket.socket = self.request
        while (received := receive(stream)) is not None:
            request_id, opcode, body = received
            command, _ = command_of(opcode, body)
            send(stream, [bson.encode(self.server.answer(command))], 0, request_id, greeting=opcode)


@contextmanager
def serving(server: socketserver.ThreadingTCPServer) -> Iterator[str]:
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"mongodb://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    with serving(server):
        yield server


@pytest.fixture
def replay(fake: FakeServer) -> Iterator[pymongo.MongoClient[Document]]:
    with (
        serving(Server(Recording(f"mongodb://127.0.0.1:{fake.server_address[1]}/"))) as uri,
        pymongo.MongoClient[Document](uri, serverSelectionTimeoutMS=20_000) as client,
    ):
        yield client


def only(client: pymongo.MongoClient[Document]) -> None:
    client.admin.command({"replayControl": 1, "only": True})


def numbers(client: pymongo.MongoClient[Document], collection: str, batch: int = 3) -> list[int]:
    return [document["n"] for document in client.site[collection].find(batch_size=batch)]


def test_what_differs_between_two_runs_does_not_tell_requests_apart() -> None:
    command = {"find": "a", "filter": {"lsid": 1}, "readConcern": {"level": "local"}, "$db": "site"}
    passing = {"lsid": {"id": b"1"}, "$clusterTime": {"clusterTime": 5}, "maxTimeMS": 17, "txnNumber": 3}
    later = {**command, "readConcern": {"level": "local", "afterClusterTime": 5}, **passing}
    assert plain(command) == plain(later) == command
    assert plain({"getMore": 5, "collection": "a"}) == plain({"getMore": 6, "collection": "a"})


@pytest.mark.parametrize(
    "other",
    [
        {"find": "b"},
        {"filter": {"n": 1}},
        {"projection": {"n": 1}},
        {"sort": {"n": -1}},
        {"batchSize": 4},
        {"$db": "t"},
    ],
)
def test_what_asks_for_something_else_is_another_request(other: Document) -> None:
    command = {"find": "a", "filter": {}, "batchSize": 3, "$db": "site"}
    assert plain({**command, **other}) != plain(command)


def test_a_query_is_asked_of_the_server_once(fake: FakeServer, replay: pymongo.MongoClient[Document]) -> None:
    assert numbers(replay, "a") == list(range(10))
    assert (fake.count("find"), fake.count("getMore")) == (1, 3)
    assert not fake.cursors
    only(replay)
    assert numbers(replay, "a") == list(range(10))
    assert (fake.count("find"), fake.count("getMore")) == (1, 3)


def test_a_time_limit_and_a_session_of_the_reader_do_not_make_a_request_new(
    fake: FakeServer, replay: pymongo.MongoClient[Document]
) -> None:
    for seconds in (30, 40):
        with pymongo.timeout(seconds), replay.start_session() as session:
            assert len(list(replay.site.a.find(session=session))) == 10
    assert fake.count("find") == 1


@pytest.mark.parametrize("replaying", [False, True])
def test_two_cursors_of_one_query_and_one_of_another_are_read_in_turns(
    fake: FakeServer, replay: pymongo.MongoClient[Document], replaying: bool
) -> None:
    if replaying:
        numbers(replay, "a"), numbers(replay, "b")
        only(replay)
    cursors = [replay.site[name].find(batch_size=3) for name in ("a", "b", "a")]
    found: list[list[int]] = [[], [], []]
    for _ in range(10):
        for cursor, into in zip(cursors, found, strict=True):
            if (document := next(cursor, None)) is not None:
                into.append(document["n"])
    assert found == [list(range(10)), list(range(100, 107)), list(range(10))]
    # One of the two readers of `a` found each answer there.
    assert (fake.count("find"), fake.count("getMore")) == (2, 3 + 2)


def test_a_cursor_that_goes_further_than_the_recording_catches_up(
    fake: FakeServer, replay: pymongo.MongoClient[Document]
) -> None:
    with closing(replay.site.a.find(batch_size=3)) as cursor:
        assert [next(cursor)["n"] for _ in range(5)] == list(range(5))
    assert not fake.cursors
    assert numbers(replay, "a") == list(range(10))
    # Both batches once more for the server's new cursor, then the two that were missing.
    assert (fake.count("find"), fake.count("getMore")) == (2, 1 + 1 + 2)


def test_connections_at_once_get_whole_answers(fake: FakeServer, replay: pymongo.MongoClient[Document]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: numbers(replay, name, 1), ["a", "b"] * 20))
    assert found == [list(range(10)), list(range(100, 107))] * 20
    assert not fake.cursors


def test_what_was_not_met_is_named_when_replaying_only(fake: FakeServer, replay: pymongo.MongoClient[Document]) -> None:
    only(replay)
    with pytest.raises(OperationFailure, match=r"has not met this request.*'find': 'a'"):
        numbers(replay, "a")
    assert not fake.asked


@pytest.mark.parametrize("command", [{"insert": "a", "documents": []}, {"drop": "a"}])
def test_a_write_is_refused_and_named(
    fake: FakeServer, replay: pymongo.MongoClient[Document], command: Document
) -> None:
    with pytest.raises(OperationFailure, match=f"reads only: send {next(iter(command))}"):
        replay.site.command(command)
    with pytest.raises(OperationFailure, match="reads only: send aggregate"):
        replay.site.a.aggregate([{"$out": "b"}])
    assert not fake.asked


def test_an_error_is_an_answer_too_but_not_the_end_of_the_next_readers_cursor(
    fake: FakeServer, replay: pymongo.MongoClient[Document]
) -> None:
    for _ in range(2):
        with pytest.raises(OperationFailure, match="ns does not exist"):
            replay.site.command("listIndexes", "a")
    assert fake.count("listIndexes") == 1
    fake.fails = True
    with pytest.raises(OperationFailure, match="no such cursor"):
        numbers(replay, "a")
    fake.fails = False
    assert numbers(replay, "a") == list(range(10))


def test_counts_and_pings_are_answered(fake: FakeServer, replay: pymongo.MongoClient[Document]) -> None:
    assert [replay.site.command("count", "a")["n"] for _ in range(2)] == [10, 10]
    assert replay.admin.command("ping")["ok"] == 1
    assert fake.count("count") == 1
    assert not fake.count("ping")


def test_compression_is_not_negotiated(fake: FakeServer, replay: pymongo.MongoClient[Document]) -> None:
    assert not {"compression", "setName", "hosts", "topologyVersion"} & replay.admin.command("hello").keys()


def test_a_process_of_its_own_says_what_it_passed_on_and_how_fast_it_is(fake: FakeServer) -> None:
    with Replay(f"mongodb://127.0.0.1:{fake.server_address[1]}/") as replay:
        assert speed(replay.uri, "site", {"find": "a", "batchSize": 3}) > 0
        passed = replay.forwarded()
        assert passed == 1 + 3
        replay.only()
        assert speed(replay.uri, "site", {"find": "a", "batchSize": 3}) > 0
        assert replay.forwarded() == passed
        with pytest.raises(RuntimeError, match="has not met"):
            speed(replay.uri, "site", {"find": "b"})
