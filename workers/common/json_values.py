"""JSON as simulations write it: literal NaN, numbers out of range, files caught half-written.

What leaves this module is plain JSON data that any encoder takes: finite numbers, texts without lone surrogates,
bounded depth.
"""

import json
import math
import re
from typing import Any, Final

#: Deeper nesting than this is nobody's result; it would exhaust the stack of whoever walks it.
MAX_DEPTH: Final = 200

#: Longer integers are slow to convert and beyond what a JSON reader's floats hold.
_MAX_DIGITS: Final = 400

_SURROGATES = re.compile("[\ud800-\udfff]")


class _TooDeep(ValueError):
    """The data nests deeper than MAX_DEPTH."""


def load_object(raw: bytes | None) -> dict[str, Any] | None:
    """The JSON object in `raw`, or None: nothing there, half-written, not JSON, not an object.

    NaN, Infinity and numbers out of range are in it as non-finite floats; pass it through `finite` before it leaves.
    """
    if not raw:
        return None
    try:
        value = json.loads(raw.decode("utf-8-sig", "replace"), parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def finite(value: Any, *, omit: bool = False) -> Any:
    """A copy of JSON data without non-finite numbers: null stands in their place, or with `omit` nothing.

    With `omit`, entries that are null already are left out too, of objects and of lists.

    Raises:
        ValueError: it nests deeper than `MAX_DEPTH`.
    """
    return _clean(value, omit, 0)


def scalar(value: Any) -> bool:
    """Whether `value` is a text, a finite number or a boolean."""
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def number(value: Any) -> float | None:
    """`value` as a float if it is a finite number, else None; booleans are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def text(value: str) -> str:
    """`value` with U+FFFD for each lone surrogate, which no encoder takes."""
    return _SURROGATES.sub("\ufffd", value)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _clean(value: Any, omit: bool, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _TooDeep(f"The data nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        cleaned: dict[str, Any] = {}
        for key, entry in value.items():
            inner = _clean(entry, omit, depth + 1)
            if inner is not None or not omit:
                cleaned[text(str(key))] = inner
        return cleaned
    if isinstance(value, list | tuple):
        items: list[Any] = []
        for entry in value:
            inner = _clean(entry, omit, depth + 1)
            if inner is not None or not omit:
                items.append(inner)
        return items
    return value
