"""A stream of bytes from one replica to another, as slow as its reader takes it.

A Serve handle's own streams run ahead of a slow reader and pile up in memory. Here the replica that produces a stream
offers it at a TCP port of its node, the other one fetches it there with a token that only the two know (it travels with
the ticket, inside Ray), and TCP holds the producer back. A reader that goes away ends the producer at its next block.

On the wire: the token; then frames, each four bytes of length and so many bytes; a length of 0 says that the stream is
whole. Without that the reader knows that it is not.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypedDict

from workers.common.errors import ErrorCode, Unavailable

logger = logging.getLogger(__name__)

#: What is in flight between two replicas stays small, however large the blocks are that a producer makes.
_FRAME_BYTES: Final = 256 << 10
_LENGTH_BYTES: Final = 4
_TOKEN_BYTES: Final = 32
#: How long a stream that was offered waits to be fetched, and a connection to say which stream it wants.
_FETCH_TIMEOUT_S: Final = 30.0
_TOKEN_TIMEOUT_S: Final = 5.0


class Ticket(TypedDict):
    """Where a stream can be fetched, once."""

    host: str
    port: int
    token: bytes


@dataclass
class _Offer:
    blocks: Iterator[bytes]
    since: float


class PipeServer:
    """Offers streams at a port of `host`, each served by a thread of its own; `limit` at once."""

    def __init__(self, host: str, limit: int, stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._limit = limit
        self._offers: dict[bytes, _Offer] = {}
        self._serving = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server((host, 0))
        self.host, self.port = self._socket.getsockname()[:2]
        threading.Thread(target=self._accept, name="pipe-accept", daemon=True).start()

    def offer(self, blocks: Iterator[bytes]) -> Ticket:
        """Offer a stream for the next half minute; its first block is made when it is fetched.

        Raises:
            Unavailable: as many streams as this replica serves at once are open already.
        """
        token = secrets.token_bytes(_TOKEN_BYTES)
        self._forget_unfetched()
        with self._lock:
            if len(self._offers) + self._serving >= self._limit:
                raise Unavailable(
                    f"{self._limit} streams of sites are open already, which is as many as are served at once",
                    ErrorCode.TOO_MANY_STREAMS,
                )
            self._offers[token] = _Offer(blocks, time.monotonic())
        return {"host": self.host, "port": self.port, "token": token}

    def close(self) -> None:
        """Take no more readers; streams that are being read go on."""
        with contextlib.suppress(OSError):
            # Closing alone would not wake the thread that waits for connections.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _forget_unfetched(self) -> None:
        latest = time.monotonic() - _FETCH_TIMEOUT_S
        with self._lock:
            for token in [token for token, offer in self._offers.items() if offer.since < latest]:
                del self._offers[token]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                # The socket was closed: this replica ends.
                logger.debug("No more streams are served: %s", error)
                return
            threading.Thread(target=self._serve, args=(connection,), name="pipe", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            offer = self._fetched(connection)
            if offer is None:
                return
            try:
                connection.settimeout(self._stall_timeout_s)
                _send(connection, offer.blocks)
            except OSError as error:
                logger.info("A stream's reader went away: %s", error)
            except Exception:
                # The missing end shows the reader that the stream is not whole.
                logger.exception("A stream broke off")
            finally:
                _close(offer.blocks)
                with self._lock:
                    self._serving -= 1

    def _fetched(self, connection: socket.socket) -> _Offer | None:
        connection.settimeout(_TOKEN_TIMEOUT_S)
        try:
            with connection.makefile("rb") as file:
                token = file.read(_TOKEN_BYTES)
        except OSError as error:
            logger.debug("A connection sent no token: %s", error)
            return None
        with self._lock:
            offer = self._offers.pop(token, None)
            if offer is not None:
                self._serving += 1
        return offer


def _send(connection: socket.socket, blocks: Iterator[bytes]) -> None:
    for block in blocks:
        for start in range(0, len(block), _FRAME_BYTES):
            frame = block[start : start + _FRAME_BYTES]
            connection.sendall(len(frame).to_bytes(_LENGTH_BYTES, "big"))
            connection.sendall(frame)
    connection.sendall(bytes(_LENGTH_BYTES))


def _close(blocks: Iterator[bytes]) -> None:
    """Close a generator now, and with it what it holds open."""
    close = getattr(blocks, "close", None)
    if close is not None:
        close()


class PipeReader(AsyncGenerator[bytes, None]):
    """The other end: the stream's bytes, as they come.

    Not a generator function: one that was never started would not run its `finally`, and keep its connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float, what: str) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._what = what
        self._waiting: bytes | None = None
        self._ended = False

    @classmethod
    async def fetch(cls, ticket: Ticket, *, connect_timeout_s: float, timeout_s: float, what: str) -> "PipeReader":
        """Fetch a stream and wait for its first bytes. `what` names it in errors.

        Raises:
            Unavailable: its replica can't be reached, or nothing comes.
        """
        host, port = ticket["host"], ticket["port"]
        try:
            async with asyncio.timeout(connect_timeout_s):
                reader, writer = await asyncio.open_connection(host, port, limit=_FRAME_BYTES)
        except OSError as error:
            raise Unavailable(
                f"The stream of {what} can't be fetched at {host}:{port}: {error}", ErrorCode.STREAM_LOST
            ) from error
        pipe = cls(reader, writer, timeout_s, what)
        try:
            writer.write(ticket["token"])
            pipe._waiting = await pipe._frame()
        except BaseException:
            await pipe.aclose()
            raise
        return pipe

    async def __anext__(self) -> bytes:
        frame, self._waiting = self._waiting, None
        if frame is None and not self._ended:
            frame = await self._frame()
        if frame is None:
            await self.aclose()
            raise StopAsyncIteration
        return frame

    async def asend(self, value: None) -> bytes:
        return await self.__anext__()

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> bytes:
        await self.aclose()
        raise typ

    async def aclose(self) -> None:
        """Let go of the connection; the producer ends at its next block."""
        self._ended = True
        self._waiting = None
        self._writer.close()

    async def _frame(self) -> bytes | None:
        """The next bytes; None at the end of a stream that is whole."""
        try:
            async with asyncio.timeout(self._timeout_s):
                size = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
                if size:
                    return await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            with contextlib.suppress(OSError):
                self._writer.close()
            raise Unavailable(f"The stream of {self._what} broke off before its end", ErrorCode.STREAM_LOST) from error
        self._ended = True
        return None


def ticket_of(data: Any) -> Ticket:
    """A ticket as it came through Ray."""
    return {"host": str(data["host"]), "port": int(data["port"]), "token": bytes(data["token"])}
