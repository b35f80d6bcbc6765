"""The kinds of timestamps that documents are stored with, each as a range of values that the server keeps in order.

MongoDB compares by type first: a sort puts all numbers before all texts before all dates, whatever instants they mean.
So each kind is read by itself, between values of its own type, and the kinds are merged by instant afterwards.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from workers.sites import instants

#: No offset from UTC is larger.
_OFFSET_MAX: Final = 15 * 3600.0
_TEXT_MARGIN: Final = instants.DAY_S + _OFFSET_MAX
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - BSON dates are bare UTC
_FIRST: Final = datetime(1, 1, 1)  # noqa: DTZ001
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001
_DATE: Final = frozenset({"date"})
_TEXT: Final = frozenset({"string"})
_NUMBER: Final = frozenset({"int", "long", "double", "decimal"})
#: Where epoch numbers as text lie: from 2001 to 2033 they begin with a 1.
_NUMERIC: Final = ("1", "2")
_NUMERIC_FROM: Final = 1e9
_NUMERIC_UNTIL: Final = 2e9 - 1


@dataclass(frozen=True)
class Stamp:
    """A kind of stored timestamp."""

    name: str
    #: Whether a stored value is of this kind. An array that holds such values matches a range too, and isn't.
    holds: Callable[[object], bool]
    #: MongoDB's names of the types that it is stored as.
    types: frozenset[str]
    #: The kind's values are those from `lowest` (included) to `highest` (not included).
    lowest: Any
    highest: Any
    #: The stored value that has a wall time; clipped to the kind's range.
    bound: Callable[[float], Any]
    #: Seconds by which the instant of a stored value may differ from what its place in the order says.
    margin: float
    #: The same in a site whose stamps show a local clock.
    local_margin: float

    def slack(self, zone: ZoneInfo | None) -> float:
        """Seconds by which bounds must be widened; 0 where they are exact."""
        return self.margin if zone is None else self.local_margin


def _date_bound(seconds: float) -> datetime:
    # BSON dates are whole milliseconds, so the first one that is not earlier is as good as the instant itself. The
    # rounding takes away what the multiplication added.
    milliseconds = math.ceil(round(seconds * 1000, 3))
    try:
        return min(max(_EPOCH + timedelta(milliseconds=milliseconds), _FIRST), _LAST)
    except OverflowError:
        return _FIRST if seconds < 0 else _LAST


def _text_bound(seconds: float) -> str:
    return _date_bound(math.floor(seconds)).isoformat(timespec="seconds").rjust(19, "0")


def _numeric_bound(seconds: float) -> str:
    return str(int(min(max(seconds, _NUMERIC_FROM), _NUMERIC_UNTIL)))


def _seconds_bound(seconds: float) -> float:
    return min(max(seconds, -math.inf), instants.MILLISECONDS_FROM)


def _milliseconds_bound(seconds: float) -> float:
    return max(round(seconds * 1000, 3), instants.MILLISECONDS_FROM)


def _is_date(value: object) -> bool:
    return isinstance(value, datetime | DatetimeMS)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not instants.is_numeric_text(value)


def _is_numeric_text(value: object) -> bool:
    return isinstance(value, str) and instants.is_numeric_text(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


#: All kinds, in the order in which documents of one instant are given.
STAMPS: Final = (
    Stamp("dates", _is_date, _DATE, _FIRST, _LAST, _date_bound, 0.0, _OFFSET_MAX),
    # A date without a time sorts before the times of its day, and a text with an offset where its wall time does.
    Stamp("texts", _is_text, _TEXT, "", "\U0010ffff", _text_bound, _TEXT_MARGIN, _TEXT_MARGIN),
    Stamp("numeric texts", _is_numeric_text, _TEXT, *_NUMERIC, _numeric_bound, 1.0, 1.0),
    Stamp("seconds", _is_number, _NUMBER, -math.inf, instants.MILLISECONDS_FROM, _seconds_bound, 0.0, 0.0),
    Stamp("milliseconds", _is_number, _NUMBER, instants.MILLISECONDS_FROM, math.inf, _milliseconds_bound, 0.0, 0.0),
)
DATES, TEXTS, NUMERIC_TEXTS, SECONDS, MILLISECONDS = STAMPS
