"""Documents of sites as readings: instants, columns, prices and what was plugged in, converted in bulk.

Three shapes occur, also mixed in one collection: flat documents, flat ones whose `charging_sessions` are a dict beside
`electric_vehicles`, and nested ones with the same under `observations`. A site's window can hold hundreds of thousands
of them, so documents are taken in batches and whole columns are converted at once; only a column that holds something
else than numbers is looked at value by value.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from bson import ObjectId

from workers.datasets.measures.arrays import Flags, Floats, Instants
from workers.datasets.measures.columns import MEASURED, PRICE
from workers.datasets.measures.numbers import number, numbers
from workers.datasets.reading.chargers import PlugCollector, PlugReadings
from workers.datasets.reading.users import CarNames
from workers.sites.client import Document
from workers.sites.instants import from_wall_clock, to_epoch

#: Names that producers of other generations use.
OLDER_PRICE: Final = "energy_price"
TARIFFS: Final = "energy_tariffs"
SESSIONS: Final = "charging_sessions"
VEHICLES: Final = "electric_vehicles"
OBSERVATIONS: Final = "observations"
TIMESTAMP: Final = "timestamp"
GENERATED: Final = "generated"
#: What a document is asked for; the same again under `observations`.
READ_FIELDS: Final = (*MEASURED, OLDER_PRICE, TARIFFS, SESSIONS, VEHICLES, GENERATED)

_BATCH: Final = 4096
_QUARTER_MS: Final = 900_000
_FLAT: Final = tuple(name for name in MEASURED if name != PRICE.name)


@dataclass(frozen=True)
class Readings:
    """What documents said, by instant: sorted, one for each instant.

    `columns` holds the columns that occurred, NaN where a document had no usable number; `unusable` counts, by column,
    values that were there and were none (null, NaN, text). `unstamped` documents had no readable timestamp,
    `generated` ones were left out as substituted by the producer, `duplicates` were replaced by a later document of
    the same instant, `per_mwh` prices were converted to per kWh.
    """

    instants: Instants
    columns: dict[str, Floats]
    plugs: PlugReadings
    unusable: dict[str, int]
    unstamped: int
    generated: int
    duplicates: int
    per_mwh: int


@dataclass(frozen=True)
class ReadOptions:
    """How documents are read: the clock that they are stamped by (None: UTC), the names of cars, and whether documents
    that the producer substituted are left out. Pickles, to travel to read tasks."""

    source_zone: ZoneInfo | None
    cars: CarNames
    drop_generated: bool = False


def read_documents(documents: Iterable[Document], options: ReadOptions, start_ms: int, end_ms: int) -> Readings:
    """The readings of documents in any order, of instants in `[start_ms, end_ms)`. Of two with one instant the later
    inserted wins: the one with the larger `_id` (ObjectIds, numbers), else the one that comes later."""
    collector = _Collector(options, start_ms, end_ms)
    for batch in _batches(documents):
        collector.add(batch)
    return collector.finish()


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    iterator = iter(documents)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


class _Collector:
    def __init__(self, options: ReadOptions, start_ms: int, end_ms: int) -> None:
        self._start, self._end = start_ms, end_ms
        self._zone = options.source_zone
        self._drop_generated = options.drop_generated
        self._plugs = PlugCollector(options.source_zone, options.cars)
        self._rows = 0
        self._ids: list[Any] = []
        self._instants: list[Instants] = []
        self._columns: dict[str, list[tuple[int, Floats]]] = {}
        self._unusable: dict[str, int] = {}
        self._unstamped = self._generated = self._per_mwh = 0

    def add(self, batch: list[Document]) -> None:
        fields = set().union(*batch)
        if OBSERVATIONS in fields:
            batch = [_flat(document) for document in batch]
            fields = set().union(*batch)
        if self._drop_generated and GENERATED in fields:
            kept = [document for document in batch if not _is_generated(document.get(GENERATED))]
            self._generated += len(batch) - len(kept)
            batch = kept
        instants, readable = _instants([document.get(TIMESTAMP) for document in batch], self._zone)
        self._unstamped += int((~readable).sum())
        wanted = readable & (instants >= self._start) & (instants < self._end)
        if not wanted.all():
            batch = [document for document, good in zip(batch, wanted.tolist(), strict=True) if good]
            instants = instants[wanted]
        if not batch:
            return
        self._instants.append(instants)
        self._ids.extend(document.get("_id") for document in batch)
        for name in _FLAT:
            if name in fields:
                self._store(name, *_column(batch, name))
        if fields & {PRICE.name, OLDER_PRICE, TARIFFS}:
            prices, unusable, per_mwh = _prices(batch, fields)
            self._per_mwh += per_mwh
            self._store(PRICE.name, prices, unusable)
        if SESSIONS in fields:
            self._plugs.add(batch, self._rows)
        self._rows += len(batch)

    def _store(self, name: str, values: Floats, unusable: int) -> None:
        self._columns.setdefault(name, []).append((self._rows, values))
        if unusable:
            self._unusable[name] = self._unusable.get(name, 0) + unusable

    def finish(self) -> Readings:
        instants = np.concatenate([*self._instants, np.empty(0, dtype=np.int64)])
        order = np.argsort(instants, kind="stable")
        order = _last_inserted(instants, order, self._ids)
        columns = {}
        for name, pieces in self._columns.items():
            whole = np.full(self._rows, np.nan)
            for start, values in pieces:
                whole[start : start + len(values)] = values
            columns[name] = whole[order]
        return Readings(
            instants=instants[order],
            columns=columns,
            plugs=self._plugs.finish(self._rows, order),
            unusable=self._unusable,
            unstamped=self._unstamped,
            generated=self._generated,
            duplicates=self._rows - len(order),
            per_mwh=self._per_mwh,
        )


def _flat(document: Document) -> Document:
    observations = document.get(OBSERVATIONS)
    return {**observations, **document} if isinstance(observations, Mapping) else document


def _is_generated(value: object) -> bool:
    return number(value) == 1.0


def _last_inserted(instants: Instants, order: Instants, ids: Sequence[Any]) -> Instants:
    """`order` (rows sorted by instant) with only the last inserted row of each instant."""
    ordered = instants[order]
    new = np.diff(ordered, prepend=ordered[:1] - 1) != 0
    if new.all():
        return order
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(order))
    chosen = np.array(order[ends - 1], dtype=np.int64)
    for group in np.flatnonzero(ends - starts > 1):
        rows = order[starts[group] : ends[group]].tolist()
        keys = [ids[row] for row in rows]
        # A sort by timestamp and `_id` keeps this order already, except between timestamps of different BSON types.
        if len({type(key) for key in keys}) == 1 and isinstance(keys[0], ObjectId | int):
            chosen[group] = max(rows, key=lambda row: ids[row])
    return chosen


def _instants(stamps: list[Any], zone: ZoneInfo | None) -> tuple[Instants, Flags]:
    """Timestamps as instants, and which of them could be read."""
    if set(map(type, stamps)) == {datetime}:
        try:
            wall = pd.DatetimeIndex(stamps).as_unit("ms").asi8
        except (ValueError, TypeError, OverflowError):
            # Stamps with and without a zone together; one by one they can be read.
            pass
        else:
            return _from_wall_clock(np.asarray(wall, dtype=np.int64), zone), np.ones(len(wall), dtype=np.bool_)
    seconds = [to_epoch(stamp, zone) for stamp in stamps]
    known = np.array([math.nan if value is None else value for value in seconds], dtype=np.float64)
    readable = np.isfinite(known)
    milliseconds = np.floor(np.where(readable, known, 0.0) * 1000 + 0.5).astype(np.int64)
    return milliseconds, readable


def _from_wall_clock(wall: Instants, zone: ZoneInfo | None) -> Instants:
    """Instants of clock readings in `zone`, looked up once per quarter of an hour; without a zone they are UTC."""
    if zone is None:
        return wall
    quarters, which = np.unique(wall // _QUARTER_MS, return_inverse=True)
    offsets = [quarter * 900.0 - from_wall_clock(quarter * 900.0, zone) for quarter in quarters.tolist()]
    shifts = (np.array(offsets) * 1000).astype(np.int64)
    return np.asarray(wall - shifts[which], dtype=np.int64)


def _column(batch: list[Document], name: str) -> tuple[Floats, int]:
    """A column of a batch, and how many values were there but were no numbers."""
    found = numbers([document.get(name) for document in batch])
    missing = np.isnan(found)
    unusable = sum(name in batch[row] for row in np.flatnonzero(missing)) if missing.any() else 0
    return found, unusable


def _prices(batch: list[Document], fields: set[str]) -> tuple[Floats, int, int]:
    """Prices per kWh of a batch, how many were there but unusable, and how many were converted from per MWh."""
    prices, unusable = np.full(len(batch), np.nan), 0
    if PRICE.name in fields:
        prices, unusable = _column(batch, PRICE.name)
    if not np.isnan(prices).any() or not fields & {OLDER_PRICE, TARIFFS}:
        return prices, unusable, 0
    per_mwh = 0
    for row in np.flatnonzero(np.isnan(prices)).tolist():
        document = batch[row]
        given = document.get(OLDER_PRICE)
        curve = given if isinstance(given, Mapping) else None if given is not None else _tariff(document.get(TARIFFS))
        if curve is not None:
            prices[row], converted = _of_curve(curve)
            per_mwh += converted
        else:
            prices[row] = number(given)
        if math.isnan(prices[row]) and (given is not None or curve is not None):
            unusable += 1
    return prices, unusable, per_mwh


def _tariff(tariffs: object) -> Mapping[str, Any] | None:
    """The price curve of the first market (by name) that has one."""
    for _, market in sorted(tariffs.items()) if isinstance(tariffs, Mapping) else ():
        curve = market.get(OLDER_PRICE) if isinstance(market, Mapping) else None
        if isinstance(curve, Mapping):
            return curve
    return None


def _of_curve(curve: Mapping[str, Any]) -> tuple[float, bool]:
    """The price now, per kWh, of a curve that begins now; and whether it was per MWh, as it is unless it says."""
    values = curve.get("values")
    first = values[0] if isinstance(values, list) and values else None
    if isinstance(first, Mapping):
        first = first.get("value", first.get("price"))
    price = number(first)
    if "kwh" in str(curve.get("measurement_unit", "")).lower():
        return price, False
    return price / 1000, not math.isnan(price)
