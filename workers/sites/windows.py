"""One kind of timestamp of one collection, read in windows of time.

Where an index serves `timestamp`, a range is read in windows, each a query with a lower and an upper bound. That is
cheap on MongoDB, and bearable on servers that build a whole result before they hand out its first batch. The windows
follow the density of the data: after a day with 40,000 documents the next window is 6 hours long. Without an
index each window would be a scan of its own, so one sorted query reads it all.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from workers.sites import instants
from workers.sites.client import Document
from workers.sites.indexes import FIELD
from workers.sites.instants import DAY_S
from workers.sites.stamps import STAMPS, Stamp
from workers.sites.time_queries import EARLIEST_S, STAMPS_ONLY, Sort, batches, latest_s, may_occur, of_kind

#: Windows begin with a day, grow where there is little, and shrink to what holds about so many documents.
_TARGET: Final = 10000
_SHORTEST: Final = 1.0
_LONGEST: Final = 14 * DAY_S


@dataclass(frozen=True)
class Span:
    """A half-open range of instants, in epoch seconds; None is open."""

    start: float | None = None
    stop: float | None = None

    @property
    def open(self) -> bool:
        return self.start is None and self.stop is None

    def holds(self, instant: float) -> bool:
        return (self.start is None or instant >= self.start) and (self.stop is None or instant < self.stop)

    def widened(self, seconds: float) -> "Span":
        return Span(
            None if self.start is None else self.start - seconds, None if self.stop is None else self.stop + seconds
        )


class Floors:
    """Where the data of each site are known to begin, so that a full read need not look for it from `EARLIEST_S` on.

    A floor is a hint, never a bound: what lies below it is read first, as one window, which costs next to nothing where
    it is empty.
    """

    def __init__(self) -> None:
        self._floors: dict[str, float] = {}

    def of(self, site: str) -> float:
        return self._floors.get(site, EARLIEST_S)

    def found(self, site: str, instant: float) -> None:
        """A full read of one of the site's collections began with `instant`."""
        self._floors[site] = max(EARLIEST_S, min(instant, self._floors.get(site, instant)))


class Windows:
    """Reads a collection by kind of timestamp. `zone` is the site's `source_time_zone`."""

    def __init__(
        self, collection: Collection[Document], zone: ZoneInfo | None, floors: Floors, *, indexed: bool
    ) -> None:
        self._collection = collection
        self._zone = zone
        self._floors = floors
        self._indexed = indexed

    def kinds(self, span: Span) -> tuple[Stamp, ...]:
        """The kinds that the collection may have in a span, so that windows are not cut in vain for the others."""
        if not self._indexed:
            # Each kind costs a scan, so one scan says which occur.
            groups = self._collection.aggregate([{"$group": {"_id": {"$type": f"${FIELD}"}}}], allowDiskUse=True)
            types = {group["_id"] for group in groups}
            return tuple(stamp for stamp in STAMPS if stamp.types & types)
        if span.start is not None and span.start > time.time() - 2 * _LONGEST:
            return STAMPS
        return tuple(stamp for stamp in STAMPS if may_occur(self._collection, stamp, *self._bounds(stamp, span)))

    def undated(self) -> Iterator[list[Document]]:
        """The documents without a timestamp, in no particular order."""
        return batches(self._collection, {FIELD: None})

    def forward(self, stamp: Stamp, span: Span, sort: Sort) -> Iterator[list[Document]]:
        """The documents of a kind in the server's order, in lists that are not empty.

        Where the kind's order is not exactly that of instants, there are more than those of the span.
        """
        low, high = self._bounds(stamp, span)
        if not self._indexed:
            yield from of_kind(self._collection, stamp, low, high, sort=sort)
            return
        floor = self._floor(stamp)
        at = low
        if at < floor:
            at = min(floor, high)
            yield from of_kind(self._collection, stamp, low, at, sort=sort)
        end = min(latest_s(), high)
        width = DAY_S
        while at < end:
            until = min(at + width, end)
            count = 0
            for documents in of_kind(self._collection, stamp, at, until, sort=sort):
                count += len(documents)
                yield documents
            at = until
            width = _next_width(width, count)
        if at < high:
            yield from of_kind(self._collection, stamp, at, high, sort=sort)

    def backward(self, stamp: Stamp, span: Span, limit: int) -> Iterator[tuple[float, list[Document]]]:
        """The timestamps alone of a kind's documents, newest windows first, for a reader that wants `limit` of them.

        Each list comes with a wall time that none of it or of the later lists exceeds, and may be empty; within it the
        order is the server's.
        """
        low, high = self._bounds(stamp, span)
        if not self._indexed:
            # Where the server's order is not that of instants, the newest need not be among the last `limit`.
            count = 0 if stamp.slack(self._zone) else limit
            newest_first = [(FIELD, -1)]
            for documents in of_kind(self._collection, stamp, low, high, STAMPS_ONLY, sort=newest_first, limit=count):
                yield math.inf, documents
            return
        floor = self._floor(stamp)
        at = min(latest_s(), high)
        yield from self._until(math.inf, stamp, at, high)
        width = DAY_S
        while at > max(floor, low):
            since = max(at - width, floor, low)
            count = 0
            for wall, documents in self._until(at, stamp, since, at):
                count += len(documents)
                yield wall, documents
            at = since
            width = _next_width(width, count)
        if low < at:
            yield from self._until(at, stamp, low, at)

    def _floor(self, stamp: Stamp) -> float:
        """The wall time at which windows begin to be cut for a kind."""
        return self._floors.of(self._collection.database.name) - stamp.slack(self._zone)

    def _bounds(self, stamp: Stamp, span: Span) -> tuple[float, float]:
        """The wall times between which a kind's documents of a span lie; open ends are infinite."""
        wide = span.widened(stamp.slack(self._zone))
        return (
            -math.inf if wide.start is None else wide.start,
            math.inf if wide.stop is None else wide.stop,
        )

    def _until(self, wall: float, stamp: Stamp, low: float, high: float) -> Iterator[tuple[float, list[Document]]]:
        """The timestamps between two bounds, and an empty list at the end, each list with the wall time `wall`."""
        for documents in of_kind(self._collection, stamp, low, high, STAMPS_ONLY):
            yield wall, documents
        yield wall, []


def oldest_instant(documents: list[Document], zone: ZoneInfo | None) -> float | None:
    """The instant of the first of some documents whose timestamp can be read."""
    return next((at for each in documents if (at := instants.to_epoch(each[FIELD], zone)) is not None), None)


def _next_width(width: float, count: int) -> float:
    """How long the next window should be after one of `width` seconds had `count` documents."""
    factor = min(max(_TARGET / max(count, 1), 1 / 16), 2.0)
    return min(max(width * factor, _SHORTEST), _LONGEST)
