"""Missing bins, filled by rule and counted.

A short gap (up to 60 minutes, with a valid bin on each side) is bridged by a straight line. Any other missing bin takes
the mean of the same local clock time on the nearest valid day before and the nearest after, 14 days away at most, or of
the one that exists. What is still missing gets the column's default. Filling reads original bins alone.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.datasets.arrays import Flags, Floats, Instants
from workers.datasets.clock_columns import LocalClock

SHORT_GAP_MINUTES: Final = 60
MAX_DAYS_AWAY: Final = 14
_DAY_MINUTES: Final = 1440


@dataclass(frozen=True)
class Filled:
    """A complete column, and how many bins each rule filled; `longest_gap` is in bins."""

    values: Floats
    short: int
    long: int
    default: int
    longest_gap: int


def fill(values: Floats, clock: LocalClock, period_minutes: int, default: float) -> Filled:
    """`values` (NaN: missing), one for each bin of `clock`, without gaps."""
    valid = ~np.isnan(values)
    if valid.all():
        return Filled(values, 0, 0, 0, 0)
    missing = ~valid
    starts, lengths = _runs(missing)
    short = _short_gaps(values, starts, lengths, period_minutes)
    filled = np.where(np.isnan(short), values, short)
    rest = np.flatnonzero(np.isnan(filled))
    filled[rest] = _same_clock_time(values, valid, clock, rest)
    default_bins = np.isnan(filled)
    filled[default_bins] = default
    by_default = int(default_bins.sum())
    return Filled(filled, int((~np.isnan(short)).sum()), len(rest) - by_default, by_default, int(lengths.max()))


def _runs(missing: Flags) -> tuple[Instants, Instants]:
    """Where each run of missing bins starts, and how long it is."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


def _short_gaps(values: Floats, starts: Instants, lengths: Instants, period_minutes: int) -> Floats:
    """The line through the nearest valid bins, in the bins of short gaps; NaN elsewhere."""
    line = np.full(len(values), np.nan)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        end = start + length
        if length * period_minutes <= SHORT_GAP_MINUTES and start > 0 and end < len(values):
            line[start:end] = np.linspace(values[start - 1], values[end], length + 2)[1:-1]
    return line


def _same_clock_time(values: Floats, valid: Flags, clock: LocalClock, bins: Instants) -> Floats:
    """For each of `bins` the mean of the same clock time on the nearest valid days; NaN where there is none."""
    reading = clock.day * _DAY_MINUTES + clock.minute_of_day
    # Of two bins that show the same clock, the earlier one counts: `np.unique` gives the first.
    shown, earliest = np.unique(reading, return_index=True)
    sides = np.full((2, len(bins)), np.nan)
    for side, direction in enumerate((-1, 1)):
        for days in range(1, MAX_DAYS_AWAY + 1):
            open_bins = np.flatnonzero(np.isnan(sides[side]))
            if not len(open_bins):
                break
            wanted = reading[bins[open_bins]] + direction * days * _DAY_MINUTES
            place = np.minimum(np.searchsorted(shown, wanted), len(shown) - 1)
            candidate = earliest[place]
            good = (shown[place] == wanted) & valid[candidate]
            sides[side, open_bins[good]] = values[candidate[good]]
    known = ~np.isnan(sides)
    count = known.sum(axis=0)
    total = np.where(known, sides, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
