"""Cursors of historical data: they survive their way through a URL, and nothing else passes for one."""

import base64
import itertools
from dataclasses import replace
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from workers.common.errors import ErrorCode, InvalidInput
from workers.sites.compact import Packer
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


def _packed(
    form: int = 1, stop: int = 8 * 60, granularity: int = 0, zone: str = "", position: int = 0, more: int | None = None
) -> str:
    """A cursor, or what has the look of one."""
    packed = Packer()
    packed.whole(form)
    packed.whole(stop)
    packed.instant(0.0, 60.0)
    packed.whole(granularity)
    if granularity:
        packed.text(zone)
    packed.whole(1)
    packed.text("a")
    packed.whole(position)
    if more is not None:
        packed.whole(more)
    return packed.to_text()


def test_what_the_refused_ones_are_made_from_is_a_cursor() -> None:
    assert Cursor.from_text(_packed()) == Cursor("building_a", Range(0.0, 60.0))
    local = Range(0.0, 60.0, 60, "Europe/Lisbon")
    assert Cursor.from_text(_packed(granularity=60, zone="Europe/Lisbon")) == Cursor("building_a", local)


@given(
    st.text(max_size=40),
    st.floats(-1e12, 1e12),
    st.floats(-1e12, 1e12) | st.integers(0, 10**10).map(lambda n: n / 1000),
    st.none() | st.integers(1, 525_960_000),
    st.integers(0, 4),
    st.none() | st.text(max_size=40) | st.text("0123456789-:T .Z+", max_size=40),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=40) | st.uuids() | st.binary(max_size=20)
    | st.binary(min_size=12, max_size=12).map(ObjectId),
)  # fmt: skip
def test_any_cursor_comes_back_to_the_last_bit(
    name: str, start: float, stop: float, minutes: int | None, kind: int, text: str | None, identity: object
) -> None:
    cursor = Cursor(name, Range(start, stop, minutes), Position(stop, kind, text, identity))
    assert Cursor.from_text(cursor.to_text()) == cursor


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (1749297600.789, None),
        (1749297600.0, "2025-06-07T12:00:00Z"),
        (1749297600.123456, "2025-06-07T12:00:00.123456+01:00"),
    ],
)
def test_the_cursors_of_150_buildings_fit_a_header(instant: float, text: str | None) -> None:
    within = Range(1749297600.123, 1749384000.123)
    after = Position(instant, 1, text, ObjectId("5f43a1b2c3d4e5f601234567"))
    cursors = [Cursor(f"building_R-H-{n:06}", within, after).to_text() for n in range(150)]
    assert len("".join(f"&cursor={cursor}" for cursor in cursors)) < 14 << 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ü",
        "A" * 9000,
        "AAAA",
        base64.urlsafe_b64encode(bson.encode({"c": "b", "f": 0, "u": 1, "g": None, "p": None})).decode(),
        _packed(form=0),
        _packed(stop=8 * 10**400),
        _packed(granularity=1 << 70),
        _packed(granularity=60, zone="Europe/Nowhere"),
        _packed(granularity=50, zone="Europe/Lisbon"),
        _packed(position=11),
        _packed(more=1),
        _packed()[:-1],
        _packed()[:-4],
        "B" + _packed()[1:],
    ],
    ids=range(16),
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


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc", "Europe", "x\0", "UTC+25"])
def test_a_time_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Europe/Lisbon") as refusal:
        _query(minutes=60, granularity_minutes=60, time_zone=name)
    assert refusal.value.code == ErrorCode.INVALID_TIME_ZONE


@pytest.mark.parametrize("granularity", [None, 50, 2880])
def test_a_time_zone_needs_buckets_that_fit_a_day(granularity: int | None) -> None:
    with pytest.raises(InvalidInput, match="1440"):
        _query(minutes=60, granularity_minutes=granularity, time_zone="Europe/Lisbon")


def test_a_cursor_keeps_its_time_zone() -> None:
    text = Cursor("building_a", replace(RANGE, granularity_minutes=60, time_zone="Europe/Lisbon")).to_text()
    assert _query(cursors=(text,), time_zone="Europe/Lisbon").range.time_zone == "Europe/Lisbon"
    assert _query(cursors=(text,)).range.time_zone == "Europe/Lisbon"
    with pytest.raises(InvalidInput, match="time zone"):
        _query(cursors=(text,), time_zone="Europe/Madrid")


def test_ids_of_one_instant_are_told_apart_in_the_order_of_the_server() -> None:
    ids: list[object] = [-1, 2.5, 3, "a", "b", ObjectId("0" * 24), ObjectId("f" * 24)]
    positions = [Position(1.0, 0, None, identity) for identity in ids]
    for earlier, later in itertools.pairwise(positions):
        assert earlier.is_before(later)
        assert not later.is_before(earlier)
        assert not earlier.is_before(earlier)
