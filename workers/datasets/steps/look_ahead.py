"""Columns of what comes: a column's value some hours later."""

import numpy as np

from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.grid import Grid


def look_ahead(known: Floats, grid: Grid, hours: int) -> Floats:
    """For each bin of `grid` the value of the bin that holds its start plus `hours`.

    `known` begins with the grid's values and may go on past its end. Where it ends, the same time (UTC) a day earlier
    stands, else the last value known.
    """
    wanted = np.arange(grid.bins) + grid.ahead(hours)
    wanted = np.where(wanted < len(known), wanted, wanted - grid.per_day)
    inside = (wanted >= 0) & (wanted < len(known))
    return known[np.where(inside, wanted, len(known) - 1)]
