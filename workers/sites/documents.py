"""Documents as JSON, once and well.

| BSON | JSON |
|---|---|
| date | text, ISO 8601 in UTC with `Z` |
| ObjectId, UUID, regular expression, and what else has no JSON form | text |
| Decimal128 | a number where a double holds it to the last digit, else text; NaN and infinities null |
| double | a number; NaN and infinities null |
| int32, int64 | a number (over 2^53, JavaScript rounds it) |
| binary | base64 text |
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.timestamp import Timestamp

from workers.sites import instants

_OPTIONS: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_INT64: Final = 1 << 63


def dump(value: Any) -> bytes:
    """Any value of BSON as JSON in UTF-8."""
    return orjson.dumps(value, default=plain, option=_OPTIONS)


def dump_items(documents: Sequence[Any]) -> bytes:
    """Documents as the items of a JSON array, without its brackets: one call for many costs least."""
    return orjson.dumps(documents, default=plain, option=_OPTIONS)[1:-1]


def plain(value: object) -> object:
    """A value that JSON has no form for, as one that it has."""
    if isinstance(value, Decimal128):
        return decimal_number(value.to_decimal())
    if isinstance(value, DatetimeMS):
        return instants.iso_of_milliseconds(int(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Timestamp):
        return instants.iso(value.time)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def decimal_number(value: Decimal) -> int | float | str | None:
    """A decimal as a JSON number if that loses no digit, else as text; None if it is not finite."""
    if not value.is_finite():
        return None
    if value == value.to_integral_value() and abs(value) < _INT64:
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)
