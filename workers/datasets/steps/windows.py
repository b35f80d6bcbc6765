"""One window of one building: its documents, reduced to what the rest of a build needs.

Windows can be read anywhere and in any order, by tasks that know nothing of each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.datasets.measures.arrays import Flags
from workers.datasets.measures.columns import MEASURED, PRICE
from workers.datasets.measures.grid import TimeWindow
from workers.datasets.reading.documents import ReadOptions, read_documents
from workers.datasets.steps.resample import SeriesPartial, reduce_readings
from workers.datasets.steps.sessions import PlugPartial, reduce_plugs
from workers.sites.client import Document


@dataclass(frozen=True)
class WindowPartial:
    """What one window of one building holds, reduced to bins. `first` and `last` are documents' instants."""

    building: str
    window: TimeWindow
    documents: int
    first: int | None
    last: int | None
    unstamped: int
    generated: int
    duplicates: int
    per_mwh: int
    unusable: dict[str, int]
    series: dict[str, SeriesPartial]
    plugs: PlugPartial | None

    def summary(self) -> "WindowPartial":
        """All but the bulk: what `make_plan` needs."""
        plugs = self.plugs
        if plugs is not None:
            plugs = replace(
                plugs, presence=plugs.presence.without_bins(), plugged=plugs.plugged[:0], sparse=plugs.sparse[:0]
            )
        return replace(self, series={name: s.without_bins() for name, s in self.series.items()}, plugs=plugs)


def read_window(
    building: str, documents: Iterable[Document], window: TimeWindow, period_ms: int, options: ReadOptions
) -> WindowPartial:
    """The documents of a building and a window, in any order; those of other times are left out."""
    readings = read_documents(documents, options, window.start_ms, window.prices_end_ms)
    own = readings.instants < window.end_ms
    stamps = readings.instants[own]
    series = {}
    for name, values in readings.columns.items():
        # Prices alone are wanted past the window's end.
        usable: Flags = ~np.isnan(values) if name == PRICE.name else ~np.isnan(values) & own
        partial = reduce_readings(readings.instants[usable], values[usable], MEASURED[name].kind, period_ms)
        if partial is not None:
            series[name] = partial
    return WindowPartial(
        building=building,
        window=window,
        documents=len(stamps),
        first=int(stamps[0]) if len(stamps) else None,
        last=int(stamps[-1]) if len(stamps) else None,
        unstamped=readings.unstamped,
        generated=readings.generated,
        duplicates=readings.duplicates,
        per_mwh=readings.per_mwh,
        unusable=readings.unusable,
        series=series,
        plugs=reduce_plugs(stamps, readings.plugs.until(len(stamps)), period_ms),
    )


def series_of(partials: Sequence[WindowPartial], column: str) -> list[SeriesPartial]:
    """The pieces of a column."""
    return [p.series[column] for p in partials if column in p.series]
