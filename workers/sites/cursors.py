"""A collection's documents, oldest first whatever kinds of timestamps it has, with a few thousand of them in memory."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from workers.sites import instants, stamps
from workers.sites.client import Document
from workers.sites.indexes import FIELD, has_index
from workers.sites.instants import DAY_S
from workers.sites.stamps import STAMPS, Stamp
from workers.sites.time_queries import Sort
from workers.sites.windows import Floors, Span, Windows, oldest_instant

_BATCH: Final = 500
#: Texts of one day that are held at most to put them in the order of their instants.
_HELD_MAX: Final = 20000
_UNREAD: Final = float("-inf")

Source = tuple[Stamp, Iterator[list[Document]]]


class Stamped(NamedTuple):
    """A document with the instant at which it was measured."""

    #: Epoch seconds. A stamp that can't be read has that of its neighbour in the server's order.
    instant: float
    #: Which of STAMPS its timestamp is.
    kind: int
    document: Document


class CollectionReader:
    """Reads one collection. `zone` is the site's `source_time_zone`; `floors` is shared by the reads of a process.

    In a site with such a zone, BSON dates in `timestamp` are replaced by the instants that they mean.
    """

    def __init__(self, collection: Collection[Document], zone: ZoneInfo | None, floors: Floors | None = None) -> None:
        self._site = collection.database.name
        self._zone = zone
        self._floors = floors or Floors()
        self._windows = Windows(collection, zone, self._floors, indexed=has_index(collection))

    def batches(self, span: Span) -> Iterator[list[Document]]:
        """The documents of a span, oldest first, in lists of some hundreds.

        An open span also has the documents without a timestamp, which come first, and those whose text can't be read as
        one, beside their neighbours in the order of texts.
        """
        if span.open:
            yield from self._windows.undated()
        sources = list(self._sources(span, [(FIELD, 1)]))
        if len(sources) == 1 and not sources[0][0].slack(self._zone):
            # One kind in an order that is exact: nothing to compare, which is what most collections are like.
            yield from sources[0][1]
            return
        yield from _documents(self._merged(sources, span))

    def stamped(self, span: Span) -> Iterator[Stamped]:
        """The documents of a span, oldest first, in an order that is the same at each read.

        Of one instant: by kind, then by stored text, then by `_id`. Documents without a readable timestamp are left out
        where the span has a bound.
        """
        return self._merged(self._sources(span, [(FIELD, 1), ("_id", 1)]), span)

    def newest(self, span: Span, limit: int) -> Iterator[list[Document]]:
        """The newest `limit` documents of a span that have a timestamp, oldest first.

        It finds out first where they begin, which takes `limit` numbers of memory.
        """
        newest = self._newest_instants(span, limit)
        if not newest:
            return
        # What is inserted from now on was not counted, so it is not read either.
        first, last = newest[0], max(newest)
        items: Iterator[Stamped] = itertools.takewhile(
            lambda item: item.instant <= last, self.stamped(replace(span, start=first))
        )
        ties: deque[Document] = deque(maxlen=newest.count(first))
        for item in items:
            if item.instant > first:
                items = itertools.chain([item], items)
                break
            ties.append(item.document)
        yield list(ties)
        yield from _documents(items)

    def _sources(self, span: Span, sort: Sort) -> Iterator[Source]:
        """The kinds of which the span has documents, each with its documents in the server's order."""
        for stamp in self._windows.kinds(span):
            batches = self._windows.forward(stamp, span, sort)
            first = next(batches, None)
            if first is None:
                continue
            if span.start is None and (oldest := oldest_instant(first, self._zone)) is not None:
                self._floors.found(self._site, oldest)
            yield stamp, itertools.chain([first], batches)

    def _merged(self, sources: Iterable[Source], span: Span) -> Iterator[Stamped]:
        streams = [self._stream(stamp, batches, span) for stamp, batches in sources]
        return iter(heapq.merge(*streams, key=attrgetter("instant")))

    def _stream(self, stamp: Stamp, batches: Iterator[list[Document]], span: Span) -> Iterator[Stamped]:
        items = self._with_instants(stamp, batches)
        if stamp.slack(self._zone):
            items = _by_instant(items, days=stamp is stamps.TEXTS)
        for _, item in items:
            if span.open or span.holds(item.instant):
                yield item

    def _with_instants(self, stamp: Stamp, batches: Iterator[list[Document]]) -> Iterator[tuple[float, Stamped]]:
        """Documents, each with the wall time of its timestamp and with the instant that it means."""
        kind = STAMPS.index(stamp)
        zone = self._zone
        local_dates = zone is not None and stamp is stamps.DATES
        wall = instant = _UNREAD
        for documents in batches:
            for document in documents:
                value = document[FIELD]
                means = instants.to_epoch(value, zone)
                if means is not None:
                    instant = means
                    wall = instants.wall_time(value, instant)
                    if local_dates:
                        document[FIELD] = instants.bson_date(instant)
                yield wall, Stamped(instant, kind, document)

    def _newest_instants(self, span: Span, limit: int) -> list[float]:
        """The newest `limit` instants of a span as a heap, so that the oldest of them is the first."""
        newest: list[float] = []
        for stamp in self._windows.kinds(span):
            slack = stamp.slack(self._zone)
            for wall, documents in self._windows.backward(stamp, span, limit):
                if len(newest) == limit and wall + slack < newest[0]:
                    break
                for document in documents:
                    instant = instants.to_epoch(document[FIELD], self._zone)
                    if instant is None or not span.holds(instant):
                        continue
                    if len(newest) < limit:
                        heapq.heappush(newest, instant)
                    elif instant > newest[0]:
                        heapq.heapreplace(newest, instant)
        return newest


def _documents(items: Iterator[Stamped]) -> Iterator[list[Document]]:
    while batch := [item.document for item in itertools.islice(items, _BATCH)]:
        yield batch


def _by_instant(items: Iterator[tuple[float, Stamped]], *, days: bool) -> Iterator[tuple[float, Stamped]]:
    """Items that come in the order of their wall times, put in the order of their instants.

    An item may go once no later one can be earlier: all later ones have its wall time or a later one, and no offset
    seen so far is larger than `lead`. Texts come in the order of texts, where `2025-01-01 23:00` lies before
    `2025-01-01T01:00`: with `days` only the day of a wall time counts, as long as that holds no more than `_HELD_MAX`
    of them.
    """
    held: list[tuple[float, int, tuple[float, Stamped]]] = []
    lead = 0.0
    for number, entry in enumerate(items):
        wall, item = entry
        if item.instant != _UNREAD:
            lead = max(lead, wall - item.instant)
        heapq.heappush(held, (item.instant, number, entry))
        reached = wall // DAY_S * DAY_S if days and len(held) < _HELD_MAX else wall
        while held and held[0][0] <= reached - lead:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]
