"""Readings into bins: the rules with hand-computed values, and what holds for any readings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.datasets.measures.columns import Kind
from workers.datasets.measures.grid import DAY_MS, HOUR_MS, MINUTE_MS, Grid, TimeWindow, time_windows
from workers.datasets.steps.resample import Series, merge, reduce_readings, window_cadence

DAY = 20_000 * DAY_MS


def binned(readings: dict[float, float], kind: Kind, period: int, *, days: int = 2, split: bool = False) -> Series:
    """Readings (minutes after midnight: value) on a grid of `days` days, in one piece or one for each day."""
    grid = Grid.spanning(DAY, DAY + days * DAY_MS, period * MINUTE_MS)
    instants = np.array([DAY + round(minute * MINUTE_MS) for minute in sorted(readings)], dtype=np.int64)
    values = np.array([readings[minute] for minute in sorted(readings)])
    pieces = []
    for window in time_windows(DAY, DAY + days * DAY_MS, 1 if split else days, 0):
        inside = (instants >= window.start_ms) & (instants < window.end_ms)
        pieces.append(reduce_readings(instants[inside], values[inside], kind, grid.period_ms))
    return merge([piece for piece in pieces if piece is not None], kind, grid)


def every(step: float, count: int, value: float, start: float = 0) -> dict[float, float]:
    return {start + step * i: value for i in range(count)}


def test_energy_is_added_and_levels_are_averaged() -> None:
    assert binned(every(15, 96, 0.5), Kind.ENERGY, 60).values[:24].tolist() == [2.0] * 24
    assert binned(every(15, 96, 20.0), Kind.INTENSIVE, 60).values[:24].tolist() == [20.0] * 24


def test_a_bin_that_lacks_readings_is_scaled_to_what_its_cadence_promises() -> None:
    readings = every(15, 96, 0.5)
    del readings[75]  # 01:15
    series = binned(readings, Kind.ENERGY, 60)
    assert series.values[:3].tolist() == [2.0, 2.0, 2.0]
    assert np.flatnonzero(series.scaled).tolist() == [1]
    levels = every(15, 96, 20.0)
    del levels[75]
    assert binned(levels, Kind.INTENSIVE, 60).values[1] == 20.0


def test_a_bin_with_more_readings_than_its_cadence_promises_is_never_reduced() -> None:
    series = binned(every(15, 96, 0.5) | {62: 0.25, 63: 0.25}, Kind.ENERGY, 60)
    assert series.values[1] == 2.5
    assert not series.scaled.any()


def test_a_bin_without_reading_is_missing() -> None:
    readings = {minute: v for minute, v in every(15, 96, 0.5).items() if not 60 <= minute < 120}
    assert np.isnan(binned(readings, Kind.ENERGY, 60).values[1])


def test_readings_further_apart_than_the_period_are_spread_over_their_time() -> None:
    series = binned(every(60, 24, 2.0), Kind.ENERGY, 15)
    assert series.values[:96].tolist() == [0.5] * 96
    assert not series.scaled.any()
    assert binned(every(60, 24, 21.0), Kind.INTENSIVE, 15).values[:96].tolist() == [21.0] * 96


def test_a_spread_that_does_not_meet_the_grid_is_divided_by_time() -> None:
    series = binned(every(20, 72, 4.0), Kind.ENERGY, 15)
    assert series.values[:4].tolist() == pytest.approx([3.0, 3.0, 3.0, 3.0])
    levels = binned({0: 10.0, 20: 20.0, 40: 30.0, 60: 40.0}, Kind.INTENSIVE, 15)
    # 00:15 holds 5 minutes of 10 and 10 minutes of 20.
    assert levels.values[:4].tolist() == pytest.approx([10.0, 250 / 15, 350 / 15, 30.0])


def test_cadence_is_that_of_the_utc_day() -> None:
    mixed = every(15, 96, 0.5) | every(60, 24, 2.0, start=1440)
    assert binned(mixed, Kind.ENERGY, 30).values.tolist() == [1.0] * 96


def test_a_day_with_under_three_readings_takes_the_windows_cadence() -> None:
    sparse = every(15, 96, 0.5) | {1440 + 600: 0.5, 1440 + 615: 0.5}
    for split in (False, True):
        series = binned(sparse, Kind.ENERGY, 60, split=split)
        assert series.values[34] == 2.0  # two of the four that 15 minutes promise
        assert series.scaled[34]


@pytest.mark.parametrize("gaps", [[1], [1, 2], [1, 2, 3, 4], [5, 1, 1, 9, 2], [3, 3, 3]])
def test_the_windows_cadence_is_the_median_of_all_spacings(gaps: list[int]) -> None:
    stamps = DAY + np.cumsum([0, *gaps]) * HOUR_MS
    pieces = [
        piece
        for day in range(2)
        if (inside := (stamps // DAY_MS == DAY // DAY_MS + day)).any()
        and (piece := reduce_readings(stamps[inside], np.ones(inside.sum()), Kind.ENERGY, HOUR_MS)) is not None
    ]
    assert window_cadence(pieces) == np.median(gaps) * HOUR_MS


def test_windows_meet_at_utc_midnights_and_read_prices_past_the_end() -> None:
    start, end = DAY + 5 * HOUR_MS, DAY + 2 * DAY_MS + HOUR_MS
    assert list(time_windows(start, end, 1, 3 * HOUR_MS)) == [
        TimeWindow(start, DAY + DAY_MS, DAY + DAY_MS),
        TimeWindow(DAY + DAY_MS, DAY + 2 * DAY_MS, DAY + 2 * DAY_MS),
        TimeWindow(DAY + 2 * DAY_MS, end, end + 3 * HOUR_MS),
    ]


def test_bounds_are_snapped_outwards() -> None:
    grid = Grid.spanning(DAY + 61 * MINUTE_MS, DAY + 121 * MINUTE_MS, HOUR_MS)
    assert (grid.start_ms, grid.end_ms) == (DAY + HOUR_MS, DAY + 3 * HOUR_MS)


PERIODS = [period for period in range(1, 1441) if 1440 % period == 0]
SCATTERED = st.lists(st.integers(0, 4 * 1440 - 1), unique=True, min_size=1, max_size=60)
REGULAR = st.builds(lambda step, count: list(range(0, step * count, step)), st.integers(1, 200), st.integers(1, 25))


def spread_by_hand(readings: dict[float, float], period: int) -> dict[int, float]:
    """What each bin gets, reading by reading; nothing is scaled."""
    minutes = sorted(readings)
    window = np.median(np.diff(minutes)) if len(minutes) > 1 else period
    bins: dict[int, float] = {}
    for minute in minutes:
        day = [m for m in minutes if m // 1440 == minute // 1440]
        cadence = np.median(np.diff(day)) if len(day) >= 3 else window
        if cadence <= period:
            own = int(minute // period)
            bins[own] = bins.get(own, 0.0) + readings[minute]
            continue
        for bin_ in range(int(minute // period), int((minute + cadence) // period) + 1):
            overlap = min(minute + cadence, (bin_ + 1) * period) - max(minute, bin_ * period)
            if overlap > 0:
                bins[bin_] = bins.get(bin_, 0.0) + readings[minute] * overlap / cadence
    return bins


@given(period=st.sampled_from(PERIODS), minutes=SCATTERED | REGULAR, data=st.data())
def test_energy_is_conserved_for_any_period_and_cadence_whole_or_in_pieces(
    period: int, minutes: list[int], data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.floats(-10, 10), min_size=len(minutes), max_size=len(minutes)))
    readings = dict(zip(map(float, minutes), values, strict=True))
    whole = binned(readings, Kind.ENERGY, period, days=12)
    for bin_, energy in spread_by_hand(readings, period).items():
        if not whole.scaled[bin_]:
            assert whole.values[bin_] == pytest.approx(energy, abs=1e-9)
        else:
            assert abs(whole.values[bin_]) >= abs(energy) - 1e-9
    if not whole.scaled.any():
        assert np.nansum(whole.values) == pytest.approx(sum(values), abs=1e-6)
    pieces = binned(readings, Kind.ENERGY, period, days=12, split=True)
    np.testing.assert_allclose(pieces.values, whole.values, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(pieces.scaled, whole.scaled)


@given(period=st.sampled_from(PERIODS), minutes=SCATTERED | REGULAR, level=st.floats(-50, 50))
def test_a_level_that_never_changes_stays_what_it_is(period: int, minutes: list[int], level: float) -> None:
    series = binned(dict.fromkeys(map(float, minutes), level), Kind.INTENSIVE, period, days=12)
    known = series.values[~np.isnan(series.values)]
    np.testing.assert_allclose(known, level, rtol=1e-12)
    assert len(known) >= 1
