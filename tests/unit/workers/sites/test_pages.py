"""Cursors of historical data: they survive their way through a URL, and nothing else passes for one."""

import base64
import itertools
from typing import Any

import bson
import pytest
from bson import ObjectId

from workers.common.errors import InvalidInput
from workers.sites.history import query_of
from workers.sites.pages import Cursor, Position, Range

RANGE = Range(1749297600.0, 1749384000.0, None)


def _query(**parameters: Any) -> Any:
    names = ("from_ts", "until_ts", "minutes", "granularity_minutes", "limit", "collections")
    return query_of(**{**dict.fromkeys(names), "cursors": (), **parameters})


@pytest.mark.parametrize(
    "identity", [ObjectId("5f43a1b2c3d4e5f601234567"), "text-ü", 5, 2.5, None, {"nested": [1]}], ids=repr
)
def test_a_cursor_comes_back_as_it_was(identity: object) -> None:
    cursor = Cursor("building_ü", RANGE, Position(1749297600.123, 1, "2025-06-07T12:00:00.123Z", identity))
    text = cursor.to_text()
    assert text.isascii()
    assert not set(text) & set("+/=&?#")
    assert Cursor.from_text(text) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ü",
        "A" * 9000,
        base64.urlsafe_b64encode(b"\x05\x00\x00\x00\x00").decode(),
        base64.urlsafe_b64encode(bson.encode({"c": "b", "f": 0, "u": 1, "g": 0, "p": [0, 99, None, 1]})).decode(),
        base64.urlsafe_b64encode(bson.encode({"c": "b", "f": 0, "u": float("inf"), "g": None, "p": None})).decode(),
        base64.urlsafe_b64encode(bson.encode({"c": "b", "f": 0, "u": 1, "g": -5, "p": None})).decode(),
        base64.urlsafe_b64encode(
            bson.encode({"c": "b", "f": 0, "u": 1, "g": None, "p": [0, 1, {"$gt": 1}, 1]})
        ).decode(),
    ],
    ids=range(9),
)
def test_what_is_no_cursor_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        Cursor.from_text(text)


@pytest.mark.parametrize(
    "more",
    [{"granularity_minutes": 30}, {"until_ts": "2030-01-01"}, {"collections": ("building_b",)}],
    ids=lambda more: next(iter(more)),
)
def test_a_cursor_goes_on_only_with_what_it_was_made_for(more: dict[str, Any]) -> None:
    text = Cursor("building_a", RANGE).to_text()
    assert _query(cursors=(text,), minutes=60, until_ts="2025-06-08T12:00:00Z").range == RANGE
    with pytest.raises(InvalidInput, match="cursor"):
        _query(cursors=(text,), **more)


def test_ids_of_one_instant_are_told_apart_in_the_order_of_the_server() -> None:
    ids: list[object] = [-1, 2.5, 3, "a", "b", ObjectId("0" * 24), ObjectId("f" * 24)]
    positions = [Position(1.0, 0, None, identity) for identity in ids]
    for earlier, later in itertools.pairwise(positions):
        assert earlier.is_before(later)
        assert not later.is_before(earlier)
        assert not earlier.is_before(earlier)
