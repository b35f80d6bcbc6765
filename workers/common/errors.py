"""The errors of the domain: one small tree, mapped to HTTP in one place (`serve_app.errors`).

Each error carries a stable `code` that programs may read and a `detail`, one sentence for people. They cross process
borders by pickle, so a subclass adds no constructor arguments of its own.
"""

from typing import ClassVar


class OpevaError(Exception):
    """Something that the caller can be told about in a sentence."""

    default_code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, code: str | None = None) -> None:
        super().__init__(detail, code)
        self.detail = detail
        self.code = code or self.default_code

    def __str__(self) -> str:
        return self.detail


class InvalidInput(OpevaError):
    """The request can't be understood or is not allowed; nothing was changed."""

    default_code = "invalid_input"


class NotFound(OpevaError):
    """What the request names does not exist."""

    default_code = "not_found"


class Conflict(OpevaError):
    """The request contradicts what exists."""

    default_code = "conflict"


class TooLarge(OpevaError):
    """The request is over a configured size."""

    default_code = "too_large"


class Unprocessable(OpevaError):
    """The request is well formed, what it carries is not (a YAML text, say)."""

    default_code = "unprocessable"


class Unavailable(OpevaError):
    """A host, a Docker engine, the storage or MongoDB does not answer; the detail says which."""

    default_code = "unavailable"


class StorageFull(OpevaError):
    """The shared storage has no room for what would be written."""

    default_code = "storage_full"
