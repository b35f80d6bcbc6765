"""The files that a dataset's buildings share: prices, weather, carbon intensity."""

from collections.abc import Mapping, Sequence

import numpy as np

from workers.datasets.files.building import BuildingResult
from workers.datasets.files.manifest import ColumnReport, SharedColumnEntry, Source
from workers.datasets.files.writers import column_text, csv_bytes
from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import CARBON, PRICE, WEATHER_COLUMNS, Column
from workers.datasets.plan import Plan
from workers.datasets.steps.clock_columns import LocalClock
from workers.datasets.steps.gaps import fill
from workers.datasets.steps.prices import price_grid, prices
from workers.datasets.steps.weather import SourceDataset, borrowed, weather_columns


class SharedColumns:
    """The files that buildings share, and where each of their columns comes from (`entries`)."""

    def __init__(
        self,
        plan: Plan,
        results: Sequence[BuildingResult],
        sources: Mapping[str, SourceDataset],
        warnings: list[str],
    ) -> None:
        self._plan = plan
        self._results = results
        self._sources = sources
        self._warnings = warnings
        self._clock = LocalClock.of(plan.grid, plan.zone)
        self.entries: dict[str, SharedColumnEntry | Source] = {}

    def pricing(self) -> bytes:
        grid = price_grid(self._plan.grid)
        default = self._plan.default(PRICE)
        having = [result for result in self._results if result.prices is not None]
        series = having[0].prices if having else None
        measured = np.full(grid.bins, np.nan) if series is None else series.values
        table = prices(measured, self._plan.grid, LocalClock.of(grid, self._plan.zone), default)
        report = ColumnReport(0 if series is None else series.readings, 0, 0, table.filled)
        self._warnings += report.warnings(f"The site {self._plan.request.site!r}", PRICE.name, default)
        self._report(PRICE.name, _origin(having), report)
        if having:
            self._say_other_prices(having[0].parts.name, measured, having[1:])
        return csv_bytes({column: column_text(values) for column, values in table.columns.items()})

    def _say_other_prices(self, name: str, measured: Floats, others: Sequence[BuildingResult]) -> None:
        for result in others:
            other = result.prices.values if result.prices is not None else measured
            if (np.abs(other - measured) > 1e-9).any():
                self._warnings.append(
                    f"Building {result.parts.name!r} has other prices than building {name!r}, whose were taken"
                )

    def weather(self) -> bytes:
        measured = {column.name: self._column(column, self._plan.request.weather) for column in WEATHER_COLUMNS}
        table = weather_columns(measured, self._plan.grid)
        return csv_bytes({column: column_text(values) for column, values in table.items()})

    def carbon(self) -> bytes | None:
        """The carbon file; None where neither the request nor any document says anything of it."""
        given = self._plan.request.carbon_intensity
        if isinstance(given, float):
            values = np.full(self._plan.grid.bins, given)
            self.entries[CARBON.name] = {"source": "the request"}
        elif given is None and not any(CARBON.name in result.shared for result in self._results):
            return None
        else:
            values = self._column(CARBON, given)
        return csv_bytes({CARBON.name: column_text(values)})

    def _column(self, column: Column, source: str | None) -> Floats:
        """A complete column, from another dataset, else from the first building that has it, else its default."""
        grid = self._plan.grid
        default = self._plan.default(column)
        readings = 0
        if source is not None:
            origin = f"dataset {source!r}"
            values = borrowed(self._sources[source], column.name, grid)
        else:
            having = [result for result in self._results if column.name in result.shared]
            origin = _origin(having)
            series = having[0].shared[column.name] if having else None
            values = np.full(grid.bins, np.nan) if series is None else series.values
            readings = 0 if series is None else series.readings
        report = ColumnReport(readings, 0, 0, fill(values, self._clock, grid.minutes, default))
        where = f"The site {self._plan.request.site!r}" if source is None else f"The dataset {source!r}"
        self._warnings += report.warnings(where, column.name, default)
        self._report(column.name, origin, report)
        return report.filled.values

    def _report(self, column: str, origin: str, report: ColumnReport) -> None:
        entry: SharedColumnEntry = {"source": origin, **report.entry(self._plan.grid)}
        self.entries[column] = entry


def _origin(having: Sequence[BuildingResult]) -> str:
    return f"building {having[0].parts.name!r}" if having else "default"
