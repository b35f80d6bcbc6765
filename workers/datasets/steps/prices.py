"""Prices per kWh with what they will be one, two and three hours later."""

from dataclasses import dataclass

import numpy as np

from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import PRICE, PRICE_AHEAD_HOURS, PRICES_BEYOND_MS
from workers.datasets.measures.grid import Grid
from workers.datasets.steps.clock_columns import LocalClock
from workers.datasets.steps.gaps import Filled, fill
from workers.datasets.steps.look_ahead import look_ahead


@dataclass(frozen=True)
class Prices:
    """The price file's columns, and how the price itself was filled within the dataset's window."""

    columns: dict[str, Floats]
    filled: Filled


def price_grid(grid: Grid) -> Grid:
    """The bins that prices are taken from: the dataset's, and those that its last bins look ahead to."""
    return grid.extended(PRICES_BEYOND_MS)


def prices(values: Floats, grid: Grid, clock: LocalClock, default: float) -> Prices:
    """`values` per kWh (NaN: missing) and `clock` lie on `price_grid(grid)`."""
    measured = np.flatnonzero(~np.isnan(values))
    # Behind the last price there is no gap to fill: the look-ahead has a rule of its own for the true end.
    known = max(grid.bins, int(measured[-1]) + 1 if len(measured) else 0)
    filled = fill(values[:known], clock.until(known), grid.minutes, default)
    within = filled.until(grid.bins)
    columns = {PRICE.name: within.values}
    for n in PRICE_AHEAD_HOURS:
        columns[f"{PRICE.name}_predicted_{n}"] = look_ahead(filled.values, grid, n)
    return Prices(columns, within)
