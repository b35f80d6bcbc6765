"""Answers that go on: they end, and let go of what they hold, when their client goes away."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serve_app.errors import error_answer
from serve_app.http import to_json
from workers.common.errors import ErrorCode

#: A comment of an event stream, so that neither side takes silence for an end.
HEARTBEAT: Final = b": heartbeat\n\n"
#: Proxies on the way must pass each piece on as it comes.
_UNBUFFERED: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Stream(StreamingResponse):
    """A streamed answer whose generator is closed at once however the answer ends.

    A generator left to the garbage collector would keep its files open until some later time.
    """

    def __init__(
        self,
        content: AsyncGenerator[bytes, None],
        media_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._content.aclose()


class Seats:
    """How many streams may follow something at once in this replica."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0


class FollowStream(Stream):
    """A stream that lasts as long as what it follows; it takes one of the seats, or answers 503 where none is free."""

    def __init__(self, content: AsyncGenerator[bytes, None], media_type: str, seats: Seats) -> None:
        super().__init__(content, media_type, headers=_UNBUFFERED)
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seats = self._seats
        if seats.taken >= seats.total:
            await self._content.aclose()
            sentence = f"{seats.total} streams are open already, which is as many as this server follows at once"
            await error_answer(503, sentence, ErrorCode.TOO_MANY_FOLLOWERS)(scope, receive, send)
            return
        seats.taken += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            seats.taken -= 1


class EventStream(FollowStream):
    """Server-sent events."""

    def __init__(self, events: AsyncGenerator[bytes, None], seats: Seats) -> None:
        super().__init__(events, "text/event-stream", seats)


def event(data: str, *, id: str | None = None, name: str | None = None) -> bytes:  # noqa: A002 - SSE calls it so
    """A server-sent event; each line of `data`, however its lines end, has a line of its own."""
    lines = []
    if name is not None:
        lines.append(f"event: {name}")
    if id is not None:
        lines.append(f"id: {id}")
    # The protocol ends lines at CR, LF and CRLF, and at nothing else that splitlines() knows.
    lines += [f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def json_event(data: Any, *, id: str | None = None, name: str | None = None) -> bytes:  # noqa: A002 - as above
    """A server-sent event whose data is JSON."""
    return event(to_json(data).decode(), id=id, name=name)


async def with_heartbeats(events: AsyncGenerator[bytes, None], every_s: float) -> AsyncGenerator[bytes, None]:
    """`events`, with a comment wherever none came for `every_s` seconds; closes `events` at its end."""
    pending = asyncio.ensure_future(_next(events))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                yield HEARTBEAT
                continue
            piece = pending.result()
            if piece is None:
                return
            yield piece
            pending = asyncio.ensure_future(_next(events))
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    """The next event, or None at the end: a task can't raise StopAsyncIteration."""
    return await anext(events, None)
