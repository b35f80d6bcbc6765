"""Pages of historical data: a cursor says behind which document the next page begins.

The order is that of `CollectionReader.stamped`. Documents inserted before a cursor shift nothing, those inserted behind
it will be met. A cursor holds its range too, so that `minutes` counts from the first page's now on every page.
"""

import base64
import binascii
import math
from dataclasses import dataclass
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.objectid import ObjectId

from workers.common.errors import ErrorCode, InvalidInput
from workers.sites.cursors import Stamped
from workers.sites.indexes import FIELD
from workers.sites.stamps import STAMPS

_CURSOR_BYTES: Final = 8192


@dataclass(frozen=True)
class Range:
    """What is asked for: half-open, in epoch seconds, with the width of buckets in minutes (None: no buckets)."""

    start: float
    stop: float
    granularity_minutes: int | None = None


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
        after = self.after
        held = {
            "c": self.collection,
            "f": self.range.start,
            "u": self.range.stop,
            "g": self.range.granularity_minutes,
            "p": None if after is None else [after.instant, after.kind, after.text, after.id],
        }
        return base64.urlsafe_b64encode(bson.encode(held)).decode("ascii").rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> "Cursor":
        """Raises InvalidInput if `text` is no cursor of ours."""
        try:
            if len(text) > _CURSOR_BYTES:
                raise ValueError("too long")
            held = bson.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            after = held["p"]
            position = None
            if after is not None:
                instant, kind, stamp, identity = after
                if not isinstance(stamp, str | None) or kind not in range(len(STAMPS)):
                    raise ValueError("not a position")
                position = Position(float(instant), int(kind), stamp, identity)
            granularity = held["g"]
            within = Range(float(held["f"]), float(held["u"]), None if granularity is None else int(granularity))
            if not math.isfinite(within.start) or not math.isfinite(within.stop) or (granularity or 1) < 1:
                raise ValueError("not a range")
            return cls(str(held["c"]), within, position)
        except (BSONError, binascii.Error, ValueError, TypeError, KeyError, OverflowError) as error:
            raise InvalidInput(
                f"cursor {text[:40]!r} is not one that this API gave out: take next_cursor of the previous page",
                ErrorCode.INVALID_CURSOR,
            ) from error


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
    return (6, bson.encode({"": identity}))
