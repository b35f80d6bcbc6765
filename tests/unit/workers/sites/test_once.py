"""What counts once, and what fields say: documents of one instant, repeats, numbers in texts, names."""

import math
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from workers.datasets.measures.numbers import number as number_of_datasets
from workers.sites import fields
from workers.sites.cursors import Stamped
from workers.sites.once import once

NAN = float("nan")


def _once(*documents: tuple[float, dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    items = once(Stamped(instant, 0, document) for instant, document in documents)
    return [(item.instant, item.document) for item in items]


@pytest.mark.parametrize(
    ("older", "newer", "both"),
    [
        ({"load": 1.0}, {"load": 3.0}, {"load": 3.0}),
        ({"load": 1.0}, {"price": 0.2}, {"load": 1.0, "price": 0.2}),
        ({"load": 1.0, "text": "a"}, {"load": None, "text": "b"}, {"load": 1.0, "text": "b"}),
        ({"load": 1.0}, {"load": NAN}, {"load": 1.0}),
        ({"load": 1.0}, {"load": "broken"}, {"load": 1.0}),
        ({"load": 1.0}, {"load": "3.0"}, {"load": "3.0"}),
        ({"state": "on"}, {"state": "off"}, {"state": "off"}),
        ({"soc": 40}, {"soc": -1}, {"soc": 40}),
        ({"power": 40}, {"power": -1}, {"power": -1}),
        ({"user_id": "x"}, {"user_id": None}, {"user_id": None}),
        ({"observations": {"a": 1, "b": 2}}, {"observations": {"b": 3}}, {"observations": {"a": 1, "b": 3}}),
        ({"values": [1, 2, 3]}, {"values": [4]}, {"values": [4]}),
        ({"values": [1, 2, 3]}, {"values": []}, {"values": [1, 2, 3]}),
        (
            {"charging_sessions": [{"charger_id": "A", "power": 1}, {"charger_id": "B", "power": 2}]},
            {"charging_sessions": [{"charger_id": "B", "power": 5}, {"charger_id": "C", "power": 6}]},
            {
                "charging_sessions": [
                    {"charger_id": "A", "power": 1},
                    {"charger_id": "B", "power": 5},
                    {"charger_id": "C", "power": 6},
                ]
            },
        ),
    ],
)
def test_of_documents_of_one_instant_each_fields_last_value_wins(
    older: dict[str, Any], newer: dict[str, Any], both: dict[str, Any]
) -> None:
    assert _once((5.0, older), (5.0, newer)) == [(5.0, both)]
    assert _once((5.0, older), (5.0004, newer)) == [(5.0004, both)]
    assert len(_once((5.0, older), (5.001, newer))) == 2


@pytest.mark.parametrize("ids", [(1, 2), (ObjectId("0" * 24), ObjectId("f" * 24)), (Int64(1), Int64(2**40))])
def test_ids_say_which_document_was_inserted_last(ids: tuple[Any, Any]) -> None:
    first, last = {"_id": ids[0], "load": 1}, {"_id": ids[1], "load": 2}
    assert _once((5.0, last), (5.0, first)) == [(5.0, last)]
    assert _once((5.0, first), (5.0, last)) == [(5.0, last)]


def test_other_ids_leave_the_order_of_reading() -> None:
    assert _once((5.0, {"_id": "z", "load": 1}), (5.0, {"_id": "a", "load": 2}))[0][1]["load"] == 2


def test_any_number_of_documents_of_one_instant_is_one() -> None:
    documents = [(5.0, {"_id": n, f"field_{n % 7}": n}) for n in range(5000)]
    ((_, document),) = _once(*documents)
    assert document == {"_id": 4999, **{f"field_{n % 7}": n for n in range(4993, 5000)}}


def test_a_document_sent_again_within_two_seconds_counts_once() -> None:
    load = {"load": 1.0, "hole": NAN, "deep": [{"x": NAN}]}
    copies = [(at, {**load, "_id": n, "timestamp": at}) for n, at in enumerate((0.0, 2.0, 3.5, 5.501, 9.0))]
    # Each is compared with the one before, whether that counted or not.
    assert [at for at, _ in _once(*copies)] == [0.0, 5.501, 9.0]


@pytest.mark.parametrize("other", [{"load": 1.1}, {"load": 1.0, "more": None}, {}, {"load": "1.0"}, {"load": [1.0]}])
def test_a_document_that_differs_in_anything_counts(other: dict[str, Any]) -> None:
    assert len(_once((0.0, {"load": 1.0}), (1.0, other))) == 2
    # And so does the first one again after it.
    assert len(_once((0.0, {"load": 1.0}), (1.0, other), (2.0, {"load": 1.0}))) == 3


@given(
    st.text(max_size=8) | st.floats().map(str) | st.integers().map(str) | st.from_regex(r"\s?-?\d+(\.\d*)?(e\d)?\s?")
)
def test_a_text_is_a_number_where_datasets_say_so(text: str) -> None:
    ours = fields.number("load", text)
    theirs = number_of_datasets(text)
    assert (math.nan if ours is None else ours) == pytest.approx(theirs, nan_ok=True, rel=0, abs=0)


@pytest.mark.parametrize("value", [1, 2.5, -3, Int64(2**62), Decimal128("4.5"), NAN, Decimal128("NaN"), None, [1], {}])
def test_a_stored_value_is_a_number_where_datasets_say_so(value: Any) -> None:
    ours = fields.number("load", value)
    assert (math.nan if ours is None else ours) == pytest.approx(number_of_datasets(value), nan_ok=True)


@pytest.mark.parametrize(
    ("key", "soc"),
    [
        ("soc", True), ("SoC", True), ("SOC", True), ("departure.soc", True), ("estimated_soc_at_arrival", True),
        ("batterySoC", True), ("battery_soc", True), ("socket", False), ("power", False), ("association", False),
    ],
)  # fmt: skip
def test_a_soc_of_minus_one_is_none(key: str, soc: bool) -> None:
    for value in (-1, -1.0, "-1", Decimal128("-1")):
        assert math.isnan(fields.number(key, value) or 0.0) == soc
    assert fields.number(key, 0.42) == 0.42
    assert fields.number(key, "0") == 0.0


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("id", True), ("_id", True), ("charger_id", True), ("Charger Id", True), ("user_id", True), ("chargerId", True),
        ("electric_vehicle", True), ("charger", True), ("grid", False), ("humid", False), ("load", False),
    ],
)  # fmt: skip
def test_numbers_that_name_something_are_no_numbers(key: str, name: bool) -> None:
    assert (fields.number(key, 5) is None) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [(3, "3"), (3.0, "3"), (2.5, "2.5"), ("3", "3"), (Int64(3), "3"), (Decimal128("3.0"), "3"), (True, "True"),
     (ObjectId("0" * 24), "0" * 24), ("AC1", "AC1")],
)  # fmt: skip
def test_items_are_named_by_any_scalar(name: Any, text: str) -> None:
    for key in ("charger_id", "Charger Id", "id", "_id"):
        assert fields.names_itself({"power": 1, key: name}) == text
    assert fields.names_itself({"charger_id": None, "id": name}) == text
    assert fields.names_itself({"charger_id": {}, "power": 1}) is None
    assert fields.names_itself(name) is None
