"""HEAD on whatever GET answers: the same status and headers, no body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Runs the GET route for a HEAD and ends it once its headers are there, so that a stream does not go on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start" and not answered.is_set():
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                answered.set()

        work = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, headers_only))
        waiter = asyncio.ensure_future(answered.wait())
        try:
            await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            waiter.cancel()
            work.cancel()
            await asyncio.gather(work, waiter, return_exceptions=True)
