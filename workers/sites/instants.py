"""Instants: every kind of timestamp that producers store, as epoch seconds in UTC.

Documents are stamped with BSON dates, ISO 8601 texts with or without an offset, or numbers: epoch seconds or
milliseconds. Numbers and texts with an offset say which instant they mean. BSON dates and texts without an offset are
UTC, unless the site's schema names a `source_time_zone`: then its producers store their local clock, and these stamps
are that zone's clock. A clock time that occurs twice (the hour when summer time ends) means its first pass; one that
never occurs (the hour when it starts) counts on with the offset before the change.

A wall time is what a clock shows, given as the epoch seconds at which a clock in UTC shows the same. For example,
`2025-06-07T12:00:00+02:00` has the wall time of 12:00 UTC and means the instant 10:00 UTC; MongoDB keeps texts in the
order of their wall times (`test_a_wall_time_is_the_clock_time_that_a_stamp_shows`).
"""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from workers.common.errors import ErrorCode, InvalidInput

DAY_S: Final = 86400.0
#: Numbers from here on are milliseconds: as seconds they would lie after the year 5138, as milliseconds this is 1973.
MILLISECONDS_FROM: Final = 1e11
#: Numbers from here on are no timestamps of sites: as milliseconds they would lie after the year 5138.
NUMBERS_UNTIL: Final = 1e14
#: Clock changes fall on quarters of an hour, so an offset holds at least for one.
_QUARTER: Final = 900
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Epoch seconds or milliseconds as text, of the years 2001 to 2033: shorter or longer ones could mean anything.
_NUMERIC_TEXT: Final = re.compile(r"1\d{9}(\d{3})?(\.\d+)?")
#: What is left of `+01:00` in a query string whose plus sign was read as a space.
_LOST_PLUS: Final = re.compile(r"(.*\d\d:\d\d\S*) (\d\d:?\d\d)")


def to_epoch(value: object, zone: ZoneInfo | None = None) -> float | None:
    """The epoch seconds (UTC) of a stored timestamp; None where it is none that can be read.

    `zone` is the site's `source_time_zone`, where its schema has one.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=UTC)
        # A BSON date carries no zone of its own: pymongo hands out UTC, which is then the producer's clock.
        seconds = value.timestamp()
        return seconds if zone is None else from_wall_clock(seconds, zone)
    if isinstance(value, str):
        return _from_text(value, zone)
    if isinstance(value, DatetimeMS):
        seconds = int(value) / 1000
        return seconds if zone is None else from_wall_clock(seconds, zone)
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, Decimal) and value.is_finite():
        return _from_number(float(value))
    return None


def is_numeric_text(text: str) -> bool:
    """Whether a text is an epoch number."""
    return _NUMERIC_TEXT.fullmatch(text) is not None


def from_wall_clock(wall: float, zone: ZoneInfo) -> float:
    """The instant (epoch seconds) at which a clock in `zone` shows a wall time."""
    return wall - _offset_of_wall_clock(zone, int(wall // _QUARTER))


def to_wall_clock(seconds: float, zone: ZoneInfo) -> float:
    """The wall time that a clock in `zone` shows at an instant."""
    try:
        offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset()
    except OverflowError:
        return seconds
    return seconds + (offset.total_seconds() if offset is not None else 0.0)


def wall_time(value: object, instant: float) -> float:
    """The wall time of a stored timestamp: the clock time that it shows.

    `instant` is what it means. They differ by an offset that a text carries or that a site's zone gives it.
    """
    if isinstance(value, str) and not is_numeric_text(value):
        try:
            return datetime.fromisoformat(value.strip()).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return instant
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).timestamp()
    return instant


def bson_date(seconds: float) -> datetime | DatetimeMS:
    """An instant as BSON dates are read: naive UTC, or plain milliseconds where the calendar ends."""
    milliseconds = math.floor(seconds * 1000 + 0.5)
    try:
        return _EPOCH.replace(tzinfo=None) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return DatetimeMS(milliseconds)


def iso(seconds: float) -> str:
    """An instant as ISO 8601 in UTC to the millisecond, for any instant that BSON can hold."""
    return iso_of_milliseconds(math.floor(seconds * 1000 + 0.5))


def iso_of_milliseconds(milliseconds: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC; a plain number of them where the calendar ends (year 9999)."""
    whole, rest = divmod(milliseconds, 1000)
    day, second = divmod(whole, 86400)
    date = _date_text(day)
    if date is None:
        return str(milliseconds)
    minute, second = divmod(second, 60)
    return f"{date}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}.{rest:03d}Z"


def parse_instant(text: str, what: str) -> float:
    """Epoch seconds of a stamp that a request carries: ISO 8601 or `YYYY-MM-DD HH:MM:SS`, UTC without an offset.

    Raises InvalidInput, naming the field `what`.
    """
    stamp = text.strip()
    for attempt in (stamp, _LOST_PLUS.sub(r"\1+\2", stamp)):
        try:
            moment = datetime.fromisoformat(attempt)
        except ValueError:
            continue
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    raise InvalidInput(
        f"{what} {text[:80]!r} can't be read as a time: write it like 2025-06-07T14:30:00Z, 2025-06-07T15:30:00+01:00"
        " or 2025-06-07 14:30:00 (UTC where no offset is given)",
        ErrorCode.INVALID_TIME,
    )


def _from_text(text: str, zone: ZoneInfo | None) -> float | None:
    text = text.strip()
    if is_numeric_text(text):
        return _from_number(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return moment.timestamp()
    seconds = moment.replace(tzinfo=UTC).timestamp()
    return seconds if zone is None else from_wall_clock(seconds, zone)


def _from_number(number: float) -> float | None:
    if not -MILLISECONDS_FROM < number < NUMBERS_UNTIL:  # false for NaN and infinities too
        return None
    return number / 1000 if number >= MILLISECONDS_FROM else float(number)


@lru_cache(maxsize=65536)
def _offset_of_wall_clock(zone: ZoneInfo, quarter: int) -> float:
    try:
        wall = datetime(1970, 1, 1) + timedelta(seconds=quarter * _QUARTER)  # noqa: DTZ001 - a clock time
    except OverflowError:
        return 0.0
    offset = wall.replace(tzinfo=zone, fold=0).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


@lru_cache(maxsize=4096)
def _date_text(day: int) -> str | None:
    try:
        return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d").rjust(10, "0")
    except OverflowError:
        return None
