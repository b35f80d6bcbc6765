"""What documents say about chargers: which car was plugged in where, its SOC, and what its user stated.

Flat documents list `charging_sessions` with SOC in percent, times as local clock times, and keys with dots or
underscores. Others keep a dict of chargers beside `electric_vehicles`, with SOC as a fraction and times as instants.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from workers.datasets.measures.arrays import Flags, Floats, Instants
from workers.datasets.measures.numbers import percent, percent_of_fraction
from workers.datasets.reading.users import CarNames
from workers.sites.instants import to_epoch

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")
_DAY_S: Final = 86_400
_NOBODY: Final = (None, "")


@dataclass(frozen=True)
class PlugReadings:
    """One row for each car that a document saw plugged in, sorted by document.

    `seen` says of each document whether it speaks of chargers at all; `chargers` are all that were named, `charger` and
    `car` number them and `cars`. Percent in `soc` (measured), `required_soc` and `arrival_soc` (stated); the stated
    departure is a local clock time (`departure_clock`, seconds of the day) or an instant (`departure_at`, ms). NaN
    where nothing is known.
    """

    seen: Flags
    chargers: list[str]
    cars: list[str]
    document: Instants
    charger: Instants
    car: Instants
    soc: Floats
    required_soc: Floats
    arrival_soc: Floats
    departure_clock: Floats
    departure_at: Floats

    def until(self, documents: int) -> "PlugReadings":
        """What the first `documents` documents said."""
        rows = self.document < documents
        return replace(
            self,
            seen=self.seen[:documents],
            **{name: getattr(self, name)[rows] for name in _ROW_FIELDS},
        )


_ROW_FIELDS: Final = (
    "document",
    "charger",
    "car",
    "soc",
    "required_soc",
    "arrival_soc",
    "departure_clock",
    "departure_at",
)


class PlugCollector:
    """Gathers plug readings from batches of documents, already flat."""

    def __init__(self, source_zone: ZoneInfo | None, cars: CarNames) -> None:
        self._zone = source_zone
        self._names = cars
        self._chargers: dict[str, int] = {}
        self._charger_codes: dict[Any, int] = {}
        self._cars: dict[str, int] = {}
        self._car_of_user: dict[str, int] = {}
        self._seen: list[int] = []
        self._rows: list[tuple[int, int, int, float, int]] = []
        self._stated: list[tuple[float, float, float, float]] = [(math.nan,) * 4]
        self._stated_codes: dict[Any, int] = {}

    def add(self, batch: Sequence[Mapping[str, Any]], first_row: int) -> None:
        """Take in the documents from row `first_row` on."""
        for row, document in enumerate(batch, first_row):
            sessions = document.get("charging_sessions")
            if isinstance(sessions, list):
                for session in sessions:
                    if isinstance(session, dict):
                        self._add_listed(row, session)
            elif isinstance(sessions, dict):
                vehicles = document.get("electric_vehicles")
                for charger, session in sessions.items():
                    self._add_of_charger(row, charger, session, vehicles if isinstance(vehicles, dict) else {})
            else:
                continue
            self._seen.append(row)

    def _add_listed(self, row: int, session: dict[str, Any]) -> None:
        charger = session.get("charger_id")
        if charger is None:
            charger = session.get("Charger Id")
        if charger in _NOBODY or isinstance(charger, dict | list):
            return
        code = self._charger(charger)
        user = session.get("user_id")
        # Most entries of most documents are empty places: nothing more is read of them.
        if user in _NOBODY:
            return
        soc = percent(session.get("soc"))
        self._add_row(row, code, _identity(user), soc, session.get("flexibility"))

    def _add_of_charger(self, row: int, charger: str, session: Any, vehicles: dict[str, Any]) -> None:
        code = self._charger(charger)
        user = session.get("electric_vehicle") if isinstance(session, dict) else None
        if user in _NOBODY:
            return
        identity = _identity(user)
        vehicle = vehicles.get(identity)
        known = vehicle if isinstance(vehicle, dict) else {}
        self._add_row(row, code, identity, percent_of_fraction(known.get("SoC")), known.get("flexibility"))

    def _add_row(self, row: int, charger: int, identity: str, soc: float, flexibility: Any) -> None:
        if identity:
            self._rows.append((row, charger, self._car(identity), soc, self._stated_code(flexibility)))

    def finish(self, rows: int, order: Instants) -> PlugReadings:
        """The readings, with documents numbered by their place in `order`; those not in it are left out."""
        place = np.full(rows, -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        seen = np.zeros(rows, dtype=np.bool_)
        seen[np.array(self._seen, dtype=np.int64)] = True
        table = np.array(self._rows, dtype=np.float64).reshape(-1, 5)
        document = place[table[:, 0].astype(np.int64)]
        table, document = table[document >= 0], document[document >= 0]
        sorting = np.argsort(document, kind="stable")
        table, document = table[sorting], document[sorting]
        stated = np.array(self._stated, dtype=np.float64)[table[:, 4].astype(np.int64)]
        return PlugReadings(
            seen=seen[order],
            chargers=list(self._chargers),
            cars=list(self._cars),
            document=document,
            charger=table[:, 1].astype(np.int64),
            car=table[:, 2].astype(np.int64),
            soc=table[:, 3],
            required_soc=stated[:, 0],
            arrival_soc=stated[:, 1],
            departure_clock=stated[:, 2],
            departure_at=stated[:, 3],
        )

    def _charger(self, charger: Any) -> int:
        code = self._charger_codes.get(charger)
        if code is None:
            code = self._chargers.setdefault(str(charger), len(self._chargers))
            self._charger_codes[charger] = code
        return code

    def _car(self, user: str) -> int:
        code = self._car_of_user.get(user)
        if code is None:
            code = self._cars.setdefault(self._names.of(user), len(self._cars))
            self._car_of_user[user] = code
        return code

    def _stated_code(self, flexibility: Any) -> int:
        """The number of what a `flexibility` states; equal ones are read once."""
        if not isinstance(flexibility, dict) or not flexibility:
            return 0
        key = repr(flexibility)
        code = self._stated_codes.get(key)
        if code is None:
            self._stated.append(_stated(flexibility, self._zone))
            code = self._stated_codes[key] = len(self._stated) - 1
        return code


def _identity(value: Any) -> str:
    """Who is plugged in, as text; "" for nobody. An id that arrives as a number is the same id as its text."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _stated(flexibility: Mapping[str, Any], zone: ZoneInfo | None) -> tuple[float, float, float, float]:
    """Required SOC, SOC at arrival (percent), departure as a clock time (s) and as an instant (ms)."""
    clock, at = _moment(_first(flexibility, "departure.time", "departure_time", "estimated_time_at_departure"), zone)
    return (
        _soc(flexibility, ("departure.soc", "departure_soc"), "estimated_soc_at_departure"),
        _soc(flexibility, ("arrival.soc", "arrival_soc"), "estimated_soc_at_arrival"),
        clock,
        at,
    )


def _first(values: Mapping[str, Any], *keys: str) -> Any:
    return next((values[key] for key in keys if values.get(key) not in _NOBODY), None)


def _soc(flexibility: Mapping[str, Any], in_percent: tuple[str, ...], as_fraction: str) -> float:
    value = percent(_first(flexibility, *in_percent))
    return percent_of_fraction(flexibility.get(as_fraction)) if math.isnan(value) else value


def _moment(value: Any, zone: ZoneInfo | None) -> tuple[float, float]:
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float((hours * 3600 + minutes * 60 + seconds) % _DAY_S), math.nan
    instant = to_epoch(value, zone)
    return math.nan, math.nan if instant is None else math.floor(instant * 1000 + 0.5)
