"""Readings that count once: several documents of one instant, and documents that were sent again.

The rules are those of datasets. Of several documents of one instant each field's last inserted value wins, where it
says something (null, NaN, a SOC of -1, or a text where a number was don't), so that documents complete each other. A
document that equals its predecessor in all but `timestamp` and `_id`, at most 2 s later, is the same one sent again.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from bson.objectid import ObjectId

from workers.sites.client import Document
from workers.sites.cursors import Stamped
from workers.sites.fields import identities, is_name, names_itself, number
from workers.sites.indexes import FIELD

#: How much later a repeat may come, in seconds.
REPEAT_S: Final = 2.0
_REPEAT_MS: Final = 2000
#: Documents of one instant that are held at most to put them in the order of their insertion.
_HELD_MAX: Final = 1000
_NOT_COMPARED: Final = (FIELD, "_id")


def once(items: Iterator[Stamped]) -> Iterator[Stamped]:
    """One item for each instant, in milliseconds, without those that repeat their predecessor. `items` come oldest
    first. Whoever begins in the middle of the data gives `REPEAT_S` of what lies before it too."""
    before: Stamped | None = None
    for item in _of_instants(items):
        repeats = (
            before is not None
            and _milliseconds(item) - _milliseconds(before) <= _REPEAT_MS
            and _same(_compared(before.document), _compared(item.document))
        )
        before = item
        if not repeats:
            yield item


def _of_instants(items: Iterator[Stamped]) -> Iterator[Stamped]:
    held: list[Stamped] = []
    for item in items:
        if held and _milliseconds(held[-1]) != _milliseconds(item):
            yield _joined(held)
            held = []
        elif len(held) == _HELD_MAX:
            held = [_joined(held)]
        held.append(item)
    if held:
        yield _joined(held)


def _milliseconds(item: Stamped) -> int:
    return math.floor(item.instant * 1000 + 0.5)


def _joined(held: list[Stamped]) -> Stamped:
    """Documents of one instant as one."""
    if len(held) == 1:
        return held[0]
    ids = [item.document.get("_id") for item in held]
    # The order in which they were read is that of `_id` already, except between timestamps of different types.
    if len(set(map(type, ids))) == 1 and isinstance(ids[0], ObjectId | int):
        held = sorted(held, key=lambda item: item.document["_id"])
    document = held[0].document
    for item in held[1:]:
        document = _completed(document, item.document)
    return held[-1]._replace(document=document)


def _completed(older: Document, newer: Document) -> Document:
    fields = dict(older)
    for key, value in newer.items():
        fields[key] = _later(key, fields[key], value) if key in fields else value
    return fields


def _later(key: str, older: Any, newer: Any) -> Any:
    if isinstance(older, dict) and isinstance(newer, dict):
        return _completed(older, newer)
    if isinstance(older, list) and isinstance(newer, list):
        return _listed(older, newer)
    return older if _says_nothing(key, older, newer) else newer


def _listed(older: list[Any], newer: list[Any]) -> list[Any]:
    """A list that says something of the things that it names, and nothing of others; any other list is one value."""
    if any(names_itself(item) is None for item in (*older, *newer)):
        return newer or older
    items = dict(zip(identities(older), older, strict=True))
    for identity, item in zip(identities(newer), newer, strict=True):
        items[identity] = _completed(items[identity], item) if identity in items else item
    return list(items.values())


def _says_nothing(key: str, older: Any, newer: Any) -> bool:
    if is_name(key):
        # A user that is null is nobody, which says something.
        return False
    if newer is None:
        return True
    value = number(key, newer)
    if value is None:
        before = number(key, older)
        return before is not None and not math.isnan(before)
    return math.isnan(value)


def _compared(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in _NOT_COMPARED}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; NaN equals NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other or (one != one and other != other))
