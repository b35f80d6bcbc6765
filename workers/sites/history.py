"""Historical data: ranges of a site's documents, as they are or averaged, page by page."""

import itertools
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from workers.common.errors import ErrorCode, InvalidInput, OpevaError, Unavailable
from workers.sites import buckets, instants
from workers.sites.bucket_grid import Grid, fits_local_clock
from workers.sites.client import Document, MongoConnection
from workers.sites.cursors import CollectionReader, Stamped
from workers.sites.database import Site, zone_of
from workers.sites.documents import dump, dump_items
from workers.sites.once import REPEAT_S, once
from workers.sites.pages import Cursor, Position, Range
from workers.sites.windows import Floors, Span

logger = logging.getLogger(__name__)

_BATCH: Final = 500
_MINUTE: Final = 60.0
_MILLISECOND: Final = 0.001


@dataclass(frozen=True)
class HistoryQuery:
    """Which documents, and how many at most of each collection."""

    range: Range
    collections: tuple[str, ...] | None = None
    limit: int | None = None
    #: Where to go on, by collection; with any, only those collections are read.
    cursors: tuple["Cursor", ...] = ()


def query_of(
    *,
    from_ts: str | None,
    until_ts: str | None,
    minutes: int | None,
    granularity_minutes: int | None,
    limit: int | None,
    cursors: tuple[str, ...],
    collections: tuple[str, ...] | None,
    time_zone: str | None = None,
) -> HistoryQuery:
    """A request's parameters, understood.

    Raises:
        InvalidInput: half a range, an inverted or empty one, none, or two; a stamp that can't be read; a cursor that is
            not ours or that contradicts the other parameters; a time zone that doesn't exist, or without buckets that
            could lie on its clock.
    """
    zone = None if time_zone is None else _zone_name(time_zone)
    if cursors:
        return _continued(from_ts, until_ts, granularity_minutes, zone, limit, cursors, collections)
    start, stop = _range_of(from_ts, until_ts, minutes)
    if zone is not None and (granularity_minutes is None or not fits_local_clock(granularity_minutes * _MINUTE)):
        raise InvalidInput(
            "time_zone says where local days and hours begin: give with it a granularity_minutes of 1440 or one that"
            " divides it, such as 60 or 15",
            ErrorCode.INVALID_INPUT,
        )
    return HistoryQuery(Range(start, stop, granularity_minutes, zone), collections, limit)


def history(connection: MongoConnection, site: Site, query: HistoryQuery, floors: Floors) -> Iterator[bytes]:
    """`{site, query, collections: {name: {items, next_cursor}}}` as JSON, in pieces of any size.

    A collection that can't be read to its end has `error` and `code` beside what was read of it.

    Raises:
        NotFound: the site has no such collection. Raised by the call itself, before anything is read.
    """
    pages = {cursor.collection: cursor for cursor in query.cursors}
    chosen = site.chosen(tuple(pages) or query.collections)
    return _answer(connection, site, query, [pages.get(name) or Cursor(name, query.range) for name in chosen], floors)


def _answer(
    connection: MongoConnection, site: Site, query: HistoryQuery, pages: list[Cursor], floors: Floors
) -> Iterator[bytes]:
    asked = {
        "from_ts": instants.iso(query.range.start),
        "until_ts": instants.iso(query.range.stop),
        "granularity_minutes": query.range.granularity_minutes,
        "time_zone": query.range.time_zone,
        "limit": query.limit,
        "collections": [page.collection for page in pages],
    }
    yield b'{"site":' + dump(site.name) + b',"query":' + dump(asked) + b',"collections":{'
    gone: OpevaError | None = None
    for number, page in enumerate(pages):
        yield (b"," if number else b"") + dump(page.collection) + b':{"items":['
        end: dict[str, Any] = {"next_cursor": None}
        try:
            if gone is not None:
                raise gone
            with connection.errors(f"{page.collection} of site '{site.name}'"):
                reader = CollectionReader(site.collection(page.collection), site.source_zone, floors)
                separator = b""
                for found in _page(reader, page, query.limit):
                    if isinstance(found, Cursor):
                        end["next_cursor"] = found.to_text()
                    else:
                        yield separator + dump_items(found)
                        separator = b","
        except OpevaError as error:
            # The server is gone: no need to wait for it once for each collection that is left.
            gone = error if error.code == ErrorCode.MONGO_UNAVAILABLE else None
            end |= {"error": error.detail, "code": error.code}
        except Exception:
            # Whatever a stored document does to its decoding, it must not cost the other collections.
            logger.exception("%s of site %s can't be read", page.collection, site.name)
            bad = Unavailable(f"A document in {page.collection} of site '{site.name}' can't be read")
            end |= {"error": bad.detail, "code": ErrorCode.UNREADABLE_DOCUMENT.value}
        yield b"]," + dump(end)[1:]
    yield b"}}"


