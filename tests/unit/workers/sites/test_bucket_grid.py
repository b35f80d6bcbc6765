"""Buckets on the clock of a time zone: days of 23, 24 and 25 hours, and nothing lost or counted twice in between."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sites.bucket_grid import Grid

#: Clocks that change at night, at midnight, by half an hour, by a day; or never.
ZONES = ("Europe/Lisbon", "America/Havana", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata")
WIDTHS = (1, 15, 30, 45, 60, 90, 120, 360, 720, 1440)


def _starts(zone: str, first: datetime, last: datetime, minutes: int) -> list[datetime]:
    """The buckets that begin in a time, as local clock times."""
    grid = Grid(minutes * 60.0, ZoneInfo(zone))
    at = grid.start_of(first.timestamp())
    found = []
    while at < last.timestamp():
        found.append(datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)))
        at = grid.end_of(at)
    return found


def _clock(starts: list[datetime]) -> list[str]:
    return [f"{start:%H:%M%z}" for start in starts]


def _local(zone: str, *day: int) -> datetime:
    return datetime(*day, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2025, 3, 30), 23), ((2025, 10, 26), 25), ((2025, 6, 1), 24)],
    ids=["spring", "autumn", "summer"],
)
def test_a_local_day_has_23_24_or_25_hours_and_as_many_hourly_buckets(day: tuple[int, int, int], hours: int) -> None:
    first = _local("Europe/Lisbon", *day)
    last = first + timedelta(days=1)
    assert _starts("Europe/Lisbon", first, last, 1440) == [first]
    grid = Grid(86400.0, ZoneInfo("Europe/Lisbon"))
    assert grid.end_of(first.timestamp()) - first.timestamp() == hours * 3600
    assert len(_starts("Europe/Lisbon", first, last, 60)) == hours
    assert len(_starts("Europe/Lisbon", first, last, 15)) == hours * 4


@pytest.mark.parametrize(
    ("zone", "first", "minutes", "starts"),
    [
        # The hour that comes twice is two buckets.
        ("Europe/Lisbon", (2025, 10, 26), 60, ["00:00+0100", "01:00+0100", "01:00+0000", "02:00+0000", "03:00+0000"]),
        # Buckets that the change does not hold whole: one is longer.
        ("Europe/Lisbon", (2025, 10, 26), 120, ["00:00+0100", "02:00+0000"]),
        ("Europe/Lisbon", (2025, 10, 26), 90, ["00:00+0100", "01:30+0100", "03:00+0000"]),
        # The hour that is skipped is none; a bucket that would begin within it begins as the clock jumps.
        ("Europe/Lisbon", (2025, 3, 30), 60, ["00:00+0000", "02:00+0100", "03:00+0100", "04:00+0100"]),
        ("Europe/Lisbon", (2025, 3, 30), 90, ["00:00+0000", "02:00+0100", "03:00+0100"]),
        # Midnight comes twice in Havana, and not at all in Santiago.
        ("America/Havana", (2025, 11, 2), 60, ["00:00-0400", "00:00-0500", "01:00-0500", "02:00-0500"]),
        ("America/Havana", (2025, 11, 2), 1440, ["00:00-0400"]),
        ("America/Santiago", (2025, 9, 7), 60, ["01:00-0300", "02:00-0300", "03:00-0300", "04:00-0300"]),
        ("America/Santiago", (2025, 9, 7), 1440, ["01:00-0300"]),
        ("Australia/Lord_Howe", (2025, 4, 6), 60, ["00:00+1100", "01:00+1100", "02:00+1030", "03:00+1030"]),
        ("Australia/Lord_Howe", (2025, 4, 6, 1), 30, [
            "01:00+1100", "01:30+1100", "01:30+1030", "02:00+1030", "02:30+1030", "03:00+1030", "03:30+1030",
        ]),
        ("Asia/Kolkata", (2025, 4, 6), 60, ["00:00+0530", "01:00+0530", "02:00+0530", "03:00+0530"]),
    ],
)  # fmt: skip
def test_where_the_clock_changes_buckets_begin_as_the_docs_say(
    zone: str, first: tuple[int, ...], minutes: int, starts: list[str]
) -> None:
    begin = _local(zone, *first).timestamp()
    found = _starts(zone, datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(begin + 5 * 3600, UTC), minutes)
    assert _clock(found)[: len(starts)] == starts


def test_the_day_that_a_zone_skips_has_no_bucket() -> None:
    days = _starts("Pacific/Apia", _local("Pacific/Apia", 2011, 12, 28, 12), _local("Pacific/Apia", 2012, 1, 1), 1440)
    assert [f"{day:%m-%d %H:%M}" for day in days] == ["12-28 00:00", "12-29 00:00", "12-31 00:00"]


@given(
    st.sampled_from(ZONES), st.sampled_from(WIDTHS), st.integers(1_300_000_000, 1_900_000_000), st.integers(1, 90_000)
)
def test_buckets_follow_each_other_without_a_hole(zone: str, minutes: int, instant: int, later: int) -> None:
    grid = Grid(minutes * 60.0, ZoneInfo(zone))
    start = grid.start_of(instant)
    end = grid.end_of(start)
    assert start <= instant < end
    assert grid.start_of(start) == grid.start_of(end - 1) == start
    assert grid.start_of(end) == end
    assert grid.start_of(instant + later) >= start
    if minutes == 1440:
        dates = {datetime.fromtimestamp(at, ZoneInfo(zone)).date() for at in (start, instant, end - 1)}
        assert len(dates) == 1
        assert datetime.fromtimestamp(end, ZoneInfo(zone)).date() not in dates


def test_each_minute_of_a_week_with_a_change_lies_in_the_bucket_of_its_clock() -> None:
    for zone, month, day in (("Europe/Lisbon", 10, 23), ("Europe/Lisbon", 3, 27), ("Asia/Kolkata", 3, 27)):
        grid = Grid(3600.0, ZoneInfo(zone))
        first = _local(zone, 2025, month, day)
        minutes = [datetime.fromtimestamp(first.timestamp() + 60 * n, ZoneInfo(zone)) for n in range(7 * 1440)]
        for minute in minutes:
            assert grid.start_of(minute.timestamp()) == minute.timestamp() - minute.minute * 60
        starts = [grid.start_of(minute.timestamp()) for minute in minutes]
        assert all(earlier <= later for earlier, later in pairwise(starts))


def test_without_a_zone_and_beyond_the_calendar_buckets_lie_on_the_utc_epoch() -> None:
    assert Grid(2700.0).start_of(-1.0) == -2700.0
    assert Grid(2700.0).end_of(-2700.0) == 0.0
    far = Grid(3600.0, ZoneInfo("Europe/Lisbon"))
    assert far.start_of(1e13 + 1) == 1e13 + 1 - (1e13 + 1) % 3600
