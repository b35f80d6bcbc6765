"""A charger's file: its sessions as the six columns that CityLearn reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.datasets.files.writers import number_text
from workers.datasets.measures.columns import (
    CHARGER_ARRIVAL,
    CHARGER_ARRIVAL_SOC,
    CHARGER_COLUMNS,
    CHARGER_DEPARTURE,
    CHARGER_EV,
    CHARGER_REQUIRED_SOC,
    CHARGER_STATE,
)
from workers.datasets.measures.grid import MINUTE_MS, Grid
from workers.datasets.steps.sessions import Session

PLUGGED_IN: Final = "1"
INCOMING: Final = "2"
NOBODY: Final = "3"
#: CityLearn reads a SOC up to 1 as a fraction: 1 percent and less is written as this.
_SMALLEST_PERCENT: Final = 1.01


@dataclass(frozen=True)
class ChargerFile:
    """The columns of a charger's file as text, and how many sessions lacked a required SOC."""

    columns: dict[str, list[str]]
    sessions: int
    without_required_soc: int


def charger_file(
    sessions: Sequence[Session], grid: Grid, horizon_minutes: int, required_soc: float, arrival_soc: float | None
) -> ChargerFile:
    """Sessions (in time order) on `grid`; `required_soc` and `arrival_soc` (percent) stand where nobody stated one."""
    columns = {name: [""] * grid.bins for name in CHARGER_COLUMNS}
    columns[CHARGER_STATE] = [NOBODY] * grid.bins
    horizon = horizon_minutes * MINUTE_MS // grid.period_ms
    free_from = 0
    for session in sessions:
        arrival = _arrival_soc(session, arrival_soc)
        required = required_soc if np.isnan(session.required_soc) else session.required_soc
        for row in range(max(free_from, session.first - horizon), session.first):
            columns[CHARGER_STATE][row] = INCOMING
            columns[CHARGER_EV][row] = session.car
            columns[CHARGER_ARRIVAL][row] = str(session.first - row)
            columns[CHARGER_ARRIVAL_SOC][row] = arrival
        for row in range(session.first, session.end):
            start = (grid.first + row) * grid.period_ms
            columns[CHARGER_STATE][row] = PLUGGED_IN
            columns[CHARGER_EV][row] = session.car
            columns[CHARGER_DEPARTURE][row] = str(-((start - session.departure_ms) // grid.period_ms))
            columns[CHARGER_REQUIRED_SOC][row] = _soc(required)
        # CityLearn looks for the SOC of an arriving car here, unless the row before it announces the car.
        columns[CHARGER_ARRIVAL_SOC][session.first] = arrival
        free_from = session.end
    return ChargerFile(columns, len(sessions), sum(bool(np.isnan(s.required_soc)) for s in sessions))


def _arrival_soc(session: Session, default: float | None) -> str:
    if not np.isnan(session.arrival_soc):
        return _soc(session.arrival_soc)
    return "" if default is None else _soc(default)


def _soc(percent: float) -> str:
    return number_text(_SMALLEST_PERCENT if 0.0 < percent <= 1.0 else percent)
