"""Instants: each kind of stored timestamp means the instant that its producer meant."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from workers.common.errors import InvalidInput
from workers.sites import instants

LISBON = ZoneInfo("Europe/Lisbon")
NOON = datetime(2025, 6, 7, 12, 0, tzinfo=UTC)
NOON_S = NOON.timestamp()


def _instant(stored: object) -> datetime:
    """What a stamp of a producer in Lisbon means."""
    seconds = instants.to_epoch(stored, LISBON)
    assert seconds is not None
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    "stored",
    [
        NOON,
        NOON.replace(tzinfo=None),
        datetime(2025, 6, 7, 14, 0, tzinfo=timezone(timedelta(hours=2))),
        DatetimeMS(int(NOON_S * 1000)),
        "2025-06-07T12:00:00Z",
        "2025-06-07 12:00:00",
        "2025-06-07T12:00",
        "2025-06-07T12:00:00.000000",
        "2025-06-07T13:00:00+01:00",
        " 2025-06-07T13:00:00+0100 ",
        int(NOON_S),
        NOON_S,
        int(NOON_S * 1000),
        NOON_S * 1000,
        str(int(NOON_S)),
        str(int(NOON_S * 1000)),
        Decimal(int(NOON_S)),
        Decimal128(str(int(NOON_S * 1000))),
    ],
    ids=repr,
)
def test_every_stored_kind_of_timestamp_means_one_instant(stored: object) -> None:
    assert instants.to_epoch(stored) == NOON_S


@pytest.mark.parametrize(
    "stored",
    [
        None,
        True,
        "",
        "yesterday",
        "Invalid Date",
        "12",
        [],
        {},
        float("nan"),
        float("inf"),
        -1e12,
        1e15,
        b"x",
        Decimal("sNaN"),
    ],
    ids=repr,
)
def test_what_is_no_timestamp_is_none(stored: object) -> None:
    assert instants.to_epoch(stored) is None


@pytest.mark.parametrize(
    ("stored", "utc_hour"),
    [
        (datetime(2025, 6, 7, 12, 0, tzinfo=UTC), 11),
        (DatetimeMS(int(NOON_S * 1000)), 11),
        ("2025-06-07 12:00:00", 11),
        ("2025-06-07T12:00:00Z", 12),
        ("2025-06-07T12:00:00+02:00", 10),
        (int(NOON_S), 12),
        (int(NOON_S * 1000), 12),
        ("2025-01-07T12:00:00", 12),
    ],
    ids=repr,
)
def test_source_time_zone_moves_only_stamps_without_an_offset(stored: object, utc_hour: int) -> None:
    assert _instant(stored).hour == utc_hour


def test_a_clock_reading_that_occurs_twice_means_its_first_pass() -> None:
    assert _instant("2025-10-26T01:30:00") == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert _instant("2025-10-26T02:00:00") == datetime(2025, 10, 26, 2, 0, tzinfo=UTC)
    # The hour that never occurs goes on with the offset before the change.
    assert _instant("2025-03-30T01:30:00") == datetime(2025, 3, 30, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "utc_hour"),
    [
        ("2025-06-07T12:00:00+02:00", 12),
        ("2025-06-07T12:00:00", 12),
        (datetime(2025, 6, 7, 12), 12),  # noqa: DTZ001 - as BSON dates are read
        # A number shows no clock: its instant stands.
        (int(NOON_S), 11),
    ],
)
def test_a_wall_time_is_the_clock_time_that_a_stamp_shows(stored: object, utc_hour: int) -> None:
    eleven = datetime(2025, 6, 7, 11, tzinfo=UTC)
    shown = eleven.replace(hour=utc_hour)
    assert instants.wall_time(stored, eleven.timestamp()) == shown.timestamp()


def test_wall_clock_and_instant_are_inverse_where_the_clock_reads_once() -> None:
    for day in range(365):
        seconds = datetime(2025, 1, 1, 5, 15, tzinfo=UTC).timestamp() + day * 86400.0
        shown = datetime.fromtimestamp(seconds, LISBON).replace(tzinfo=UTC).timestamp()
        assert instants.from_wall_clock(shown, LISBON) == seconds


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1749297600123, "2025-06-07T12:00:00.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62135596800000, "0001-01-01T00:00:00.000Z"),
        (253402300799999, "9999-12-31T23:59:59.999Z"),
        (253402300800000, "253402300800000"),
    ],
)
def test_instants_are_written_as_iso_utc_to_the_millisecond(milliseconds: int, text: str) -> None:
    assert instants.iso_of_milliseconds(milliseconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-07 12:00:00",
        "2025-06-07T12:00:00Z",
        "2025-06-07T13:00:00+01:00",
        "2025-06-07T13:00:00 01:00",  # a plus sign that a query string turned into a space
        "2025-06-07T12:00:00.000Z",
    ],
)
def test_a_request_may_write_an_instant_in_any_usual_way(text: str) -> None:
    assert instants.parse_instant(text, "from_ts") == NOON_S


@pytest.mark.parametrize("text", ["Invalid Date", "", "now", "2025-13-01", "07/06/2025 12:00", "x" * 5000])
def test_an_unreadable_instant_is_refused_naming_its_field(text: str) -> None:
    with pytest.raises(InvalidInput, match="from_ts") as error:
        instants.parse_instant(text, "from_ts")
    assert len(error.value.detail) < 400
