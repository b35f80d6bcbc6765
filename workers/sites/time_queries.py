"""Queries of a collection by time: documents of one kind of timestamp between two bounds, as the server sends them.

MongoDB compares values of one type only, so each kind of timestamp (`stamps`) has queries of its own, between bounds of
its own type. Bounds are wall times (`instants.wall_time`): from `low` (included) to `high` (not included), infinite
where a side is open. For example, texts from 2025-06-07 12:00 on are `{"timestamp": {"$gte": "2025-06-07T12:00:00",
"$lt": "\\U0010ffff"}}`. tests/unit/workers/sites/test_time_queries.py has a case for each kind.

All readers of documents use this: `windows` (the streams of sites), and the time windows and extents of datasets.
"""

import contextlib
import math
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import bson
from pymongo.collection import Collection

from workers.sites.client import Document
from workers.sites.indexes import FIELD
from workers.sites.instants import DAY_S
from workers.sites.stamps import DATES, Stamp

#: Time is searched in windows from here on, and everything earlier is one window: sites hold next to nothing from
#: before 2015. Documents of 1971 and 2009 are found as well, by one query for both, as
#: `test_each_document_comes_once_whatever_the_density_of_the_data` in tests/integration/test_sites.py proves.
EARLIEST_S: Final = 1420070400.0  # 2015-01-01
#: Documents that the server sends at once (it stops at 16 MB by itself).
SERVER_BATCH: Final = 5000
#: The projection of queries that need no more than the timestamp.
STAMPS_ONLY: Final = {FIELD: 1, "_id": 0}

Sort = Sequence[tuple[str, int]]


def latest_s() -> float:
    """Time is searched in windows until here, and everything later is one window: a day after now, since producers'
    clocks are ahead at times."""
    return time.time() + DAY_S


def between(stamp: Stamp, low: float = -math.inf, high: float = math.inf) -> Document | None:
    """The condition of a query for a kind of timestamp; None where no value lies between the bounds.

    It also matches an array that holds a value of the kind, and values that only `Stamp.holds` tells from it.
    """
    lower = stamp.lowest if low == -math.inf else stamp.bound(low)
    upper = stamp.highest if high == math.inf else stamp.bound(high)
    return None if lower == upper else {FIELD: {"$gte": lower, "$lt": upper}}


def occurs(collection: Collection[Document], stamp: Stamp, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether any document matches `between`."""
    condition = between(stamp, low, high)
    if condition is None:
        return False
    with contextlib.closing(batches(collection, condition, STAMPS_ONLY, limit=1)) as found:
        return next(found, None) is not None


def may_occur(collection: Collection[Document], stamp: Stamp, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether a kind of timestamp is worth reading. Dates always are, without a query: most sites store dates and
    nothing else, and a server that builds a whole result before it sends the first document would read all of them to
    answer."""
    return stamp is DATES or occurs(collection, stamp, low, high)


def of_kind(
    collection: Collection[Document],
    stamp: Stamp,
    low: float,
    high: float,
    projection: Document | None = None,
    *,
    sort: Sort | None = None,
    limit: int = 0,
    read_ahead: bool = False,
) -> Generator[list[Document], None, None]:
    """The documents of a kind between two bounds, in lists that are not empty; the projection must keep `timestamp`."""
    condition = between(stamp, low, high)
    if condition is None:
        return
    with contextlib.closing(
        batches(collection, condition, projection, sort=sort, limit=limit, read_ahead=read_ahead)
    ) as found:
        for documents in found:
            held = [document for document in documents if stamp.holds(document[FIELD])]
            if held:
                yield held


def batches(
    collection: Collection[Document],
    condition: Document,
    projection: Document | None = None,
    *,
    sort: Sort | None = None,
    limit: int = 0,
    read_ahead: bool = False,
) -> Generator[list[Document], None, None]:
    """A query's documents in the batches in which the server sends them, which costs least; none is empty.

    With `read_ahead` a thread asks for the next batch while this one is used.
    """
    options: Any = {"allow_disk_use": True} if sort else {}
    codec = collection.codec_options
    with (
        collection.find_raw_batches(
            condition, projection, sort=sort, limit=limit, batch_size=SERVER_BATCH, **options
        ) as cursor,
        contextlib.closing(_ahead(cursor) if read_ahead else _as_asked(cursor)) as raw_batches,
    ):
        for raw in raw_batches:
            documents = bson.decode_all(raw, codec)
            if documents:
                yield documents


def _as_asked(cursor: Iterator[Any]) -> Generator[Any, None, None]:
    yield from cursor


def _ahead(cursor: Iterator[Any]) -> Generator[Any, None, None]:
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        coming = thread.submit(next, cursor, None)
        while (raw := coming.result()) is not None:
            coming = thread.submit(next, cursor, None)
            yield raw
