"""Where a collection's documents begin and end in time, by timestamp, without reading them all.

With an index on `timestamp` MongoDB could sort and stop at the first document. A server that builds a whole result
before it hands out its first document would read everything for that, so time is probed in windows from the outside
inwards: an empty one costs next to nothing, and only the first that is not is looked into. Without an index one scan
finds both ends.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from workers.sites import instants
from workers.sites.client import Document
from workers.sites.indexes import FIELD, has_index
from workers.sites.stamps import DATES, STAMPS, Stamp

_DAY: Final = 86400.0
_PROBE: Final = 8 * _DAY
#: All before is one window: the sites of this field have no readings from then, and if one has they are found as well.
_EARLIEST: Final = 1420070400.0  # 2015-01-01
_STAMPS_ONLY: Final = {FIELD: 1, "_id": 0}
_BATCH: Final = 10_000


@dataclass(frozen=True)
class Edges:
    """The instants (ms) of a collection's oldest and newest document."""

    oldest_ms: int
    newest_ms: int


def edges(collection: Collection[Document], zone: ZoneInfo | None) -> Edges | None:
    """A collection's edges; None where no document has a timestamp that can be read."""
    if not has_index(collection):
        known = list(_instants(collection, {}, zone))
    else:
        probes = [_Probe(collection, stamp, zone) for stamp in STAMPS]
        found = [probe.edge(newest=newest) for probe in probes if probe.occurs() for newest in (False, True)]
        known = [instant for instant in found if instant is not None]
    if not known:
        return None
    return Edges(_milliseconds(min(known)), _milliseconds(max(known)))


class _Probe:
    """One kind of timestamp of a collection."""

    def __init__(self, collection: Collection[Document], stamp: Stamp, zone: ZoneInfo | None) -> None:
        self._collection = collection
        self._stamp = stamp
        self._zone = zone

    def occurs(self) -> bool:
        """Whether there may be documents of this kind. Dates are what most sites store: they are not asked for."""
        return self._stamp is DATES or self._any(-math.inf, math.inf)

    def edge(self, *, newest: bool) -> float | None:
        """The instant of the newest or the oldest document of the kind."""
        for low, high in _windows(newest=newest):
            if not self._any(low, high):
                continue
            low, high = self._narrowed(low, high, newest=newest)
            # Where the order of values is not that of instants, a neighbour may be further out.
            slack = 2 * self._stamp.slack(self._zone)
            known = list(_instants(self._collection, self._bounds(low - slack, high + slack), self._zone))
            if known:
                return max(known) if newest else min(known)
        return None

    def _narrowed(self, low: float, high: float, *, newest: bool) -> tuple[float, float]:
        """The outer part of a window, of a day at most, that holds documents."""
        while math.isfinite(low) and math.isfinite(high) and high - low > _DAY:
            middle = (low + high) / 2
            outer, inner = ((middle, high), (low, middle)) if newest else ((low, middle), (middle, high))
            low, high = outer if self._any(*outer) else inner
        return low, high

    def _any(self, low: float, high: float) -> bool:
        bounds = self._bounds(low, high)
        if bounds[FIELD]["$gte"] == bounds[FIELD]["$lt"]:
            return False
        with self._collection.find(bounds, _STAMPS_ONLY, limit=1) as found:
            return next(iter(found), None) is not None

    def _bounds(self, low: float, high: float) -> Document:
        stamp = self._stamp
        return {
            FIELD: {
                "$gte": stamp.lowest if low == -math.inf else stamp.bound(low),
                "$lt": stamp.highest if high == math.inf else stamp.bound(high),
            }
        }


def _windows(*, newest: bool) -> Iterator[tuple[float, float]]:
    """All of time in windows of epoch seconds, from one end to the other."""
    latest = time.time() + _DAY
    count = math.ceil((latest - _EARLIEST) / _PROBE)
    cuts = [-math.inf, *(_EARLIEST + n * _PROBE for n in range(count + 1)), math.inf]
    windows = list(pairwise(cuts))
    return iter(windows[::-1] if newest else windows)


def _instants(collection: Collection[Document], condition: Document, zone: ZoneInfo | None) -> Iterator[float]:
    documents: Any = collection.find(condition, _STAMPS_ONLY, batch_size=_BATCH)
    with documents:
        for document in documents:
            instant = instants.to_epoch(document.get(FIELD), zone)
            if instant is not None:
                yield instant


def _milliseconds(seconds: float) -> int:
    return math.floor(seconds * 1000 + 0.5)
