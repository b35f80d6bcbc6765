"""Documents of one time window of a collection, read with bounds and with no field that a dataset doesn't need.

MongoDB compares values of one type only, so each kind of timestamp (`workers.sites.stamps`) has a query of its own,
between bounds of its own type. No order is asked for: readings are put in order after they became arrays, and of two
documents of one instant `_id` says which was inserted last; within one value of an index the order is that of insertion
anyway. Without an index on `timestamp` every query is a scan, so there is one query, for all kinds and the whole time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import bson
from pymongo.collection import Collection

from workers.datasets.documents import OBSERVATIONS, READ_FIELDS, TIMESTAMP
from workers.datasets.grid import DAY_MS, TimeWindow, time_windows
from workers.datasets.prices import BEYOND_MS
from workers.sites import instants
from workers.sites.client import Document
from workers.sites.indexes import has_index
from workers.sites.stamps import STAMPS, Stamp

#: What is asked of each document. MongoDB gives an absent field no space, so nested ones cost flat documents nothing.
PROJECTION: Final = {TIMESTAMP: 1, **dict.fromkeys(READ_FIELDS, 1), **{f"{OBSERVATIONS}.{f}": 1 for f in READ_FIELDS}}
_STAMPS_ONLY: Final = {TIMESTAMP: 1, "_id": 0}
_SERVER_BATCH: Final = 5000
_LONGEST_WINDOW_DAYS: Final = 366
_SECOND_MS: Final = 1000


@dataclass(frozen=True)
class CollectionTimes:
    """What is known of a collection before it is read: the kinds of timestamps in it (by name), and the instants (ms)
    of its oldest and its newest document; None where no document has a readable timestamp."""

    indexed: bool
    kinds: tuple[str, ...]
    oldest_ms: int | None
    newest_ms: int | None
    documents: int


def collection_times(collection: Collection[Document], zone: ZoneInfo | None) -> CollectionTimes:
    """By timestamp, not by insertion; cheap where an index serves `timestamp`, else one scan."""
    indexed = has_index(collection)
    oldest, newest = math.inf, -math.inf
    kinds = []
    for stamp in STAMPS if indexed else STAMPS[:0]:
        first, last = _edges(collection, stamp, zone)
        if first is not None and last is not None:
            kinds.append(stamp.name)
            oldest, newest = min(oldest, first), max(newest, last)
    if not indexed:
        for document in _query(collection, {}, _STAMPS_ONLY):
            instant = instants.to_epoch(document.get(TIMESTAMP), zone)
            if instant is not None:
                oldest, newest = min(oldest, instant), max(newest, instant)
    known = oldest <= newest
    return CollectionTimes(
        indexed=indexed,
        kinds=tuple(kinds),
        oldest_ms=_milliseconds(oldest) if known else None,
        newest_ms=_milliseconds(newest) if known else None,
        documents=collection.estimated_document_count(),
    )


def windows_of(times: CollectionTimes, start_ms: int, end_ms: int, documents: int) -> list[TimeWindow]:
    """`[start_ms, end_ms)` in windows of about `documents` documents each; in one where no index would serve them."""
    if start_ms >= end_ms:
        return []
    if not times.indexed or times.oldest_ms is None or times.newest_ms is None:
        return [TimeWindow(start_ms, end_ms, end_ms + BEYOND_MS)]
    days = max(1.0, (times.newest_ms - times.oldest_ms) / DAY_MS)
    wanted = int(documents / max(1.0, times.documents / days))
    return list(time_windows(start_ms, end_ms, min(max(wanted, 1), _LONGEST_WINDOW_DAYS), BEYOND_MS))


def window_documents(
    collection: Collection[Document], kinds: tuple[str, ...], window: TimeWindow, zone: ZoneInfo | None
) -> Iterator[Document]:
    """The documents of a window, of the given kinds of timestamps, and perhaps some beside it; without kinds, all."""
    if not kinds:
        yield from _query(collection, {}, PROJECTION)
        return
    for stamp in STAMPS:
        if stamp.name in kinds:
            slack = stamp.slack(zone)
            lower = stamp.bound(window.start_ms / _SECOND_MS - slack)
            upper = stamp.bound(window.prices_end_ms / _SECOND_MS + slack)
            if lower != upper:
                yield from _of_kind(collection, stamp, {"$gte": lower, "$lt": upper}, PROJECTION)


def _edges(collection: Collection[Document], stamp: Stamp, zone: ZoneInfo | None) -> tuple[float | None, float | None]:
    """The instants of the oldest and the newest document of a kind."""
    found = []
    for direction, choose in ((1, min), (-1, max)):
        instant = _first(collection, stamp, zone, direction)
        slack = stamp.slack(zone)
        if instant is not None and slack:
            # Where the order of values is not that of instants, a neighbour may be further out.
            near = {"$gte": stamp.bound(instant - 2 * slack), "$lt": stamp.bound(instant + 2 * slack)}
            candidates = _of_kind(collection, stamp, near, _STAMPS_ONLY)
            known = (instants.to_epoch(document[TIMESTAMP], zone) for document in candidates)
            instant = choose((value for value in known if value is not None), default=instant)
        found.append(instant)
    return found[0], found[1]


def _first(collection: Collection[Document], stamp: Stamp, zone: ZoneInfo | None, direction: int) -> float | None:
    """The instant of the first readable document of a kind from one end."""
    within = {TIMESTAMP: {"$gte": stamp.lowest, "$lt": stamp.highest}}
    with collection.find(within, _STAMPS_ONLY, sort=[(TIMESTAMP, direction)], batch_size=2) as cursor:
        for document in cursor:
            instant = instants.to_epoch(document[TIMESTAMP], zone) if stamp.holds(document[TIMESTAMP]) else None
            if instant is not None:
                return instant
    return None


def _of_kind(
    collection: Collection[Document], stamp: Stamp, bounds: Document, projection: Document
) -> Iterator[Document]:
    for document in _query(collection, {TIMESTAMP: bounds}, projection):
        if stamp.holds(document[TIMESTAMP]):
            yield document


def _query(collection: Collection[Document], condition: Document, projection: Document) -> Iterator[Document]:
    """A query's documents; decoded a batch at a time, which costs least."""
    codec = collection.codec_options
    with collection.find_raw_batches(condition, projection, batch_size=_SERVER_BATCH) as cursor:
        for raw in cursor:
            # Typed as a document, a raw batch is the bytes of many.
            batch: Any = raw
            yield from bson.decode_all(batch, codec)


def _milliseconds(seconds: float) -> int:
    return math.floor(seconds * _SECOND_MS + 0.5)
