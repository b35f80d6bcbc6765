"""Bodies over the configured size are refused with 413, whether their length is announced or not."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.errors import error_answer


class BodyLimit:
    """Refuses bodies over `limit` bytes; `limits` has the paths with a limit of their own."""

    def __init__(self, app: ASGIApp, limit: int, limits: Mapping[str, int]) -> None:
        self._app = app
        self._limit = limit
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], self._limit)
        sentence = f"The request's body is over the limit of {limit} bytes"
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await error_answer(413, sentence)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                # Form parsers let an HTTPException through where they would turn any other into a 400.
                raise HTTPException(413, sentence)
            return message

        await self._app(scope, counted, send)
