"""Missing bins are filled by rule, from measured bins alone."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.instants import ms
from workers.datasets.measures.grid import DAY_MS, HOUR_MS, MINUTE_MS, Grid
from workers.datasets.steps.clock_columns import LocalClock
from workers.datasets.steps.gaps import Filled, Rule, fill

LISBON = ZoneInfo("Europe/Lisbon")


def filled(values: list[float], start: str, period: int, default: float = -1.0) -> Filled:
    grid = Grid(ms(start) // (period * MINUTE_MS), len(values), period * MINUTE_MS)
    return fill(np.array(values, dtype=float), LocalClock.of(grid, LISBON), period, default)


def gap(count: int) -> list[float]:
    return [np.nan] * count


def test_a_short_gap_is_bridged_by_a_straight_line() -> None:
    result = filled([1.0, *gap(2), 4.0], "2025-06-07 10:00", 15)
    assert result.values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (result.count(Rule.SHORT), result.longest_gap) == (2, 2)


@pytest.mark.parametrize(("bins", "rule"), [(4, Rule.SHORT), (5, Rule.DEFAULT)])
def test_sixty_minutes_are_short_and_more_are_not(bins: int, rule: Rule) -> None:
    result = filled([1.0, *gap(bins), 1.0], "2025-06-07 10:00", 15)
    assert result.count(rule) == bins


def test_a_gap_at_the_edge_is_not_short() -> None:
    result = filled([np.nan, 1.0, 2.0, np.nan], "2025-06-07 10:00", 15)
    assert result.values.tolist() == [-1.0, 1.0, 2.0, -1.0]
    assert result.count(Rule.DEFAULT) == 2


def test_a_long_gap_takes_the_mean_of_the_same_clock_time_on_the_nearest_days() -> None:
    days = np.arange(72, dtype=float)
    days[30:33] = np.nan  # day 2, 06:00 to 09:00 UTC
    result = filled(days.tolist(), "2025-06-07 00:00", 60)
    assert result.values[30:33].tolist() == [(6 + 54) / 2, (7 + 55) / 2, (8 + 56) / 2]
    assert (result.count(Rule.LONG), result.longest_gap) == (3, 3)


def test_one_side_serves_alone_and_days_without_the_bin_are_passed_over() -> None:
    days = np.full(24 * 5, 7.0)
    days[24 * 2 : 24 * 5] = np.nan  # the last three days: only the days before can serve
    days[24 + 12] = np.nan
    days[12] = 3.0
    result = filled(days.tolist(), "2025-06-07 00:00", 60)
    # Noon of day 2 is a gap of one hour: a line. It is no measured bin, so day 1 serves the later noons.
    assert result.values[24 + 12] == 7.0
    assert result.values[[24 * 2 + 12, 24 * 4 + 12]].tolist() == [3.0, 3.0]


def test_days_further_than_fourteen_do_not_serve() -> None:
    days = np.full(24 * 17, np.nan)
    days[:24] = 5.0
    result = filled(days.tolist(), "2025-06-07 00:00", 60)
    assert result.values[14 * 24] == 5.0
    assert result.values[15 * 24] == -1.0
    assert result.count(Rule.LONG) == 14 * 24


def test_the_same_clock_time_is_local_across_a_clock_change() -> None:
    values = np.full(24 * 3, np.nan)
    values[:24] = np.arange(24)  # 25 October 2025, summer time: UTC 08:00 shows 09:00
    result = filled(values.tolist(), "2025-10-25 00:00", 60)
    # On the 27th winter time holds: UTC 09:00 shows 09:00, as UTC 08:00 did on the 25th.
    assert result.values[48 + 9] == 8.0


def test_of_two_equal_clock_readings_the_earlier_serves() -> None:
    grid = Grid.spanning(ms("2025-10-26 00:00"), ms("2025-10-28 00:00"), HOUR_MS)
    values = np.full(grid.bins, np.nan)
    values[0], values[1] = 10.0, 20.0  # both show 01:00
    result = fill(values, LocalClock.of(grid, LISBON), 60, -1.0)
    assert result.values[24 + 1] == 10.0
    assert grid.bins == 2 * DAY_MS // HOUR_MS


def test_filled_bins_never_fill_others() -> None:
    days = np.full(24 * 3, np.nan)
    days[5] = 1.0
    result = filled(days.tolist(), "2025-06-07 00:00", 60)
    assert np.flatnonzero(result.values == 1.0).tolist() == [5, 29, 53]
    assert result.count(Rule.DEFAULT) == 69
