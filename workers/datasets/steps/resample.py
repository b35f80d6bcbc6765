"""Readings of one column into bins: sum, mean, or spread, as the column's kind and cadence ask.

With c the median spacing of a column's readings in a UTC day (of the whole window where the day has under 3):

- c <= period: an energy bin with 0 < k < floor(period / c) readings is multiplied by floor(period / c) / k, never
  reduced; an intensive bin is the mean of its readings.
- c > period: a reading stands for [t, t + c). Energy is spread evenly over it; an intensive value holds over it, and a
  bin's value is the mean of what holds in it, weighted by time.

The work is done in two steps, so that a long window can be read in pieces: `reduce_readings` turns the readings of one
piece, whole UTC days, into a small `SeriesPartial`; `merge` puts the pieces of a window together. Only days with
under 3 readings wait for the merge, which alone knows the window's median.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from workers.datasets.measures.arrays import Flags, Floats, Instants
from workers.datasets.measures.columns import Kind
from workers.datasets.measures.grid import DAY_MS, Grid

#: A day with fewer readings has no cadence of its own.
_ENOUGH = 3


@dataclass(frozen=True)
class Bins:
    """Consecutive bins from number `first`.

    `total`: energy: kWh, scaled where readings were missing; intensive: the sum of values times weights.
    `weight`: milliseconds that the readings stand for; 0 where the bin has none.
    `scaled`: whether the bin's energy was multiplied.
    """

    first: int
    total: Floats
    weight: Floats
    scaled: Flags


@dataclass(frozen=True)
class Spacings:
    """The distances between consecutive readings: each distance (ms) and how often it occurs."""

    distances: Instants
    counts: Instants


@dataclass(frozen=True)
class SeriesPartial:
    """A column's readings of one piece of a window, reduced.

    `first` and `last` are the instants of the first and last reading, `last_bin` the last bin that a reading of a day
    with a cadence stands for; `readings` is not 0.
    """

    bins: Bins | None
    last_bin: int
    sparse_instants: Instants
    sparse_values: Floats
    spacings: Spacings
    first: int
    last: int
    readings: int

    def without_bins(self) -> "SeriesPartial":
        """All but the bulk: enough to know cadence and extent."""
        return replace(self, bins=None)


@dataclass(frozen=True)
class Footprint:
    """Which part of which reading falls into which bin: row by row, sorted by reading.

    `share` is the part of the reading (1 for the whole), `weight` the milliseconds it stands for in the bin, `whole`
    whether the reading lies in this bin alone.
    """

    reading: Instants
    bin: Instants
    share: Floats
    weight: Floats
    whole: Flags


def day_cadences(instants: Instants) -> Floats:
    """For each reading (sorted, distinct instants) the median spacing in its UTC day; NaN in days with under 3."""
    cadences = np.full(len(instants), np.nan)
    days = instants // DAY_MS
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    for begin, end in zip(starts, [*starts[1:], len(instants)], strict=True):
        if end - begin >= _ENOUGH:
            cadences[begin:end] = np.median(np.diff(instants[begin:end]))
    return cadences


def footprint(instants: Instants, cadences: Floats, period_ms: int) -> Footprint:
    """The bins that readings of the given cadences (NaN: unknown, taken as the period) stand for."""
    cadences = np.where(np.isnan(cadences), float(period_ms), cadences)
    held = cadences > period_ms
    first = instants // period_ms
    ends = instants + cadences
    last = np.where(held, np.ceil(ends / period_ms).astype(np.int64) - 1, first)
    lengths = last - first + 1
    reading = np.repeat(np.arange(len(instants)), lengths)
    offset = np.arange(len(reading)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    bins = first[reading] + offset
    overlap = np.minimum(ends[reading], (bins + 1) * period_ms) - np.maximum(instants[reading], bins * period_ms)
    whole = ~held[reading]
    weight = np.where(whole, cadences[reading], overlap)
    return Footprint(reading, bins, weight / cadences[reading], weight, whole)


def reduce_readings(instants: Instants, values: Floats, kind: Kind, period_ms: int) -> SeriesPartial | None:
    """The readings (sorted, distinct instants, finite values) of one piece of a window; None where there are none."""
    if not len(instants):
        return None
    cadences = day_cadences(instants)
    dense = ~np.isnan(cadences)
    bins = _bins(instants[dense], values[dense], cadences[dense], kind, period_ms) if dense.any() else None
    return SeriesPartial(
        bins=bins,
        last_bin=bins.first + len(bins.total) - 1 if bins else int(instants[-1]) // period_ms,
        sparse_instants=instants[~dense],
        sparse_values=values[~dense],
        spacings=Spacings(*np.unique(np.diff(instants), return_counts=True)),
        first=int(instants[0]),
        last=int(instants[-1]),
        readings=len(instants),
    )


def _bins(instants: Instants, values: Floats, cadences: Floats, kind: Kind, period_ms: int) -> Bins:
    marks = footprint(instants, cadences, period_ms)
    first = int(marks.bin.min())
    bins = marks.bin - first
    count = int(bins.max()) + 1
    amounts = values[marks.reading]
    scaled = np.zeros(count, dtype=np.bool_)
    if kind is Kind.ENERGY:
        factors, scaled = _scale(marks, bins, cadences, period_ms, count)
        amounts = amounts * marks.share * factors
    else:
        amounts = amounts * marks.weight
    return Bins(
        first=first,
        total=np.bincount(bins, amounts, count).astype(np.float64),
        weight=np.bincount(bins, marks.weight, count).astype(np.float64),
        scaled=scaled,
    )


def _scale(marks: Footprint, bins: Instants, cadences: Floats, period_ms: int, count: int) -> tuple[Floats, Flags]:
    """The factor of each row, and the bins that one was applied to."""
    factors = np.ones(len(bins))
    scaled = np.zeros(count, dtype=np.bool_)
    seen = np.bincount(bins[marks.whole], minlength=count)
    expected = np.floor(period_ms / cadences[marks.reading])
    short = marks.whole & (seen[bins] < expected)
    factors[short] = expected[short] / seen[bins[short]]
    scaled[bins[short]] = True
    return factors, scaled


def window_cadence(partials: Sequence[SeriesPartial]) -> float:
    """The median spacing of a column's readings over all pieces of a window; NaN where there is one reading only."""
    ordered = sorted(partials, key=lambda p: p.first)
    between = [b.first - a.last for a, b in pairwise(ordered)]
    distances = np.concatenate([*(p.spacings.distances for p in ordered), np.array(between, dtype=np.int64)])
    counts = np.concatenate([*(p.spacings.counts for p in ordered), np.ones(len(between), dtype=np.int64)])
    if not len(distances):
        return float("nan")
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(counts[order])
    total = int(reached[-1])
    low, high = np.searchsorted(reached, [(total - 1) // 2, total // 2], side="right")
    return float(distances[order[low]] + distances[order[high]]) / 2


def held_bins(partials: Sequence[SeriesPartial], period_ms: int) -> tuple[int, int]:
    """The first and the last bin that a column's readings stand for; partials `without_bins` do."""
    first = min(p.first for p in partials) // period_ms
    last = max(p.last_bin for p in partials)
    sparse = np.concatenate([p.sparse_instants for p in partials])
    if len(sparse):
        marks = footprint(sparse, np.full(len(sparse), window_cadence(partials)), period_ms)
        last = max(last, int(marks.bin.max()))
    return first, last


@dataclass(frozen=True)
class Series:
    """A column on a grid: its `values` (NaN: missing), the milliseconds that readings stand for in each bin (`weight`),
    which bins were `scaled`, and how many `readings` the window has."""

    values: Floats
    weight: Floats
    scaled: Flags
    readings: int


def merge(partials: Sequence[SeriesPartial], kind: Kind, grid: Grid) -> Series:
    """A window's pieces on its grid. What stands for bins outside the grid is left out."""
    total, weight = np.zeros(grid.bins), np.zeros(grid.bins)
    scaled = np.zeros(grid.bins, dtype=np.bool_)
    pieces = [p.bins for p in sorted(partials, key=lambda p: p.first) if p.bins is not None]
    sparse = [p for p in sorted(partials, key=lambda p: p.first) if len(p.sparse_instants)]
    if sparse:
        instants = np.concatenate([p.sparse_instants for p in sparse])
        values = np.concatenate([p.sparse_values for p in sparse])
        pieces.append(_bins(instants, values, np.full(len(instants), _known(partials, grid)), kind, grid.period_ms))
    for piece in pieces:
        part = grid.clipped(piece.first, piece.first + len(piece.total))
        into = slice(part.first - grid.first, part.end - grid.first)
        of = slice(part.first - piece.first, part.end - piece.first)
        total[into] += piece.total[of]
        weight[into] += piece.weight[of]
        scaled[into] |= piece.scaled[of]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = total if kind is Kind.ENERGY else total / weight
    return Series(np.where(weight > 0, values, np.nan), weight, scaled, sum(p.readings for p in partials))


def _known(partials: Sequence[SeriesPartial], grid: Grid) -> float:
    """The window's cadence; a lone reading has none and stands for its bin."""
    cadence = window_cadence(partials)
    return float(grid.period_ms) if np.isnan(cadence) else cadence
