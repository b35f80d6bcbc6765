"""Queries by time: the condition of each kind of timestamp between two wall times, and what is taken of the answers.

The collections here answer every query with the batches that they are given, encoded as a server sends them.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self, cast

import bson
import pytest
from bson.codec_options import CodecOptions
from pymongo.collection import Collection

from workers.sites.client import Document
from workers.sites.stamps import DATES, MILLISECONDS, NUMERIC_TEXTS, SECONDS, STAMPS, TEXTS, Stamp
from workers.sites.time_queries import EARLIEST_S, STAMPS_ONLY, batches, between, latest_s, may_occur, occurs, of_kind

LOW = datetime(2025, 6, 7, 12, tzinfo=UTC).timestamp()
HIGH = LOW + 3600


@pytest.mark.parametrize(
    ("stamp", "lower", "upper"),
    [
        (DATES, datetime(2025, 6, 7, 12), datetime(2025, 6, 7, 13)),  # noqa: DTZ001 - BSON dates are bare UTC
        (TEXTS, "2025-06-07T12:00:00", "2025-06-07T13:00:00"),
        (NUMERIC_TEXTS, "1749297600", "1749301200"),
        (SECONDS, 1749297600.0, 1749301200.0),
        (MILLISECONDS, 1749297600000.0, 1749301200000.0),
    ],
    ids=lambda value: value.name if isinstance(value, Stamp) else "",
)
def test_a_kind_is_asked_for_between_values_of_its_own_type(stamp: Stamp, lower: Any, upper: Any) -> None:
    assert between(stamp, LOW, HIGH) == {"timestamp": {"$gte": lower, "$lt": upper}}
    assert between(stamp, -math.inf, HIGH) == {"timestamp": {"$gte": stamp.lowest, "$lt": upper}}
    assert between(stamp, LOW, math.inf) == {"timestamp": {"$gte": lower, "$lt": stamp.highest}}


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda stamp: stamp.name)
def test_nothing_is_asked_where_no_value_lies_between_the_bounds(stamp: Stamp) -> None:
    assert between(stamp, LOW, LOW) is None


def test_a_window_of_the_years_before_epoch_numbers_as_text_needs_no_query_for_them() -> None:
    assert between(NUMERIC_TEXTS, 0.0, 86400.0) is None


class Cursor(Iterator[bytes]):
    """A cursor of raw batches. It counts what was asked of it, and whether it was closed."""

    def __init__(self, sent: list[list[Document]]) -> None:
        self._coming = iter([b"".join(bson.encode(document) for document in batch) for batch in sent])
        self.asked = 0
        self.closed = False

    def __next__(self) -> bytes:
        self.asked += 1
        return next(self._coming)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class FakeCollection:
    """A collection that answers each query with the same batches and keeps what it was asked."""

    codec_options: CodecOptions[Document] = CodecOptions()

    def __init__(self, *sent: list[Document]) -> None:
        self._sent = list(sent)
        self.asked: list[tuple[Document, Document | None, dict[str, Any]]] = []
        self.cursors: list[Cursor] = []

    def find_raw_batches(self, condition: Document, projection: Document | None, **options: Any) -> Cursor:
        self.asked.append((condition, projection, options))
        self.cursors.append(Cursor(self._sent))
        return self.cursors[-1]

    @property
    def typed(self) -> Collection[Document]:
        return cast("Collection[Document]", self)


def numbered(*numbers: int) -> list[Document]:
    return [{"timestamp": LOW + number, "n": number} for number in numbers]


def test_windows_of_time_begin_in_2015_and_end_a_day_from_now() -> None:
    assert datetime(2015, 1, 1, tzinfo=UTC).timestamp() == EARLIEST_S
    before = time.time()
    assert before + 86400 <= latest_s() <= time.time() + 86400


@pytest.mark.parametrize("read_ahead", [False, True])
def test_each_batch_comes_once_in_order_and_empty_ones_are_left_out(read_ahead: bool) -> None:
    collection = FakeCollection([], numbered(1, 2), [], numbered(3), numbered(4, 5), [])
    condition = {"timestamp": {"$gte": LOW}}
    found = list(batches(collection.typed, condition, {"n": 1}, limit=9, read_ahead=read_ahead))
    assert found == [numbered(1, 2), numbered(3), numbered(4, 5)]
    [(asked, projection, options)] = collection.asked
    assert (asked, projection) == (condition, {"n": 1})
    assert options == {"sort": None, "limit": 9, "batch_size": 5000}
    assert collection.cursors[0].closed


def test_a_sort_may_use_the_disk_of_the_server() -> None:
    collection = FakeCollection(numbered(1))
    assert list(batches(collection.typed, {}, sort=[("timestamp", 1)])) == [numbered(1)]
    assert collection.asked[0][2]["sort"] == [("timestamp", 1)]
    assert collection.asked[0][2]["allow_disk_use"] is True


@pytest.mark.parametrize(("read_ahead", "asked"), [(False, 1), (True, 2)])
def test_reading_ahead_asks_for_one_batch_more_than_is_used(read_ahead: bool, asked: int) -> None:
    collection = FakeCollection(numbered(1), numbered(2), numbered(3))
    with contextlib.closing(batches(collection.typed, {}, read_ahead=read_ahead)) as found:
        assert next(found) == numbered(1)
    assert collection.cursors[0].closed
    assert collection.cursors[0].asked == asked


def test_what_only_matches_the_range_of_a_kind_is_not_of_that_kind() -> None:
    an_array: Document = {"timestamp": [LOW + 1], "n": 0}
    collection = FakeCollection([an_array, *numbered(1)], [an_array], numbered(2))
    found = list(of_kind(collection.typed, SECONDS, LOW, HIGH, sort=[("timestamp", 1)], limit=7, read_ahead=True))
    assert found == [numbered(1), numbered(2)]
    [(condition, projection, options)] = collection.asked
    assert (condition, projection) == (between(SECONDS, LOW, HIGH), None)
    assert options == {"sort": [("timestamp", 1)], "limit": 7, "batch_size": 5000, "allow_disk_use": True}


def test_a_kind_without_a_value_between_the_bounds_is_not_asked_for() -> None:
    collection = FakeCollection(numbered(1))
    assert list(of_kind(collection.typed, SECONDS, LOW, LOW)) == []
    assert not occurs(collection.typed, SECONDS, LOW, LOW)
    assert not may_occur(collection.typed, SECONDS, LOW, LOW)
    assert collection.asked == []


@pytest.mark.parametrize("kind", STAMPS, ids=lambda stamp: stamp.name)
def test_a_kind_occurs_where_one_document_is_found(kind: Stamp) -> None:
    full, empty = FakeCollection(numbered(1)), FakeCollection([])
    assert occurs(full.typed, kind, LOW, HIGH)
    assert not occurs(empty.typed, kind, LOW, HIGH)
    [(condition, projection, options)] = full.asked
    assert (condition, projection, options["limit"]) == (between(kind, LOW, HIGH), STAMPS_ONLY, 1)


@pytest.mark.parametrize("kind", STAMPS, ids=lambda stamp: stamp.name)
def test_dates_may_always_occur_and_other_kinds_where_they_do(kind: Stamp) -> None:
    full, empty = FakeCollection(numbered(1)), FakeCollection([])
    assert may_occur(full.typed, kind, LOW, HIGH)
    assert may_occur(empty.typed, kind, LOW, HIGH) == (kind is DATES)
    assert len(empty.asked) == (0 if kind is DATES else 1)