def _page(reader: CollectionReader, page: Cursor, limit: int | None) -> Iterator[list[Document] | Cursor]:
    """The documents of a page in lists, and then where the next page begins, if there is more."""
    grid = page.range.grid()
    items = _documents(reader, page) if grid is None else _buckets(reader, page, grid)
    left = limit
    last: Stamped | float = page.range.start
    while batch := list(itertools.islice(items, _BATCH if left is None else min(_BATCH, left))):
        yield [document for document, _ in batch]
        last = batch[-1][1]
        left = None if left is None else left - len(batch)
    if left == 0 and next(items, None) is not None:
        if isinstance(last, Stamped):
            yield replace(page, after=Position.of(last))
        elif grid is not None:
            yield replace(page, range=replace(page.range, start=grid.end_of(last)))


def _documents(reader: CollectionReader, page: Cursor) -> Iterator[tuple[Document, Stamped | float]]:
    """Documents, each as what the next page would begin behind."""
    after = page.after
    start = page.range.start if after is None else after.instant
    for item in reader.stamped(Span(start, page.range.stop)):
        if after is None or item.instant > after.instant or after.is_before(Position.of(item)):
            yield item.document, item


def _buckets(reader: CollectionReader, page: Cursor, grid: Grid) -> Iterator[tuple[Document, Stamped | float]]:
    """Buckets, each with the instant at which it begins."""
    within = page.range
    # What is sent again within moments is known by what came before, on the page before too.
    items = once(reader.stamped(Span(within.start - REPEAT_S - _MILLISECOND, within.stop)))
    for start, document in buckets.averaged((item for item in items if item.instant >= within.start), grid):
        yield document, start


def _range_of(from_ts: str | None, until_ts: str | None, minutes: int | None) -> tuple[float, float]:
    if minutes is not None:
        if from_ts is not None or until_ts is not None:
            raise InvalidInput("Give either minutes or from_ts and until_ts, not both", ErrorCode.INVALID_RANGE)
        # In milliseconds, which is what documents have and what takes least room in a cursor.
        now = math.floor(time.time() * 1000) / 1000
        return now - minutes * _MINUTE, now
    if from_ts is None and until_ts is None:
        raise InvalidInput("Give from_ts and until_ts, or minutes to count back from now", ErrorCode.INVALID_RANGE)
    if from_ts is None or until_ts is None:
        given, missing = ("from_ts", "until_ts") if until_ts is None else ("until_ts", "from_ts")
        raise InvalidInput(f"{given} needs {missing} beside it: a range has two ends", ErrorCode.INVALID_RANGE)
    start, stop = instants.parse_instant(from_ts, "from_ts"), instants.parse_instant(until_ts, "until_ts")
    if start >= stop:
        raise InvalidInput(
            f"from_ts ({instants.iso(start)}) must be earlier than until_ts ({instants.iso(stop)})",
            ErrorCode.INVALID_RANGE,
        )
    return start, stop


def _zone_name(text: str) -> str:
    zone = zone_of(text.strip())
    if zone is None:
        raise InvalidInput(
            f"time_zone {text[:80]!r} is no time zone: write it like Europe/Lisbon", ErrorCode.INVALID_TIME_ZONE
        )
    return zone.key


def _continued(
    from_ts: str | None,
    until_ts: str | None,
    granularity_minutes: int | None,
    time_zone: str | None,
    limit: int | None,
    cursors: tuple[str, ...],
    collections: tuple[str, ...] | None,
) -> HistoryQuery:
    """The next page of one or more collections. What the first page was asked with may be repeated, not changed."""
    pages = tuple(Cursor.from_text(text) for text in cursors)
    first = pages[0].range
    named = [page.collection for page in pages]
    if len(set(named)) < len(named) or (collections and set(named) - set(collections)):
        raise InvalidInput(
            f"The cursors are of {', '.join(named)}: give one for each collection that you name",
            ErrorCode.INVALID_CURSOR,
        )
    for page in pages:
        stop = page.range.stop
        granularity = page.range.granularity_minutes
        if (
            stop != first.stop
            or granularity != first.granularity_minutes
            or page.range.time_zone != first.time_zone
            or (time_zone is not None and time_zone != first.time_zone)
            or (until_ts is not None and instants.parse_instant(until_ts, "until_ts") != stop)
            or (granularity_minutes is not None and granularity_minutes != granularity)
        ):
            raise InvalidInput(
                "A cursor goes on with the range, granularity and time zone that it was made with",
                ErrorCode.INVALID_CURSOR,
            )
    if from_ts is not None:
        instants.parse_instant(from_ts, "from_ts")
    return HistoryQuery(first, collections, limit, pages)
