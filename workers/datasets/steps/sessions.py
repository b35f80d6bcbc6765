"""Charger readings as sessions: which car is plugged in at each bin, until when, and with which SOC.

A bin has a car when cars were plugged in in at least half of its readings; it is the car with most of them. A session
is a run of bins with one car. Bins without any reading end it, unless they last at most 60 minutes and the same car
stands on both sides. As with columns, readings further apart than the period stand for the time until the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from workers.datasets.measures.arrays import Floats, Instants
from workers.datasets.measures.columns import Kind
from workers.datasets.measures.grid import Grid
from workers.datasets.reading.chargers import PlugReadings
from workers.datasets.steps.gaps import SHORT_GAP_MINUTES
from workers.datasets.steps.resample import (
    SeriesPartial,
    day_cadences,
    footprint,
    merge,
    reduce_readings,
    window_cadence,
)

#: What is known of a session from the first reading that says it.
_FACTS: Final = ("at", "soc", "required_soc", "arrival_soc", "departure_clock", "departure_at")
_KEY: Final = ["charger", "car", "bin"]


@dataclass(frozen=True)
class PlugPartial:
    """Charger readings of one piece of a window, reduced to bins.

    `presence` is the series of readings as such, `plugged` one row for each charger, car and bin: `weight` milliseconds
    plugged in, and the facts first read in it. `sparse` holds the rows of days with under 3 readings, not yet in bins.
    """

    chargers: frozenset[str]
    presence: SeriesPartial
    plugged: pd.DataFrame
    sparse: pd.DataFrame


@dataclass(frozen=True)
class Session:
    """A car at a charger in the bins `[first, end)` of a grid.

    SOC in percent, NaN where unknown: `arrival_soc` stated or else measured first. `departure_ms` is the instant that
    the car is expected to leave at, later than the start of the last bin.
    """

    car: str
    first: int
    end: int
    departure_ms: int
    required_soc: float
    arrival_soc: float


def reduce_plugs(instants: Instants, plugs: PlugReadings, period_ms: int) -> PlugPartial | None:
    """The charger readings of one piece of a window (whole UTC days); None where no document speaks of chargers."""
    stamps = instants[plugs.seen]
    presence = reduce_readings(stamps, np.ones(len(stamps)), Kind.INTENSIVE, period_ms)
    if presence is None:
        return None
    rows = pd.DataFrame(
        {
            "charger": pd.Series(plugs.chargers, dtype=object).reindex(plugs.charger).to_numpy(),
            "car": pd.Series(plugs.cars, dtype=object).reindex(plugs.car).to_numpy(),
            "at": instants[plugs.document].astype(np.float64),
            "soc": plugs.soc,
            "required_soc": plugs.required_soc,
            "arrival_soc": plugs.arrival_soc,
            "departure_clock": plugs.departure_clock,
            "departure_at": plugs.departure_at,
        }
    )
    cadences = day_cadences(stamps)[(np.cumsum(plugs.seen) - 1)[plugs.document]]
    dense = ~np.isnan(cadences)
    return PlugPartial(
        chargers=frozenset(plugs.chargers),
        presence=presence,
        plugged=_into_bins(rows[dense], cadences[dense], period_ms),
        sparse=rows[~dense],
    )


def _into_bins(rows: pd.DataFrame, cadences: Floats, period_ms: int) -> pd.DataFrame:
    marks = footprint(rows["at"].to_numpy().astype(np.int64), cadences, period_ms)
    spread = rows.iloc[marks.reading].assign(bin=marks.bin, weight=marks.weight)
    return _by_bin(spread)


def _by_bin(rows: pd.DataFrame) -> pd.DataFrame:
    how: dict[str, Any] = {"weight": "sum", **dict.fromkeys(_FACTS, "first")}
    return rows.sort_values("at", kind="stable").groupby(_KEY, sort=True, as_index=False).agg(how)


class Occupancy:
    """Who was plugged in where, on a grid."""

    def __init__(self, partials: Sequence[PlugPartial], grid: Grid, zone: ZoneInfo) -> None:
        self._grid = grid
        self._zone = zone
        self.chargers = sorted(frozenset().union(*(p.chargers for p in partials)))
        self._presence = np.zeros(grid.bins)
        self._plugged: dict[str, pd.DataFrame] = {}
        if partials:
            presence = [p.presence for p in partials]
            cadence = window_cadence(presence)
            sparse = pd.concat([p.sparse for p in partials])
            late = _into_bins(sparse, np.full(len(sparse), cadence), grid.period_ms)
            table = _by_bin(pd.concat([*(p.plugged for p in partials), late]))
            table = table[(table["bin"] >= grid.first) & (table["bin"] < grid.end)]
            self._plugged = {str(charger): rows for charger, rows in table.groupby("charger")}
            self._presence = merge(presence, Kind.INTENSIVE, grid).weight

    def sessions(self, charger: str) -> list[Session]:
        """A charger's sessions, in time order."""
        rows = self._plugged.get(charger)
        if rows is None:
            return []
        bins = rows["bin"].to_numpy() - self._grid.first
        total = np.bincount(bins, rows["weight"], self._grid.bins)
        taken = (self._presence > 0) & (total >= 0.5 * self._presence * (1 - 1e-12))
        # The car with most readings; of two equal ones the one that was there first.
        rows = rows.assign(bin=bins)
        ranked = rows.sort_values(["weight", "at", "car"], ascending=[False, True, True], kind="stable")
        best = ranked.drop_duplicates("bin")
        cars = np.full(self._grid.bins, "", dtype=object)
        cars[best["bin"].to_numpy()] = best["car"].to_numpy()
        cars[~taken] = ""
        self._bridge(cars)
        runs = _runs(cars)
        session_of_bin = np.full(self._grid.bins, -1)
        for number, (_, first, end) in enumerate(runs):
            session_of_bin[first:end] = number
        rows = rows.assign(session=session_of_bin[bins])[cars[bins] == rows["car"].to_numpy()]
        facts = rows.sort_values("bin", kind="stable").groupby("session")[list(_FACTS)].first()
        return [
            self._session(car, first, end, dict(zip(_FACTS, known, strict=True)))
            for (car, first, end), known in zip(runs, facts.itertuples(index=False, name=None), strict=True)
        ]

    def _bridge(self, cars: np.ndarray[Any, np.dtype[np.object_]]) -> None:
        """Keep a car plugged in over a short lack of readings."""
        most = SHORT_GAP_MINUTES // self._grid.minutes
        silent = self._presence == 0
        for _, first, end in _runs(np.where(silent, "silent", "")):
            if end - first <= most and first > 0 and end < len(cars) and cars[first - 1] == cars[end]:
                cars[first:end] = cars[end]

    def _session(self, car: str, first: int, end: int, known: dict[str, float]) -> Session:
        departure = self._stated_departure(known)
        last_start = (self._grid.first + end - 1) * self._grid.period_ms
        if departure is None or departure <= last_start:
            departure = last_start + self._grid.period_ms
        arrival_soc = known["soc"] if np.isnan(known["arrival_soc"]) else known["arrival_soc"]
        return Session(car, first, end, departure, known["required_soc"], arrival_soc)

    def _stated_departure(self, known: dict[str, float]) -> int | None:
        """The instant stated, or the next instant at which the site's clock shows the stated time."""
        if not np.isnan(known["departure_at"]):
            return int(known["departure_at"])
        if np.isnan(known["departure_clock"]):
            return None
        seen = datetime.fromtimestamp(known["at"] / 1000, UTC).astimezone(self._zone)
        midnight = datetime(seen.year, seen.month, seen.day, tzinfo=self._zone)
        for days in (0, 1):
            # Wall-clock arithmetic: adding to a local time adds to what its clock shows.
            shown = midnight + timedelta(days=days, seconds=known["departure_clock"])
            departure = int(shown.timestamp() * 1000)
            if departure > known["at"]:
                return departure
        return None


def _runs(labels: np.ndarray[Any, np.dtype[np.object_]]) -> list[tuple[str, int, int]]:
    """Each run of one non-empty label: the label, its first place and the one after its last."""
    edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    return [(str(labels[a]), a, b) for a, b in pairwise(edges) if a < b and labels[a]]
