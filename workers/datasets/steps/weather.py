"""The weather file: four measured columns, each with what it will be 6, 12 and 24 hours later."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from workers.common.errors import InvalidInput
from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import WEATHER_AHEAD_HOURS, WEATHER_COLUMNS, Kind
from workers.datasets.measures.grid import Grid
from workers.datasets.steps.look_ahead import look_ahead
from workers.datasets.steps.resample import merge, reduce_readings


@dataclass(frozen=True)
class SourceDataset:
    """Columns of another dataset's file: `start_ms` and `period_ms` are unknown (None) where it has no manifest."""

    name: str
    columns: Mapping[str, Floats]
    start_ms: int | None
    period_ms: int | None


def weather_columns(measured: Mapping[str, Floats], grid: Grid) -> dict[str, Floats]:
    """The file's 16 columns, in order, from its four complete ones."""
    columns = {column.name: measured[column.name] for column in WEATHER_COLUMNS}
    for column in WEATHER_COLUMNS:
        for n, hours in enumerate(WEATHER_AHEAD_HOURS, 1):
            columns[f"{column.name}_predicted_{n}"] = look_ahead(measured[column.name], grid, hours)
    return columns


def borrowed(source: SourceDataset, column: str, grid: Grid) -> Floats:
    """A column of another dataset on `grid`, NaN where it has nothing.

    Values hold over the source's period. A source of other years is moved by whole years.

    Raises:
        InvalidInput: it lacks the column, has nothing of the window, or doesn't say its time and has another length.
    """
    values = source.columns.get(column)
    if values is None:
        raise InvalidInput(f"The dataset {source.name!r} has no column {column}")
    if source.start_ms is None or source.period_ms is None:
        if len(values) != grid.bins:
            raise InvalidInput(
                f"The dataset {source.name!r} doesn't say what time its {len(values)} rows of {column} are of, and this"
                f" dataset has {grid.bins}"
            )
        return values
    start = _moved(source.start_ms, len(values) * source.period_ms, grid)
    instants = start + np.arange(len(values), dtype=np.int64) * source.period_ms
    known = np.isfinite(values)
    partial = reduce_readings(instants[known], values[known], Kind.INTENSIVE, grid.period_ms)
    result = np.full(grid.bins, np.nan) if partial is None else merge([partial], Kind.INTENSIVE, grid).values
    if np.isnan(result).all():
        raise InvalidInput(f"The dataset {source.name!r} has no {column} for the time of this dataset")
    return result


def _moved(start_ms: int, length_ms: int, grid: Grid) -> int:
    """`start_ms`, in the year in which the source's time overlaps `grid`, where there is one."""
    if start_ms < grid.end_ms and start_ms + length_ms > grid.start_ms:
        return start_ms
    start = datetime.fromtimestamp(start_ms / 1000, UTC)
    wanted = datetime.fromtimestamp(grid.start_ms / 1000, UTC).year
    for year in (wanted, wanted - 1):
        # 29 February becomes the day before in a common year.
        day = min(start.day, 28) if start.month == 2 else start.day
        moved = int(start.replace(year=year, day=day).timestamp() * 1000)
        if moved < grid.end_ms and moved + length_ms > grid.start_ms:
            return moved
    return start_ms
