"""Documents of sites as JSON, averaged buckets, and blocks of a stream."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from bson import Binary, DatetimeMS, Decimal128, MaxKey, ObjectId
from bson.timestamp import Timestamp

from workers.sites import buckets, streams
from workers.sites.bucket_grid import Grid
from workers.sites.cursors import Stamped
from workers.sites.documents import decimal_number, dump, dump_items


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("0.1", 0.1),
        ("12", 12),
        ("1E+3", 1000),
        ("-0.000001", -0.000001),
        ("9223372036854775807", 2**63 - 1),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("NaN", None),
        ("-Infinity", None),
        ("sNaN", None),
    ],
)
def test_a_decimal_is_a_number_only_where_no_digit_is_lost(stored: str, written: object) -> None:
    assert decimal_number(Decimal(stored)) == written
    assert json.loads(dump({"d": Decimal128(stored)})) == {"d": written}


def test_whatever_bson_holds_is_valid_json() -> None:
    held = {
        "id": ObjectId("6b076e952b82c2e9c20ea232"),
        "far": DatetimeMS(253402300800000),
        "date": datetime(2025, 6, 7, 12),  # noqa: DTZ001 - as pymongo reads BSON dates here
        "stamp": Timestamp(1749297600, 3),
        "binary": Binary(b"\xff"),
        "numbers": [float("nan"), float("inf"), 2**62],
        "other": MaxKey(),
        "text": "\x00\u2028",
    }
    assert json.loads(dump(held)) == {
        "id": "6b076e952b82c2e9c20ea232",
        "far": "253402300800000",
        "date": "2025-06-07T12:00:00Z",
        "stamp": "2025-06-07T12:00:00.000Z",
        "binary": "/w==",
        "numbers": [None, None, 2**62],
        "other": "MaxKey()",
        "text": "\x00\u2028",
    }
    assert json.loads(b"[" + dump_items([held, {}]) + b"]") == [json.loads(dump(held)), {}]


def test_blocks_are_large_but_the_first_comes_at_once() -> None:
    pieces = [b"{", *[b"x" * 1000] * 1000, b"}"]
    drawn = 0

    def draw() -> Iterator[bytes]:
        nonlocal drawn
        for piece in pieces:
            drawn += 1
            yield piece

    blocks = streams.blocks(draw())
    first = next(blocks)
    assert drawn == 1
    rest = list(blocks)
    assert first + b"".join(rest) == b"".join(pieces)
    assert all(streams.BLOCK_BYTES <= len(block) < streams.BLOCK_BYTES + 1000 for block in rest[:-1])


def _buckets(documents: list[tuple[float, dict[str, Any]]], width: float) -> list[tuple[float, dict[str, Any]]]:
    return list(buckets.averaged((Stamped(instant, 0, document) for instant, document in documents), Grid(width)))


def test_numbers_are_averaged_at_any_depth_and_of_the_rest_the_first_is_kept() -> None:
    documents: list[tuple[float, dict[str, Any]]] = [
        (0, {"a": 1, "deep": {"x": [1.0, {"y": 2}], "name": "first"}, "flag": True, "hole": float("nan")}),
        (10, {"a": Decimal128("4"), "deep": {"x": [3.0, {"y": 4}], "name": "second"}, "flag": False, "late": 7}),
        (20, {"a": None, "deep": {"x": []}}),
        (60, {"a": 5}),
    ]
    first, second = _buckets(documents, 60)
    assert first == (
        0,
        {
            "a": 2.5,
            "deep": {"x": [2.0, {"y": 3.0}], "name": "first"},
            "flag": True,
            "hole": None,
            "late": 7.0,
            "timestamp": "1970-01-01T00:00:00.000Z",
        },
    )
    assert second == (60, {"a": 5.0, "timestamp": "1970-01-01T00:01:00.000Z"})


def test_chargers_are_averaged_with_themselves_in_whatever_order_they_are_listed() -> None:
    listed = [{"charger_id": "A", "power": 2.0}, {"charger_id": "B", "power": 10.0}]
    documents = [(0.0, {"sessions": listed}), (1.0, {"sessions": [listed[1], {"charger_id": "A", "power": 4.0}]})]
    ((_, bucket),) = _buckets(documents, 60)
    assert bucket["sessions"] == [{"charger_id": "A", "power": 3.0}, {"charger_id": "B", "power": 10.0}]


@pytest.mark.parametrize("names", [(3, 5), ("A", "B"), (3.5, 5.5), (ObjectId("0" * 24), ObjectId("f" * 24)), ("1", 2)])
@pytest.mark.parametrize("key", ["charger_id", "Charger Id", "id"])
def test_items_are_told_apart_by_a_name_of_any_type(key: str, names: tuple[Any, Any]) -> None:
    one, two = names
    documents = [
        (0.0, {"list": [{key: one, "power": 2.0}, {key: two, "power": 10.0}]}),
        (1.0, {"list": [{"power": 30.0, key: two}, {"power": 4.0, key: one}]}),
        (2.0, {"list": [{key: two, "power": 50.0}]}),
    ]
    ((_, bucket),) = _buckets(documents, 60)
    assert bucket["list"] == [{key: one, "power": 3.0}, {key: two, "power": 30.0}]
    assert type(bucket["list"][0][key]) is type(one)


def test_a_charger_that_is_listed_twice_stays_two() -> None:
    twice = [{"charger_id": 7, "user_id": "x", "power": 1.0}, {"charger_id": 7, "user_id": "y", "power": 5.0}]
    ((_, bucket),) = _buckets([(0, {"sessions": twice}), (1, {"sessions": twice})], 60)
    assert bucket["sessions"] == twice


def test_a_number_is_no_name_for_the_items_at_a_position() -> None:
    documents: list[tuple[float, dict[str, Any]]] = [
        (0, {"list": [{"id": 1, "x": 1}, {"x": 5}]}),
        (1, {"list": [{"x": 3}, {"x": 7}]}),
    ]
    ((_, bucket),) = _buckets(documents, 60)
    assert bucket["list"] == [{"id": 1, "x": 1.0}, {"x": 6.0}, {"x": 3.0}]


def test_texts_that_are_numbers_are_averaged_and_a_soc_of_minus_one_is_none() -> None:
    documents: list[tuple[float, dict[str, Any]]] = [
        (0, {"load": "1.5", "mixed": "broken", "soc": 40, "none": {"SoC": -1}, "user_id": "12", "power": -1}),
        (1, {"load": 2.5, "mixed": " 4 ", "soc": -1, "none": {"SoC": "-1"}, "user_id": "14", "power": -3}),
        (2, {"load": "NaN", "mixed": None, "soc": "60", "none": {"SoC": None}, "user_id": "16", "power": 1}),
    ]
    ((_, bucket),) = _buckets(documents, 60)
    assert bucket == {
        "load": 2.0, "mixed": 4.0, "soc": 50.0, "none": {"SoC": None}, "user_id": "12", "power": -1.0,
        "timestamp": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip


def test_buckets_before_the_epoch_lie_on_the_same_grid() -> None:
    assert [start for start, _ in _buckets([(-61, {}), (-1, {}), (0, {})], 60)] == [-120, -60, 0]
