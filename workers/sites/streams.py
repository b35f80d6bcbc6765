"""Real-time data: a site's documents as a stream of JSON, one collection after the other.

`json` is one object, collection -> list of documents. `ndjson` has a line for each document,
`{"collection": …, "document": {…}}`. A collection that can't be read to its end says so in its own place: the last item
of its list, or a line of its own, is `{"error": …, "code": …}`; the other collections arrive whole.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from workers.common.errors import ErrorCode, OpevaError, Unavailable
from workers.sites.client import Document, MongoConnection
from workers.sites.cursors import CollectionReader
from workers.sites.database import Site
from workers.sites.documents import dump, dump_items
from workers.sites.windows import Floors, Span

logger = logging.getLogger(__name__)

#: Text is handed on in blocks of at least so many bytes: small enough to flow, large enough to cost little.
BLOCK_BYTES: Final = 256 << 10


@dataclass(frozen=True)
class RealTimeQuery:
    """Which documents of a site: those of some collections (None: all) from an instant on, or the newest of them."""

    collections: tuple[str, ...] | None = None
    #: Epoch seconds; None: from the first document on.
    since: float | None = None
    #: The newest so many of each collection; None: all.
    limit: int | None = None
    #: Lines instead of one JSON object.
    lines: bool = False


def real_time(connection: MongoConnection, site: Site, query: RealTimeQuery, floors: Floors) -> Iterator[bytes]:
    """The stream, in pieces of any size.

    Raises:
        NotFound: the site has no such collection. Raised by the call itself, before anything is read.
    """
    chosen = site.chosen(query.collections)
    write = _lines if query.lines else _object
    return write(chosen, _Source(connection, site, query, floors))


def blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces joined to blocks of `BLOCK_BYTES` or more. The first comes at once: somebody waits for it."""
    held: list[bytes] = []
    size, wanted = 0, 1
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= wanted:
            yield b"".join(held)
            held, size, wanted = [], 0, BLOCK_BYTES
    if held:
        yield b"".join(held)


class _Source:
    """The documents of each collection, and what went wrong with it."""

    def __init__(self, connection: MongoConnection, site: Site, query: RealTimeQuery, floors: Floors) -> None:
        self._connection = connection
        self._site = site
        self._query = query
        self._floors = floors
        #: The server is gone: no need to wait for it once for each collection that is left.
        self._gone: Unavailable | None = None

    def batches(self, name: str) -> Iterator[list[Document] | OpevaError]:
        """The documents of a collection in lists; if they can't be read to the end, an error is the last item."""
        if self._gone is not None:
            yield self._gone
            return
        try:
            with self._connection.errors(f"{name} of site '{self._site.name}'"):
                yield from self._read(name)
        except OpevaError as error:
            if error.code == ErrorCode.MONGO_UNAVAILABLE and isinstance(error, Unavailable):
                self._gone = error
            yield error
        except Exception:
            # Whatever a stored document does to its decoding, it must not cost the other collections.
            logger.exception("%s of site %s can't be read", name, self._site.name)
            yield Unavailable(
                f"A document in {name} of site '{self._site.name}' can't be read", ErrorCode.UNREADABLE_DOCUMENT
            )

    def _read(self, name: str) -> Iterator[list[Document]]:
        reader = CollectionReader(self._site.collection(name), self._site.source_zone, self._floors)
        span = Span(start=self._query.since)
        if self._query.limit is None:
            return reader.batches(span)
        return reader.newest(span, self._query.limit)


def _object(names: Sequence[str], source: _Source) -> Iterator[bytes]:
    opening = b"{"
    for name in names:
        yield opening + dump(name) + b":["
        opening = b","
        separator = b""
        for batch in source.batches(name):
            items = dump(_failure(batch)) if isinstance(batch, OpevaError) else dump_items(batch)
            yield separator + items
            separator = b","
        yield b"]"
    yield b"}" if names else b"{}"


def _lines(names: Sequence[str], source: _Source) -> Iterator[bytes]:
    for name in names:
        head = b'{"collection":' + dump(name) + b',"document":'
        for batch in source.batches(name):
            if isinstance(batch, OpevaError):
                yield dump({"collection": name, **_failure(batch)}) + b"\n"
            else:
                yield b"".join(head + dump(document) + b"}\n" for document in batch)


def _failure(error: OpevaError) -> dict[str, str]:
    return {"error": error.detail, "code": error.code}
