"""Bearer tokens, where the settings ask for them.

The tokens file has a line `name:token` for each who may do everything, `name:token:read` for each who may only look;
empty lines and those that begin with `#` are left out. It is read again when it changes.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.errors import error_answer
from workers.common.errors import ErrorCode, Unavailable

logger = logging.getLogger(__name__)

_OPEN: Final = frozenset({"/", "/health", "/docs", "/openapi.json"})
_OPEN_PREFIX: Final = "/docs/"
#: POST routes that change nothing.
_READING: Final = frozenset({"/simulation-data/index", "/simulation-data/file"})
_READING_PREFIX: Final = "/historical-data/"


class TokenFile:
    """The tokens of a file, by their hash: looking one up takes no longer the more of it is right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._holders: dict[str, tuple[str, bool]] = {}

    def holder(self, token: str) -> tuple[str, bool] | None:
        """Whose token it is and whether it may change things; None for nobody's.

        Raises:
            Unavailable: the file can't be read; nobody gets in then.
        """
        try:
            state = self._path.stat()
            if (version := (state.st_mtime_ns, state.st_size)) != self._version:
                self._holders = _parse(self._path.read_text("utf-8"))
                self._version = version
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"The tokens file {self._path} can't be read", ErrorCode.TOKENS_UNAVAILABLE) from error
        return self._holders.get(_digest(token))


def _parse(text: str) -> dict[str, tuple[str, bool]]:
    holders: dict[str, tuple[str, bool]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        token, _, role = rest.partition(":")
        if not name or not token or role not in ("", "read"):
            logger.error("Line %d of the tokens file is neither name:token nor name:token:read; it is left out", number)
            continue
        holders[_digest(token)] = (name, role != "read")
    return holders


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class BearerAuth:
    """Lets in who shows a token of the file: 401 without one, 403 where the token may only read."""

    def __init__(self, app: ASGIApp, tokens: TokenFile) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        try:
            holder = self._tokens.holder(token.strip()) if scheme.lower() == "bearer" else None
        except Unavailable as error:
            logger.error("%s", error.detail, exc_info=error)
            await error_answer(503, error.detail, error.code)(scope, receive, send)
            return
        if holder is None:
            answer = error_answer(
                401, "This needs the header 'Authorization: Bearer <token>'", headers={"WWW-Authenticate": "Bearer"}
            )
            await answer(scope, receive, send)
            return
        name, may_change = holder
        if not may_change and not _only_reads(scope):
            await error_answer(403, f"The token of {name} may only read")(scope, receive, send)
            return
        scope.setdefault("state", {})["user"] = name
        await self._app(scope, receive, send)


def _only_reads(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") or path in _READING or path.startswith(_READING_PREFIX)


def _is_open(scope: Scope) -> bool:
    """What anybody may see: whether the service lives, and its documentation. A deep health report names hosts."""
    if scope["method"] == "OPTIONS":
        return True
    path = scope["path"]
    if path == "/health" and scope.get("query_string"):
        return False
    return path in _OPEN or path.startswith(_OPEN_PREFIX)
