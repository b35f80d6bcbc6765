"""Historical data at a coarser step: documents averaged into buckets of time, with one bucket in memory."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from workers.sites import instants
from workers.sites.client import Document
from workers.sites.cursors import Stamped
from workers.sites.indexes import FIELD

#: What items of a list are recognised by, so that one charger's readings are not averaged with another's.
_IDENTITIES: Final = ("charger_id", "Charger Id", "id", "_id")


def start_of(instant: float, width: float) -> float:
    """When the bucket of an instant begins. Buckets of `width` seconds lie on the UTC epoch."""
    return instant // width * width


def averaged(items: Iterator[Stamped], width: float) -> Iterator[tuple[float, Document]]:
    """Each bucket that has documents, oldest first: when it begins and its document.

    Numbers are averaged at any depth; of everything else the first is kept; `timestamp` is when the bucket begins.
    `items` come oldest first.
    """
    bucket: _Bucket | None = None
    for item in items:
        start = start_of(item.instant, width)
        if bucket is None or start != bucket.start:
            if bucket is not None:
                yield bucket.start, bucket.document()
            bucket = _Bucket(start)
        bucket.add(item.document)
    if bucket is not None:
        yield bucket.start, bucket.document()


class _Bucket:
    def __init__(self, start: float) -> None:
        self.start = start
        self._fields: dict[str, _Value] = {}

    def add(self, document: Document) -> None:
        _add_fields(self._fields, document)

    def document(self) -> Document:
        fields = {key: value.result() for key, value in self._fields.items()}
        fields[FIELD] = instants.iso(self.start)
        return fields


class _Value:
    """What the documents of a bucket have at one place: numbers, fields, items, or something else."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._fields: dict[str, _Value] | None = None
        self._items: dict[Any, _Value] | None = None
        self._other: Any = None
        self._numeric = False

    def add(self, value: Any) -> None:
        number = _number(value)
        if number is not None:
            self._numeric = True
            if isfinite(number):
                self._sum += number
                self._count += 1
        elif isinstance(value, dict):
            self._fields = self._fields if self._fields is not None else {}
            _add_fields(self._fields, value)
        elif isinstance(value, list):
            self._items = self._items if self._items is not None else {}
            for position, item in enumerate(value):
                self._items.setdefault(_identity(item, position), _Value()).add(item)
        elif self._other is None:
            self._other = value

    def result(self) -> Any:
        if self._count:
            return self._sum / self._count
        if self._fields is not None:
            return {key: value.result() for key, value in self._fields.items()}
        if self._items is not None:
            return [value.result() for value in self._items.values()]
        # Numbers that were all NaN or infinite have no average.
        return None if self._numeric else self._other


def _add_fields(fields: dict[str, _Value], document: Document) -> None:
    for key, value in document.items():
        fields.setdefault(key, _Value()).add(value)


def _number(value: Any) -> float | None:
    """A number as a float; None for what is none, as dates and truth values are."""
    if isinstance(value, bool | datetime | DatetimeMS):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Decimal128):
        decimal: Decimal = value.to_decimal()
        return float("nan") if decimal.is_snan() else float(decimal)
    return None


def _identity(item: Any, position: int) -> Any:
    if isinstance(item, dict):
        for key in _IDENTITIES:
            name = item.get(key)
            if isinstance(name, str):
                return name
    return position
