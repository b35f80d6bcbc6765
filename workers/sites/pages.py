"""Pages of historical data: a cursor says behind which document the next page begins.

The order is that of `CollectionReader.stamped`. Documents inserted before a cursor shift nothing, those inserted behind
it will be met. A cursor holds its range too, so that `minutes` counts from the first page's now on every page. It is
compact: those of 150 collections go on in one GET, since servers and proxies take some 15 KiB of header.
"""

from dataclasses import dataclass
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.objectid import ObjectId

from workers.common.errors import ErrorCode, InvalidInput
from workers.sites.bucket_grid import Grid, fits_local_clock
from workers.sites.compact import CODEC, Packer, Unpacker
from workers.sites.cursors import Stamped
from workers.sites.database import BUILDING_PREFIX, zone_of
from workers.sites.indexes import FIELD
from workers.sites.stamps import STAMPS

_CURSOR_BYTES: Final = 8192
_MINUTE_S: Final = 60.0
#: More than any request may ask for.
_MINUTES_MAX: Final = 10**9
#: The form of cursors. A cursor of another form begins otherwise and is refused.
_FORM: Final = 1
_NAMED, _BUILDING = range(2)


@dataclass(frozen=True)
class Range:
    """What is asked for: half-open, in epoch seconds, with the width of buckets in minutes (None: no buckets)."""

    start: float
    stop: float
    granularity_minutes: int | None = None
    #: The zone on whose clock buckets lie; None: on the UTC epoch.
    time_zone: str | None = None

    def grid(self) -> Grid | None:
        """The buckets, None without any."""
        if self.granularity_minutes is None:
            return None
        return Grid(self.granularity_minutes * _MINUTE_S, zone_of(self.time_zone))


@dataclass(frozen=True)
class Position:
    """The document behind which a page begins."""

    instant: float
    #: Which of STAMPS its timestamp is.
    kind: int
    #: Its timestamp, where that is a text: texts of one instant may differ.
    text: str | None
    id: Any

    @classmethod
    def of(cls, item: Stamped) -> "Position":
        value = item.document[FIELD]
        return cls(item.instant, item.kind, value if isinstance(value, str) else None, item.document.get("_id"))

    def is_before(self, other: "Position") -> bool:
        """Whether `other` comes behind this position."""
        return _place(self) < _place(other)


@dataclass(frozen=True)
class Cursor:
    """Where a page of a collection begins: behind a document, or with the range itself."""

    collection: str
    range: Range
    after: Position | None = None

    def to_text(self) -> str:
        """The cursor as a client gets it, safe in a URL."""
        within, after = self.range, self.after
        packed = Packer()
        packed.whole(_FORM)
        packed.instant(within.stop)
        packed.instant(within.start, within.stop)
        packed.whole(within.granularity_minutes or 0)
        if within.granularity_minutes:
            packed.text(within.time_zone or "")
        # Most collections are buildings': the prefix is one byte.
        bare = self.collection.removeprefix(BUILDING_PREFIX)
        packed.whole(_NAMED if bare == self.collection else _BUILDING)
        packed.text(bare)
        # 0: no position; else the kind, twice for those with a text, and 1.
        packed.whole(0 if after is None else 1 + 2 * after.kind + (after.text is not None))
        if after is not None:
            packed.instant(after.instant, within.start)
            if after.text is not None:
                packed.text(after.text)
            packed.id(after.id)
        return packed.to_text()

    @classmethod
    def from_text(cls, text: str) -> "Cursor":
        """Raises InvalidInput if `text` is no cursor of ours."""
        try:
            if len(text) > _CURSOR_BYTES:
                raise ValueError("too long")
            packed = Unpacker(text)
            if packed.whole() != _FORM:
                raise ValueError("of another form")
            within = _range(packed)
            prefix = BUILDING_PREFIX if packed.whole() == _BUILDING else ""
            collection = prefix + packed.text()
            position = _position(packed, within)
            packed.end()
            return cls(collection, within, position)
        except (BSONError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise InvalidInput(
                f"cursor {text[:40]!r} is not one that this API gave out: take next_cursor of the previous page",
                ErrorCode.INVALID_CURSOR,
            ) from error


def _range(packed: Unpacker) -> Range:
    stop = packed.instant()
    start = packed.instant(stop)
    granularity = packed.whole() or None
    if granularity is None:
        return Range(start, stop)
    if granularity > _MINUTES_MAX:
        raise ValueError("too long for a bucket")
    zone = packed.text() or None
    if zone is not None and (zone_of(zone) is None or not fits_local_clock(granularity * _MINUTE_S)):
        raise ValueError("not a time zone")
    return Range(start, stop, granularity, zone)


def _position(packed: Unpacker, within: Range) -> Position | None:
    kind, has_text = divmod(packed.whole() - 1, 2)
    if kind < 0:
        return None
    if kind >= len(STAMPS):
        raise ValueError("not a position")
    instant = packed.instant(within.start)
    return Position(instant, kind, packed.text() if has_text else None, packed.id())


def _place(position: Position) -> tuple[Any, ...]:
    return (position.instant, position.kind, position.text or "", *_id_order(position.id))


def _id_order(identity: Any) -> tuple[Any, ...]:
    """A document's `_id` as a key that sorts as MongoDB sorts it, for the types that ids have."""
    if isinstance(identity, int | float) and not isinstance(identity, bool):
        return (1, identity)
    if isinstance(identity, str):
        return (2, identity.encode("utf-8", "replace"))
    if isinstance(identity, bytes):
        return (4, len(identity), identity)
    if isinstance(identity, ObjectId):
        return (5, identity.binary)
    return (6, bson.encode({"": identity}, codec_options=CODEC))
