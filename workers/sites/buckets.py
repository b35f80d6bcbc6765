"""Historical data at a coarser step: documents averaged into buckets of time, with one bucket in memory."""

import math
from collections.abc import Iterator
from typing import Any

from workers.sites import instants
from workers.sites.bucket_grid import Grid
from workers.sites.client import Document
from workers.sites.cursors import Stamped
from workers.sites.fields import identities, number
from workers.sites.indexes import FIELD


def averaged(items: Iterator[Stamped], grid: Grid) -> Iterator[tuple[float, Document]]:
    """Each bucket that has documents, oldest first: when it begins and its document.

    Numbers are averaged at any depth, texts that are numbers too; a SOC of -1 is none. Of everything else, names and
    ids included, the first is kept; `timestamp` is when the bucket begins. `items` come oldest first.
    """
    bucket: _Bucket | None = None
    end = -math.inf
    for item in items:
        if bucket is None or item.instant >= end:
            if bucket is not None:
                yield bucket.start, bucket.document()
            bucket = _Bucket(grid.start_of(item.instant))
            end = grid.end_of(bucket.start)
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
    """What the documents of a bucket have at one place: numbers, fields, items, or something else. `key` is the field's
    name, that of the list for its items."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._sum = 0.0
        self._count = 0
        self._fields: dict[str, _Value] | None = None
        self._items: dict[tuple[str, ...], _Value] | None = None
        self._other: Any = None
        self._numeric = False

    def add(self, value: Any) -> None:
        if isinstance(value, dict):
            self._fields = self._fields if self._fields is not None else {}
            _add_fields(self._fields, value)
            return
        if isinstance(value, list):
            self._items = self._items if self._items is not None else {}
            for identity, item in zip(identities(value), value, strict=True):
                self._items.setdefault(identity, _Value(self._key)).add(item)
            return
        found = number(self._key, value)
        if found is None:
            if self._other is None:
                self._other = value
        elif math.isnan(found):
            self._numeric = True
        else:
            self._numeric = True
            self._sum += found
            self._count += 1

    def result(self) -> Any:
        if self._count:
            return self._sum / self._count
        if self._fields is not None:
            return {key: value.result() for key, value in self._fields.items()}
        if self._items is not None:
            return [value.result() for value in self._items.values()]
        # Numbers that all said nothing have no average.
        return None if self._numeric else self._other


def _add_fields(fields: dict[str, _Value], document: Document) -> None:
    for key, value in document.items():
        found = fields.get(key)
        if found is None:
            found = fields[key] = _Value(key)
        found.add(value)
