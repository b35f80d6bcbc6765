"""One kind of timestamp of one collection, read in windows of time.

Where an index serves `timestamp`, a range is read in windows, each with a lower and an upper bound: cheap on MongoDB,
and bearable on servers that build a whole result before they hand out its first batch. The windows follow the density
of the data. Without an index each window would be a scan of its own, so one sorted query reads it all.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import bson
from pymongo.collection import Collection

from workers.sites import instants
from workers.sites.client import Document
from workers.sites.indexes import FIELD
from workers.sites.stamps import DATES, STAMPS, Stamp

_DAY: Final = 86400.0
#: Windows begin with a day, grow where there is little, and shrink to what holds about so many documents.
_TARGET: Final = 10000
_SHORTEST: Final = 1.0
_LONGEST: Final = 14 * _DAY
#: All before is one window: the sites of this field have no readings from then, and if one has they are read as well.
_EARLIEST: Final = 1420070400.0  # 2015-01-01
#: Documents that the server sends at once (it stops at 16 MB by itself).
_SERVER_BATCH: Final = 5000

Sort = list[tuple[str, int]]
#: Values of `timestamp` from the first (included) to the second (not included).
Bounds = tuple[Any, Any]


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
    """Where the data of each site are known to begin, so that a full read need not look for it from `_EARLIEST` on.

    A hint, never a bound: what lies below is read first, as one window, which costs next to nothing where it is empty.
    """

    def __init__(self) -> None:
        self._floors: dict[str, float] = {}

    def of(self, site: str) -> float:
        return self._floors.get(site, _EARLIEST)

    def found(self, site: str, instant: float) -> None:
        """A full read of one of the site's collections began with `instant`."""
        self._floors[site] = max(_EARLIEST, min(instant, self._floors.get(site, instant)))


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
        # Most sites store dates and nothing else. Dates are not asked for: where a server builds a whole result before
        # it hands out its first document, asking costs as much as reading.
        return tuple(stamp for stamp in STAMPS if stamp is DATES or self._occurs(stamp, span))

    def undated(self) -> Iterator[list[Document]]:
        """The documents without a timestamp, in no particular order."""
        return self._query({FIELD: None})

    def forward(self, stamp: Stamp, span: Span, sort: Sort) -> Iterator[list[Document]]:
        """The documents of a kind in the server's order, in lists that are not empty.

        Where the kind's order is not exactly that of instants, there are more than those of the span.
        """
        if not self._indexed:
            yield from self._of_kind(stamp, self._whole(stamp, span), sort)
            return
        floor, low, high = self._edges(stamp, span)
        at = low
        if at < floor:
            yield from self._of_kind(stamp, (self._lower(stamp, low), stamp.bound(min(floor, high))), sort)
            at = min(floor, high)
        end = min(time.time() + _DAY, high)
        width = _DAY
        while at < end:
            until = min(at + width, end)
            count = 0
            for documents in self._of_kind(stamp, (stamp.bound(at), stamp.bound(until)), sort):
                count += len(documents)
                yield documents
            at = until
            width = _next_width(width, count)
        if at < high:
            yield from self._of_kind(stamp, (stamp.bound(at), self._upper(stamp, high)), sort)

    def backward(self, stamp: Stamp, span: Span, limit: int) -> Iterator[tuple[float, list[Document]]]:
        """The timestamps alone of a kind's documents, newest windows first, for a reader that wants `limit` of them.

        Each list comes with a reading that none of it or of the later lists exceeds, and may be empty; within it the
        order is the server's.
        """
        if not self._indexed:
            # Where the server's order is not that of instants, the newest need not be among the last `limit`.
            count = 0 if stamp.slack(self._zone) else limit
            for documents in self._of_kind(stamp, self._whole(stamp, span), [(FIELD, -1)], count, stamps_only=True):
                yield math.inf, documents
            return
        floor, low, high = self._edges(stamp, span)
        at = min(time.time() + _DAY, high)
        yield from self._with_reading(math.inf, stamp, (stamp.bound(at), self._upper(stamp, high)))
        width = _DAY
        while at > max(floor, low):
            since = max(at - width, floor, low)
            count = 0
            for reading, documents in self._with_reading(at, stamp, (stamp.bound(since), stamp.bound(at))):
                count += len(documents)
                yield reading, documents
            at = since
            width = _next_width(width, count)
        if low < at:
            yield from self._with_reading(at, stamp, (self._lower(stamp, low), stamp.bound(at)))

    def _occurs(self, stamp: Stamp, span: Span) -> bool:
        lower, upper = self._whole(stamp, span)
        found = self._query({FIELD: {"$gte": lower, "$lt": upper}}, None, 1, {FIELD: 1, "_id": 0})
        return next(found, None) is not None

    def _edges(self, stamp: Stamp, span: Span) -> tuple[float, float, float]:
        """Where windows begin to be cut, and the span's ends, as readings of the kind; open ends are infinite."""
        slack = stamp.slack(self._zone)
        wide = span.widened(slack)
        floor = self._floors.of(self._collection.database.name) - slack
        return (
            floor,
            -math.inf if wide.start is None else wide.start,
            math.inf if wide.stop is None else wide.stop,
        )

    def _whole(self, stamp: Stamp, span: Span) -> Bounds:
        _, low, high = self._edges(stamp, span)
        return self._lower(stamp, low), self._upper(stamp, high)

    @staticmethod
    def _lower(stamp: Stamp, reading: float) -> Any:
        return stamp.lowest if reading == -math.inf else stamp.bound(reading)

    @staticmethod
    def _upper(stamp: Stamp, reading: float) -> Any:
        return stamp.highest if reading == math.inf else stamp.bound(reading)

    def _with_reading(self, reading: float, stamp: Stamp, bounds: Bounds) -> Iterator[tuple[float, list[Document]]]:
        for documents in self._of_kind(stamp, bounds, None, stamps_only=True):
            yield reading, documents
        yield reading, []

    def _of_kind(
        self, stamp: Stamp, bounds: Bounds, sort: Sort | None, limit: int = 0, *, stamps_only: bool = False
    ) -> Iterator[list[Document]]:
        lower, upper = bounds
        if lower == upper:
            return
        projection = {FIELD: 1, "_id": 0} if stamps_only else None
        for documents in self._query({FIELD: {"$gte": lower, "$lt": upper}}, sort, limit, projection):
            held = [document for document in documents if stamp.holds(document[FIELD])]
            if held:
                yield held

    def _query(
        self, condition: Document, sort: Sort | None = None, limit: int = 0, projection: Document | None = None
    ) -> Iterator[list[Document]]:
        """A query's documents, in the batches in which the server sends them."""
        options: Any = {"allow_disk_use": True} if sort else {}
        codec = self._collection.codec_options
        with self._collection.find_raw_batches(
            condition, projection, sort=sort, limit=limit, batch_size=_SERVER_BATCH, **options
        ) as cursor:
            for raw in cursor:
                # Typed as a document, a raw batch is the bytes of many.
                batch: Any = raw
                documents = bson.decode_all(batch, codec)
                if documents:
                    yield documents


def oldest_instant(documents: list[Document], zone: ZoneInfo | None) -> float | None:
    """The instant of the first of some documents whose timestamp can be read."""
    return next((at for each in documents if (at := instants.to_epoch(each[FIELD], zone)) is not None), None)


def _next_width(width: float, count: int) -> float:
    """How long the next window should be after one of `width` seconds had `count` documents."""
    factor = min(max(_TARGET / max(count, 1), 1 / 16), 2.0)
    return min(max(width * factor, _SHORTEST), _LONGEST)
