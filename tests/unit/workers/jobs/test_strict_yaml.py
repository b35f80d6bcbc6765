"""Experiment configs are read strictly and written so that every reader sees the same values."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.common.errors import InvalidInput, TooLarge, Unprocessable
from workers.jobs import strict_yaml

REFUSED = [
    ("a: [1, 2\n", "x.yaml, line 2, column 1: "),
    ("a: 1\nb:\n  c: 1\n  c: 2\n", "x.yaml, line 4, column 3: the key 'c' "),
    ("a: {b: 1, 'b': 2}\n", "x.yaml, line 1, column 11: the key 'b' "),
    ("<<: {a: 1}\n<<: {b: 1}\n", "x.yaml, line 2, column 1: the key '<<' "),
    ("a: 1\nrun: !!python/object/apply:os.system ['true']\n", "x.yaml, line 2, column 6: the tag !!python/object"),
    ("a: !mine 1\n", "x.yaml, line 1, column 4: the tag !mine "),
    ("a: !!set {x}\n", "x.yaml, line 1, column 4: the tag !!set "),
    ("a: !!binary aGk=\n", "x.yaml, line 1, column 4: the tag !!binary "),
    ("a: !!int abc\n", "x.yaml, line 1, column 4: 'abc' is not a !!int"),
    ("", "x.yaml, line 1, column 1: the text is empty"),
    ("# nothing\n", "the text is empty"),
    ("- 1\n", "x.yaml, line 1, column 1: a config is a mapping"),
    ("just a text\n", "x.yaml, line 1, column 1: a config is a mapping"),
    ("a: 1\n---\nb: 2\n", "x.yaml, line 2, column 1: a second document"),
    ("? [a, b]\n: 1\n", "x.yaml, line 1, column 3: a mapping or list can't be a key"),
    ("a: &x [*x]\n", "x.yaml, line 1, column 8: the alias *x stands within"),
    ("a: *missing\n", "x.yaml, line 1, column 4: the alias *missing has no anchor"),
    ("a: 1\n<<: 5\n", "x.yaml, line 2, column 5: `<<` merges"),
    ("a: 1\nb: x\0y\n", "x.yaml, line 2, column 5: the character U+0000"),
    ("a: é\r\nb: \ud800\n", "x.yaml, line 2, column 4: a lone surrogate"),
    ("\ufeffa: \x07\n", "x.yaml, line 1, column 4: the character U+0007"),
    ("a: " + "[" * 70 + "]" * 70 + "\n", "x.yaml, line 1, column 67: the config nests deeper"),
    ("a: " + "[" * 100_000, "x.yaml, line 1, column "),
    ("a:\n\t- x\n", "x.yaml, line 2, column 1: "),
]


@pytest.mark.parametrize(("text", "begins"), REFUSED, ids=range(len(REFUSED)))
def test_a_refused_text_is_named_with_line_and_column(text: str, begins: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        strict_yaml.loads(text, "x.yaml")
    assert begins in refused.value.detail
    assert refused.value.detail.startswith("x.yaml, line ")
    assert refused.value.code == "invalid_yaml"


READ = [
    ("yes", "yes"),
    ("no", "no"),
    ("On", "On"),
    ("off", "off"),
    ("true", True),
    ("False", False),
    ("12:30:00", "12:30:00"),
    ("2024-01-01", "2024-01-01"),
    ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
    ("!!timestamp 2024-01-01", "2024-01-01"),
    ("1e-4", 1e-4),
    ("1.5E3", 1500.0),
    ("1.0e-04", 1e-4),
    ("12e345", "12e345"),
    ("017", 15),
    ("0x1F", 31),
    ("-0b11", -3),
    ("1_000", 1000),
    ("089", "089"),
    ("0x_", "0x_"),
    ("9" * 5000, "9" * 5000),
    (".5", 0.5),
    ("-.inf", -math.inf),
    ("'5'", "5"),
    ("!!str 5", "5"),
    ("!!float 5", 5.0),
    ("! 5", "5"),
    ("~", None),
    ("", None),
    ("null", None),
    ("=", "="),
    ("[1, {a: b}]", [1, {"a": "b"}]),
]


@pytest.mark.parametrize(("text", "value"), READ, ids=[text[:20] for text, _ in READ])
def test_values_are_what_people_wrote(text: str, value: Any) -> None:
    read = strict_yaml.loads(f"key: {text}\n", "x")["key"]
    assert read == value
    assert type(read) is type(value)


def test_keys_are_texts_as_written_and_a_byte_order_mark_is_tolerated() -> None:
    assert strict_yaml.loads("\ufeff1: a\ntrue: b\n2024-01-01: c\nno: d\n", "x") == {
        "1": "a",
        "true": "b",
        "2024-01-01": "c",
        "no": "d",
    }


def test_aliases_and_merge_keys_work() -> None:
    text = (
        "base: &b {lr: 1, steps: 2}\nrun: {<<: *b, lr: 3}\nboth: {<<: [{a: 1}, {a: 2, c: 3}]}\nsame: *b\n'<<': text\n"
    )
    assert strict_yaml.loads(text, "x") == {
        "base": {"lr": 1, "steps": 2},
        "run": {"lr": 3, "steps": 2},
        "both": {"a": 1, "c": 3},
        "same": {"lr": 1, "steps": 2},
        "<<": "text",
    }


def test_aliases_cannot_make_gigabytes_nor_endless_depth_of_a_few_lines() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(TooLarge, match=r"line \d+, column \d+"):
        strict_yaml.loads("\n".join(lines), "x")
    deep = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100))]
    with pytest.raises(Unprocessable, match="nests deeper"):
        strict_yaml.loads("\n".join(deep), "x")


def test_a_text_over_the_bound_is_too_large() -> None:
    fits = "a: " + "é" * 48 + "\n"
    assert strict_yaml.loads(fits, "x", max_bytes=100)
    with pytest.raises(TooLarge, match="x is larger than 99 bytes"):
        strict_yaml.loads(fits, "x", max_bytes=99)


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    assert strict_yaml.decode("a: é".encode(), "x.yaml") == "a: é"
    with pytest.raises(Unprocessable, match=r"^x.yaml, line 2, column 5: this is not UTF-8"):
        strict_yaml.decode("é: 1\né: ".encode() + b" \xff\xfe", "x.yaml")


def test_a_written_config_shows_keys_in_order_numbers_as_numbers_and_ambiguous_texts_quoted() -> None:
    value = {"z": {"lr": 1e-05, "big": 1e22}, "a": ["1e-4", "no", "12:30", "2024-01-01", "0o17", "é", ""], "e": {}}
    assert strict_yaml.dumps(value) == (
        "z:\n  lr: 1.0e-05\n  big: 1.0e+22\n"
        "a:\n- '1e-4'\n- 'no'\n- '12:30'\n- '2024-01-01'\n- '0o17'\n- é\n- ''\ne: {}\n"
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"a": {"b": ["ok", "\ud800"]}}, "config.a.b[1]"),
        ({"a": {"\udfff": 1}}, "config.a"),
        ({"a": 1 << 60_000}, "config.a"),
        ({"a": {1, 2}}, "config.a"),
        ({1: 2}, "config"),
    ],
)
def test_what_yaml_cannot_say_is_refused_with_the_fields_name(value: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        strict_yaml.dumps(value)
    assert refused.value.detail.startswith(f"{field} ")


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        ["no", "1e-4", "12:30:00", "2024-01-01", "0o7", "-.5", "~", "=", "<<", "- a", "a: b", "#", "1_0", ".5", "\n"]
    ),
    st.from_regex(r"[-+0-9.eExob_:]{1,8}", fullmatch=True),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def exactly(value: Any) -> Any:
    """`value` in a form in which 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return [(key, exactly(entry)) for key, entry in value.items()]
    if isinstance(value, list):
        return [exactly(entry) for entry in value]
    return (type(value).__name__, repr(value))


@settings(max_examples=120)
@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_a_written_config_reads_back_the_same_by_the_simulations_reader_and_by_ours(value: dict[str, Any]) -> None:
    text = strict_yaml.dumps(value)
    assert exactly(yaml.safe_load(text)) == exactly(value)
    assert exactly(strict_yaml.loads(text, "x")) == exactly(value)
