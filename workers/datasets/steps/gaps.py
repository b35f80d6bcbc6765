"""Missing bins, filled by rule and counted.

A short gap (up to 60 minutes, with a valid bin on each side) is bridged by a straight line. Any other missing bin takes
the mean of the same local clock time on the nearest valid day before and the nearest after, 14 days away at most, or of
the one that exists. What is still missing gets the column's default. Filling reads original bins alone.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.datasets.measures.arrays import Flags, Floats, Instants
from workers.datasets.steps.clock_columns import LocalClock

SHORT_GAP_MINUTES: Final = 60
MAX_DAYS_AWAY: Final = 14
_DAY_MINUTES: Final = 1440


class Rule(IntEnum):
    """How a bin got its value."""

    MEASURED = 0
    SHORT = 1
    LONG = 2
    DEFAULT = 3


@dataclass(frozen=True)
class Filled:
    """A complete column, and the `Rule` that gave each bin its value."""

    values: Floats
    rules: npt.NDArray[np.int8]

    def count(self, rule: Rule) -> int:
        """How many bins got their value so."""
        return int((self.rules == rule).sum())

    @property
    def longest_gap(self) -> int:
        """The longest run of bins that nothing was measured in."""
        return int(_runs(self.rules != Rule.MEASURED)[1].max(initial=0))

    def until(self, bins: int) -> "Filled":
        """The first `bins` bins."""
        return Filled(self.values[:bins], self.rules[:bins])


def fill(values: Floats, clock: LocalClock, period_minutes: int, default: float) -> Filled:
    """`values` (NaN: missing), one for each bin of `clock`, without gaps."""
    valid = ~np.isnan(values)
    rules = np.full(len(values), Rule.MEASURED, dtype=np.int8)
    if valid.all():
        return Filled(values, rules)
    filled = _short_gaps(values, *_runs(~valid), period_minutes)
    rules[~valid] = Rule.SHORT
    rest = np.flatnonzero(np.isnan(filled))
    filled[rest] = _same_clock_time(values, valid, clock, rest)
    rules[rest] = np.where(np.isnan(filled[rest]), Rule.DEFAULT, Rule.LONG)
    filled[np.isnan(filled)] = default
    return Filled(filled, rules)


def _runs(missing: Flags) -> tuple[Instants, Instants]:
    """Where each run of missing bins starts, and how long it is."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


def _short_gaps(values: Floats, starts: Instants, lengths: Instants, period_minutes: int) -> Floats:
    """`values` with short gaps bridged by the line between the valid bins beside them."""
    line = values.copy()
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        end = start + length
        if length * period_minutes <= SHORT_GAP_MINUTES and start > 0 and end < len(values):
            line[start:end] = np.linspace(values[start - 1], values[end], length + 2)[1:-1]
    return line


def _same_clock_time(values: Floats, valid: Flags, clock: LocalClock, bins: Instants) -> Floats:
    """For each of `bins` the mean of the same clock time on the nearest valid days; NaN where there is none."""
    clock_minute = clock.day * _DAY_MINUTES + clock.minute_of_day
    # Of two bins that show the same clock, the earlier one counts: `np.unique` gives the first.
    shown, earliest = np.unique(clock_minute, return_index=True)
    sides = np.full((2, len(bins)), np.nan)
    for side, direction in enumerate((-1, 1)):
        for days in range(1, MAX_DAYS_AWAY + 1):
            open_bins = np.flatnonzero(np.isnan(sides[side]))
            if not len(open_bins):
                break
            wanted = clock_minute[bins[open_bins]] + direction * days * _DAY_MINUTES
            place = np.minimum(np.searchsorted(shown, wanted), len(shown) - 1)
            candidate = earliest[place]
            good = (shown[place] == wanted) & valid[candidate]
            sides[side, open_bins[good]] = values[candidate[good]]
    known = ~np.isnan(sides)
    count = known.sum(axis=0)
    total = np.where(known, sides, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
