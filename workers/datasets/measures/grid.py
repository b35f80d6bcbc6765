"""The grid of a dataset: bins `[t, t + period)` counted on the UTC epoch, one grid for all its files.

Instants are whole milliseconds since the epoch (UTC); a bin's number is its start divided by the period. Since the
period divides a day, every UTC day begins a bin.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.datasets.measures.arrays import Instants

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True)
class Grid:
    """`bins` consecutive bins of `period_ms`, the first with the number `first`."""

    first: int
    bins: int
    period_ms: int

    @classmethod
    def spanning(cls, start_ms: int, end_ms: int, period_ms: int) -> "Grid":
        """The bins that touch `[start_ms, end_ms)`: both bounds are snapped outwards."""
        first = start_ms // period_ms
        return cls(first, max(0, -(-end_ms // period_ms) - first), period_ms)

    @property
    def end(self) -> int:
        """The number of the bin after the last."""
        return self.first + self.bins

    @property
    def start_ms(self) -> int:
        return self.first * self.period_ms

    @property
    def end_ms(self) -> int:
        return self.end * self.period_ms

    @property
    def minutes(self) -> int:
        """The period in minutes."""
        return self.period_ms // MINUTE_MS

    @property
    def per_day(self) -> int:
        """Bins in a day."""
        return DAY_MS // self.period_ms

    def starts(self) -> Instants:
        """Each bin's start."""
        return np.arange(self.first, self.end, dtype=np.int64) * self.period_ms

    def ahead(self, hours: int) -> int:
        """How many bins after a bin the one lies that holds its start plus `hours`."""
        return hours * HOUR_MS // self.period_ms

    def extended(self, ms: int) -> "Grid":
        """This grid with the bins after it that begin less than `ms` after its end."""
        return Grid(self.first, self.bins + math.ceil(ms / self.period_ms), self.period_ms)

    def clipped(self, first: int, end: int) -> "Grid":
        """The part of this grid from bin `first` to before bin `end`; may be empty."""
        start = max(self.first, first)
        return Grid(start, max(0, min(self.end, end) - start), self.period_ms)


@dataclass(frozen=True)
class TimeWindow:
    """A stretch of time that one read task owns: every instant in `[start_ms, end_ms)`.

    Windows meet at UTC midnights, since a column's cadence is that of its UTC day. Prices are read to `prices_end_ms`,
    which is later than `end_ms` only in the last window: the look-ahead reads past a dataset's end.
    """

    start_ms: int
    end_ms: int
    prices_end_ms: int


def time_windows(start_ms: int, end_ms: int, days: int, prices_beyond_ms: int) -> Iterator[TimeWindow]:
    """`[start_ms, end_ms)` cut at UTC midnights into windows of at most `days` days."""
    start = start_ms
    while start < end_ms:
        end = min(end_ms, (start // DAY_MS + days) * DAY_MS)
        yield TimeWindow(start, end, end_ms + prices_beyond_ms if end == end_ms else end)
        start = end
