"""Every error as an answer of one shape: `{"detail": "<one sentence>", "code": "<stable_word>"}`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.http import JSONAnswer
from workers.common.errors import (
    Conflict,
    ErrorCode,
    InvalidInput,
    NotFound,
    OpevaError,
    StorageFull,
    TooLarge,
    Unavailable,
    Unprocessable,
)

logger = logging.getLogger(__name__)

#: The one place where the domain's errors become HTTP statuses.
STATUS: Final[dict[type[OpevaError], int]] = {
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unprocessable: 422,
    Unavailable: 503,
    StorageFull: 507,
    OpevaError: 500,
}

#: The codes of answers that HTTP itself gives, by status.
CODES: Final = {
    400: ErrorCode.INVALID_INPUT,
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NO_SUCH_ROUTE,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: TooLarge.default_code,
    422: Unprocessable.default_code,
    503: Unavailable.default_code,
}
#: Seconds after which a client may try again what is unavailable.
_RETRY_AFTER: Final = "2"


def error_answer(
    status: int, detail: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONAnswer:
    """An error in the shape that all of them have."""
    more = dict(headers or {})
    if status == 503:
        more.setdefault("Retry-After", _RETRY_AFTER)
    return JSONAnswer({"detail": detail, "code": str(code or CODES.get(status, ErrorCode.HTTP_ERROR))}, status, more)


def status_of(error: OpevaError) -> int:
    """The HTTP status of a domain error; a subclass has its parent's unless it has one of its own."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def install(app: FastAPI) -> None:
    """Make `app` answer errors in our shape."""
    app.add_exception_handler(OpevaError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _domain_error(request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, OpevaError)  # noqa: S101 - what the handler is registered for
    status = status_of(error)
    if status == 500:
        logger.error("%s %s: %s", request.method, request.url.path, error.detail, exc_info=error)
    return error_answer(status, error.detail, error.code)


async def _validation_error(request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    return error_answer(422, validation_sentence(error.errors()), ErrorCode.VALIDATION_ERROR)


def validation_sentence(problems: Sequence[Mapping[str, Any]]) -> str:
    """Pydantic's list of problems as one sentence that names each field."""
    parts = []
    for problem in problems:
        place = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path", "header"))
        message = str(problem["msg"]).removeprefix("Value error, ")
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)


async def _http_error(request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    if error.status_code == 404 and error.detail == "Not Found":
        return error_answer(404, f"There is no route {request.url.path}; /docs shows those there are")
    if error.status_code == 405:
        return _wrong_method(request)
    return error_answer(error.status_code, str(error.detail), headers=error.headers)


def _wrong_method(request: Request) -> JSONAnswer:
    """405 with the methods of all routes of that path, or their list where OPTIONS asks for it."""
    methods = {"OPTIONS"}
    for route in iter_route_contexts(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(request.scope["path"]):
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    allow = ", ".join(sorted(methods))
    if request.method == "OPTIONS":
        return JSONAnswer({"methods": sorted(methods)}, headers={"Allow": allow})
    return error_answer(
        405, f"{request.url.path} can't be asked with {request.method}, only with {allow}", headers={"Allow": allow}
    )


class ErrorGuard:
    """Answers 500 in our shape for what nobody foresaw, and logs its trace.

    It lies within the middleware that adds headers, so that browsers of other origins may read these answers too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                # The status is gone already: breaking off is the only way left to say that the answer is not whole.
                raise
            answer = error_answer(
                500, "The server failed at this request; its log has the details", ErrorCode.INTERNAL_ERROR
            )
            await answer(scope, receive, send)
