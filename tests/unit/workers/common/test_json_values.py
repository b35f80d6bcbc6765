"""JSON as simulations write it becomes plain JSON data that any encoder takes."""

import json
from typing import Any

import pytest

from workers.common import json_values


def test_non_finite_and_oversized_numbers_become_null_or_go() -> None:
    raw = b'{"a": NaN, "b": [Infinity, 1, -Infinity], "c": 1e400, "d": {"e": null, "f": 2.5}, "g": %s}' % (b"9" * 5000)
    value = json_values.load_object(raw)
    assert json_values.finite(value) == {
        "a": None,
        "b": [None, 1, None],
        "c": None,
        "d": {"e": None, "f": 2.5},
        "g": None,
    }
    assert json_values.finite(value, omit=True) == {"b": [1], "d": {"f": 2.5}}


NOT_OBJECTS = [
    None,
    b"",
    b"   ",
    b'{"a": 1',
    b'{"a": "\xc3',
    b"[1]",
    b"null",
    b"5",
    b"\0\0",
    b"{} {}",
    b"[" * 100_000,
]


@pytest.mark.parametrize("raw", NOT_OBJECTS, ids=range(len(NOT_OBJECTS)))
def test_what_is_not_a_whole_object_is_not_readable(raw: bytes | None) -> None:
    assert json_values.load_object(raw) is None


def test_any_bytes_and_surrogates_end_as_text_that_can_be_encoded() -> None:
    value = json_values.load_object(b'\xef\xbb\xbf{"a\\ud800": "\xff\\udfff", "b": "\\ud83d\\ude00"}')
    cleaned = json_values.finite(value)
    assert cleaned == {"a\ufffd": "\ufffd\ufffd", "b": "\U0001f600"}
    assert json.dumps(cleaned, ensure_ascii=False).encode()


def test_endless_nesting_is_refused_and_not_walked() -> None:
    nested: Any = []
    for _ in range(json_values.MAX_DEPTH + 1):
        nested = [nested]
    with pytest.raises(ValueError, match="nests deeper"):
        json_values.finite(nested)


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), (2.5, 2.5), (True, None), ("1", None), (float("nan"), None), (10**400, None)]
)
def test_only_finite_numbers_are_numbers(value: Any, number: float | None) -> None:
    assert json_values.number(value) == number
