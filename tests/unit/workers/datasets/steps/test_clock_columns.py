"""The clock columns are those of the site's zone, on both days that its clock changes."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.instants import ms
from workers.datasets.measures.grid import MINUTE_MS, Grid
from workers.datasets.steps.clock_columns import LocalClock, steps_like_citylearn

LISBON = ZoneInfo("Europe/Lisbon")


def clock(start: str, end: str, period: int = 60, zone: ZoneInfo = LISBON) -> LocalClock:
    return LocalClock.of(Grid.spanning(ms(start), ms(end), period * MINUTE_MS), zone)


def test_the_day_that_summer_time_ends_has_25_hours() -> None:
    day = clock("2025-10-25 23:00", "2025-10-27 00:00")
    assert day.hour.tolist() == [1, 2, 2, *range(3, 25)]
    assert day.daylight_savings_status.tolist() == [1, 1, *[0] * 23]
    assert set(day.day_type.tolist()) == {7}
    assert len(day.hour) == 25


def test_the_day_that_summer_time_begins_has_23_hours() -> None:
    day = clock("2025-03-30 00:00", "2025-03-30 23:00")
    assert day.hour.tolist() == [1, *range(3, 25)]
    assert day.daylight_savings_status.tolist() == [0, *[1] * 22]


def test_hours_run_from_1_to_24_and_days_from_monday_1() -> None:
    week = clock("2025-06-01 23:00", "2025-06-08 23:00")
    assert week.hour.tolist() == list(range(1, 25)) * 7
    assert week.day_type.tolist() == np.repeat(range(1, 8), 24).tolist()
    assert set(week.month.tolist()) == {6}


def test_minutes_are_those_of_the_bins_start() -> None:
    assert clock("2025-06-01 00:00", "2025-06-01 01:00", 15).minutes.tolist() == [0, 15, 30, 45]
    half = clock("2025-06-01 00:00", "2025-06-01 02:00", 60, ZoneInfo("Asia/Kolkata"))
    assert (half.hour.tolist(), half.minutes.tolist()) == ([6, 7], [30, 30])


@pytest.mark.parametrize(("month", "flag"), [("01", 0), ("07", 1)])
def test_summer_time_is_known_where_winter_is_the_exception(month: str, flag: int) -> None:
    noon = clock(f"2025-{month}-01 12:00", f"2025-{month}-01 13:00", 60, ZoneInfo("Europe/Dublin"))
    assert noon.daylight_savings_status.tolist() == [flag]


@pytest.mark.parametrize(
    ("start", "period", "steady"),
    [
        ("2025-10-26 00:00", 60, False),  # shows 01:00 twice
        ("2025-10-26 01:00", 60, True),
        ("2025-10-26 00:45", 15, False),  # 01:45, then 01:00
        ("2025-03-30 00:00", 60, False),  # 00:00, then 02:00
        ("2025-03-29 23:00", 60, True),
        ("2025-06-07 22:00", 60, True),  # 23:00, then midnight
        ("2025-06-07 00:00", 1440, True),
        ("2025-10-26 00:00", 1440, False),  # 01:00, then midnight
    ],
)
def test_a_clock_change_after_the_first_step_is_seen(start: str, period: int, steady: bool) -> None:
    grid = Grid(ms(start) // (period * MINUTE_MS), 2, period * MINUTE_MS)
    assert steps_like_citylearn(LocalClock.of(grid, LISBON), period) is steady
