"""Values and errors as plain data, for the way between processes that may carry different code."""

from typing import Any

from workers.common import errors
from workers.common.errors import OpevaError


def success(value: Any) -> dict[str, Any]:
    """An answer that holds a value."""
    return {"ok": value}


def failure(error: OpevaError) -> dict[str, Any]:
    """An answer that holds an error of the domain."""
    return {"error": {"kind": type(error).__name__, "detail": error.detail, "code": error.code}}


def value_of(answer: dict[str, Any]) -> Any:
    """The value of an answer; raises the error that it holds."""
    error = answer.get("error")
    if error is None:
        return answer["ok"]
    kind = getattr(errors, error["kind"], OpevaError)
    raise kind(error["detail"], error["code"])
