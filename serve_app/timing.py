"""How long a request took inside the replica, told in the `Server-Timing` header."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.common.clock import Stopwatch


class ServerTiming:
    """Adds `Server-Timing: app;dur=<milliseconds>`: from the request's arrival to the answer's first byte."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = Stopwatch()

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Server-Timing"] = f"app;dur={watch.elapsed() * 1000:.2f}"
            await send(message)

        await self._app(scope, receive, stamped)
