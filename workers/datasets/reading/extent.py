"""Where a collection's documents begin and end in time, by timestamp, without reading them all.

With an index on `timestamp` MongoDB could sort and stop at the first document. A server that builds a whole result
before it hands out its first document would read everything for that, so time is probed in windows from the outside
inwards: an empty one costs next to nothing, and only the first that is not is looked into. Without an index one scan
finds both ends.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypedDict
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from workers.sites import instants
from workers.sites.client import Document
from workers.sites.indexes import FIELD, has_index
from workers.sites.instants import DAY_S, iso_of_milliseconds
from workers.sites.stamps import STAMPS, Stamp
from workers.sites.time_queries import EARLIEST_S, STAMPS_ONLY, batches, latest_s, may_occur, occurs, of_kind

_WINDOW_S: Final = 8 * DAY_S


class AvailableDates(TypedDict):
    """The time that a building's collection has documents of, ISO 8601 in UTC. Made by `Extent.as_dates`."""

    installation: str
    oldest_record: str
    newest_record: str


@dataclass(frozen=True)
class Extent:
    """The instants (ms) of a collection's oldest and newest document."""

    oldest_ms: int
    newest_ms: int

    def as_dates(self, collection: str) -> AvailableDates:
        """As clients see it."""
        return {
            "installation": collection,
            "oldest_record": iso_of_milliseconds(self.oldest_ms),
            "newest_record": iso_of_milliseconds(self.newest_ms),
        }


def extent_of(collection: Collection[Document], zone: ZoneInfo | None) -> Extent | None:
    """A collection's extent; None where no document has a timestamp that can be read."""
    if not has_index(collection):
        known = list(_instants(batches(collection, {}, STAMPS_ONLY), zone))
    else:
        kinds = [stamp for stamp in STAMPS if may_occur(collection, stamp)]
        found = [_outermost(collection, stamp, zone, newest=newest) for stamp in kinds for newest in (False, True)]
        known = [instant for instant in found if instant is not None]
    if not known:
        return None
    return Extent(_milliseconds(min(known)), _milliseconds(max(known)))


def _outermost(collection: Collection[Document], stamp: Stamp, zone: ZoneInfo | None, *, newest: bool) -> float | None:
    """The instant of the newest or the oldest document of a kind of timestamp."""
    for low, high in _windows(newest=newest):
        if not occurs(collection, stamp, low, high):
            continue
        low, high = _narrowed(collection, stamp, low, high, newest=newest)
        # Where the order of values is not that of instants, a neighbour may be further out.
        slack = 2 * stamp.slack(zone)
        found = of_kind(collection, stamp, low - slack, high + slack, STAMPS_ONLY)
        known = list(_instants(found, zone))
        if known:
            return max(known) if newest else min(known)
    return None


def _narrowed(
    collection: Collection[Document], stamp: Stamp, low: float, high: float, *, newest: bool
) -> tuple[float, float]:
    """The outer part of a window, of a day at most, that holds documents."""
    while math.isfinite(low) and math.isfinite(high) and high - low > DAY_S:
        middle = (low + high) / 2
        outer, inner = ((middle, high), (low, middle)) if newest else ((low, middle), (middle, high))
        low, high = outer if occurs(collection, stamp, *outer) else inner
    return low, high


def _windows(*, newest: bool) -> Iterator[tuple[float, float]]:
    """All of time in windows of epoch seconds, from one end to the other."""
    count = math.ceil((latest_s() - EARLIEST_S) / _WINDOW_S)
    cuts = [-math.inf, *(EARLIEST_S + n * _WINDOW_S for n in range(count + 1)), math.inf]
    windows = list(pairwise(cuts))
    return iter(windows[::-1] if newest else windows)


def _instants(batches_read: Iterator[list[Document]], zone: ZoneInfo | None) -> Iterator[float]:
    for documents in batches_read:
        for document in documents:
            instant = instants.to_epoch(document.get(FIELD), zone)
            if instant is not None:
                yield instant


def _milliseconds(seconds: float) -> int:
    return math.floor(seconds * 1000 + 0.5)
