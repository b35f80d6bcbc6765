"""Documents of one time window of a collection, read with bounds and with no field that a dataset doesn't need.

Each kind of timestamp has a query of its own (`workers.sites.time_queries`); the many kinds that a site doesn't use
cost next to nothing. No order is asked for: readings are put in order after they became arrays, and of two documents of
one instant `_id` says which was inserted last; within one value of an index the order is that of insertion anyway.
Without an index on `timestamp` every query is a scan, so there is one query, for all kinds and the whole time.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from workers.datasets.measures.columns import PRICES_BEYOND_MS
from workers.datasets.measures.grid import DAY_MS, TimeWindow, time_windows
from workers.datasets.reading.documents import OBSERVATIONS, READ_FIELDS
from workers.sites.client import Document
from workers.sites.indexes import FIELD
from workers.sites.stamps import STAMPS
from workers.sites.time_queries import STAMPS_ONLY, batches, of_kind

#: What is asked of each document. MongoDB gives an absent field no space, so nested ones cost flat documents nothing.
PROJECTION: Final = {FIELD: 1, **dict.fromkeys(READ_FIELDS, 1), **{f"{OBSERVATIONS}.{f}": 1 for f in READ_FIELDS}}
_SECOND_MS: Final = 1000
_LONGEST_DAYS: Final = 366
#: Days of a span that are counted to learn how dense its documents are: its first, its middle and its last.
_SAMPLES: Final = (0.0, 0.5, 1.0)


def windows_of(
    collection: Collection[Document],
    zone: ZoneInfo | None,
    start_ms: int,
    end_ms: int,
    *,
    indexed: bool,
    documents: int,
    pieces: int,
) -> list[TimeWindow]:
    """`[start_ms, end_ms)` in windows of about `documents` documents, and at least `pieces` of them where there is
    enough time; in one where no index would serve them."""
    if start_ms >= end_ms:
        return []
    if not indexed:
        return [TimeWindow(start_ms, end_ms, end_ms + PRICES_BEYOND_MS)]
    days = -(-(end_ms - start_ms) // DAY_MS)
    density = max(_count(collection, zone, start_ms + int(share * (days - 1)) * DAY_MS) for share in _SAMPLES)
    wanted = documents // density if density else _LONGEST_DAYS
    return list(time_windows(start_ms, end_ms, max(1, min(wanted, _LONGEST_DAYS, days // pieces)), PRICES_BEYOND_MS))


def _count(collection: Collection[Document], zone: ZoneInfo | None, start_ms: int) -> int:
    """How many documents there are in the day from `start_ms` on."""
    day = TimeWindow(start_ms, start_ms + DAY_MS, start_ms + DAY_MS)
    return sum(1 for _ in _of_all_kinds(collection, day, zone, STAMPS_ONLY))


def window_documents(
    collection: Collection[Document], window: TimeWindow, zone: ZoneInfo | None, *, indexed: bool
) -> Iterator[Document]:
    """The documents of a window, and perhaps some beside it; all of the collection where no index serves a window."""
    if indexed:
        yield from _of_all_kinds(collection, window, zone, PROJECTION)
        return
    for documents in batches(collection, {}, PROJECTION, read_ahead=True):
        yield from documents


def _of_all_kinds(
    collection: Collection[Document], window: TimeWindow, zone: ZoneInfo | None, projection: Document
) -> Iterator[Document]:
    for stamp in STAMPS:
        slack = stamp.slack(zone)
        low = window.start_ms / _SECOND_MS - slack
        high = window.prices_end_ms / _SECOND_MS + slack
        for documents in of_kind(collection, stamp, low, high, projection, read_ahead=True):
            yield from documents
