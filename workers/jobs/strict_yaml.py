"""Experiment configs as YAML, read strictly and written so that every reader sees the same values.

The text is the truth: configs are stored and run as they were given. `loads` gives the view of it that JSON readers
get, `dumps` makes a text of an object that came as JSON.

The view differs from PyYAML's where YAML 1.1 surprises people: `yes`, `no`, `on` and `off`, clock times (`12:30:00`)
and dates stay text, and `1e-4`, which PyYAML takes for text, is a number. Keys are text as written.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import yaml

from workers.common.errors import ErrorCode, InvalidInput, TooLarge, Unprocessable

#: Nesting of mappings and lists, aliases followed; experiment configs have about six levels.
MAX_DEPTH: Final = 64

#: The default bound on a config's text, in bytes of UTF-8.
MAX_BYTES: Final = 1 << 20

#: How large the data may be once aliases are followed, in characters, as a multiple of the text's bound. Nested aliases
#: make gigabytes of a few lines otherwise.
_EXPANSION: Final = 4

#: libyaml's parser and emitter where PyYAML was built with them: ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_TAG: Final = "tag:yaml.org,2002:"
_NULLS: Final = {"", "~", "null", "Null", "NULL"}
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT_1_1 = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?")
#: What YAML 1.2 and JSON take for a number and YAML 1.1 does not: no dot, or an exponent without a sign.
_FLOAT_1_2 = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
#: Numbers of YAML 1.2 that `loads` and YAML 1.1 readers take for text.
_NUMBER_ELSEWHERE = re.compile(_FLOAT_1_2.pattern + r"|0o[0-7]+")

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_MAX_DIGITS: Final = 4000


@dataclass(frozen=True)
class _Node:
    value: Any
    #: Characters, aliases followed.
    weight: int
    #: Levels of nesting in it; 0 for a scalar.
    height: int
    #: Whether it is a plain `<<`, which merges another mapping where it stands as a key.
    merge: bool = False
    #: The text of a scalar as written; None for mappings and lists.
    text: str | None = None


def decode(raw: bytes, where: str) -> str:
    """The text of a config file; a byte order mark stays in it.

    Raises:
        Unprocessable: it is not UTF-8; the detail has the line.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        _refuse(where, line, column, "this is not UTF-8 text")


def loads(text: str, where: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The mapping that a config's text holds; `where` names the text in errors (its file name, say).

    Values are text, numbers (NaN and infinities among them), booleans, None, lists and mappings with text as keys.

    Raises:
        TooLarge: the text is over `max_bytes` in UTF-8, or aliases make it so.
        Unprocessable: it isn't one YAML mapping without duplicate keys and foreign tags; the detail begins with
            `<where>, line <n>, column <n>: `, both counted from 1.
    """
    _check_text(text, where, max_bytes)
    composer = _Composer(where, _EXPANSION * max_bytes)
    try:
        return composer.document(yaml.parse(text.removeprefix("\ufeff"), Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "this is not YAML"
        if error.context and error.context_mark and mark and error.context_mark.line != mark.line:
            problem = f"{problem} {error.context} that begins at line {error.context_mark.line + 1}"
        elif error.context:
            problem = f"{problem} {error.context}"
        _refuse(where, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, problem)
    except yaml.YAMLError as error:
        _refuse(where, 1, 1, f"this is not YAML ({error})")


def dumps(value: dict[str, Any], field: str = "config") -> str:
    """A YAML text of a JSON object, in block style, keys in their order, that YAML 1.1 and 1.2 readers read alike.

    `field` names the object in errors.

    Raises:
        InvalidInput: it holds what YAML can't say (a lone surrogate) or nests too deep; the detail names the field.
    """
    _check_value(value, field, 0)
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1 << 20
    )
    return text


class _Dumper(_BaseDumper):  # type: ignore[misc]  # chosen when this module is loaded
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, data: str) -> Any:
        # Quoted where any reader would see something else in it; PyYAML sees to what it would itself.
        ambiguous = not isinstance(_resolve(data), str) or _NUMBER_ELSEWHERE.fullmatch(data)
        style = "'" if ambiguous else None
        return self.represent_scalar(f"{_TAG}str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _refuse(where: str, line: int, column: int, problem: str) -> NoReturn:
    raise Unprocessable(f"{where}, line {line}, column {column}: {problem}", ErrorCode.INVALID_YAML)


def _check_text(text: str, where: str, max_bytes: int) -> None:
    # Each character takes a byte or more: a text that is far too long isn't encoded first.
    if len(text) > max_bytes or len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise TooLarge(f"{where} is larger than {max_bytes} bytes", ErrorCode.CONFIG_TOO_LARGE)
    start = 1 if text.startswith("\ufeff") else 0
    found = _NOT_PRINTABLE.search(text, start)
    if found is None:
        return
    breaks = [match.end() for match in _LINE_BREAK.finditer(text, start, found.start())]
    column = found.start() - (breaks[-1] if breaks else start) + 1
    what = "a lone surrogate" if _SURROGATE.match(found.group()) else f"the character U+{ord(found.group()):04X}"
    _refuse(where, len(breaks) + 1, column, f"{what} is not allowed in YAML")


def _check_value(value: Any, field: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"{field} nests deeper than {MAX_DEPTH} levels", ErrorCode.INVALID_CONFIG)
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise InvalidInput(f"{field} holds a lone surrogate, which no text can carry", ErrorCode.INVALID_CONFIG)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{field} has the key {key!r}, which is not a text", ErrorCode.INVALID_CONFIG)
            if _SURROGATE.search(key):
                raise InvalidInput(f"{field} has a key with a lone surrogate, {key!a}", ErrorCode.INVALID_CONFIG)
            _check_value(entry, f"{field}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _check_value(entry, f"{field}[{index}]", depth + 1)
    elif isinstance(value, int):
        # Python refuses to write integers of more digits than this (about log10 of 2 a bit).
        if value.bit_length() > _MAX_DIGITS * 3:
            raise InvalidInput(f"{field} is a number of more than {_MAX_DIGITS} digits", ErrorCode.INVALID_CONFIG)
    elif value is not None and not isinstance(value, float):
        raise InvalidInput(f"{field} is a {type(value).__name__}, which JSON does not have", ErrorCode.INVALID_CONFIG)


class _Composer:
    """Builds the data from a parser's events, and refuses what a config must not hold."""

    def __init__(self, where: str, max_weight: int) -> None:
        self._where = where
        self._max_weight = max_weight
        #: The expanded size so far.
        self._weight = 0
        #: None while the node is still being read: an alias to it would have no end.
        self._anchors: dict[str, _Node | None] = {}

    def document(self, events: Iterator[Any]) -> dict[str, Any]:
        self._events = events
        next(events)  # The stream's start.
        event = next(events)
        if not isinstance(event, yaml.DocumentStartEvent):
            self._refuse(event, "the text is empty; a config is a mapping (`key: value`)")
        first = next(events)
        root = self._node(first, 1)
        if not isinstance(root.value, dict):
            self._refuse(first, "a config is a mapping (`key: value`) at its top")
        next(events)  # The document's end.
        event = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, "a second document begins here; a config is one document")
        return root.value

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        _refuse(self._where, event.start_mark.line + 1, event.start_mark.column + 1, problem)

    def _grow(self, event: Any, weight: int) -> None:
        self._weight += weight
        if self._weight > self._max_weight:
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            raise TooLarge(
                f"{self._where}, line {line}, column {column}: with its aliases followed, the config is larger than "
                f"{self._max_weight} characters",
                ErrorCode.CONFIG_TOO_LARGE,
            )

    def _node(self, event: Any, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
            self._grow(event, node.weight)
        else:
            if depth > MAX_DEPTH:
                self._refuse(event, f"the config nests deeper than {MAX_DEPTH} levels")
            self._grow(event, 2)
            node = (
                self._mapping(event, depth) if isinstance(event, yaml.MappingStartEvent) else self._list(event, depth)
            )
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, depth: int) -> _Node:
        if event.anchor not in self._anchors:
            self._refuse(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(event, f"the alias *{event.anchor} stands within what it refers to")
        if depth + node.height - 1 > MAX_DEPTH:
            self._refuse(event, f"with *{event.anchor} followed, the config nests deeper than {MAX_DEPTH} levels")
        self._grow(event, node.weight)
        return node

    def _list(self, event: Any, depth: int) -> _Node:
        if event.tag not in (None, "!", f"{_TAG}seq"):
            self._refuse_tag(event)
        entries: list[_Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._node(inner, depth + 1))
        return _Node(
            [entry.value for entry in entries],
            2 + sum(entry.weight for entry in entries),
            1 + max((entry.height for entry in entries), default=0),
        )

    def _mapping(self, event: Any, depth: int) -> _Node:
        if event.tag not in (None, "!", f"{_TAG}map"):
            self._refuse_tag(event)
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        merges = False
        weight, height = 2, 0
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._node(inner, depth + 1)
            if key.text is None:
                self._refuse(inner, "a mapping or list can't be a key")
            after = next(self._events)
            entry = self._node(after, depth + 1)
            weight += key.weight + entry.weight
            height = max(height, entry.height)
            if key.text in own or (key.merge and merges):
                self._refuse(inner, f"the key {key.text!r} stands here for the second time in one mapping")
            if key.merge:
                merges = True
                self._merge(merged, entry.value, after)
            else:
                own[key.text] = entry.value
        return _Node({**merged, **own}, weight, 1 + height)

    def _merge(self, into: dict[str, Any], value: Any, event: Any) -> None:
        """Take over the entries of what a `<<` names; the first of several mappings wins."""
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                self._refuse(event, "`<<` merges a mapping or a list of mappings, and this is neither")
            for key, entry in mapping.items():
                into.setdefault(key, entry)

    def _scalar(self, event: Any) -> _Node:
        text: str = event.value
        weight = len(text) + 4
        plain = event.implicit[0] and not event.style
        if event.tag in (None, "!"):
            value = _resolve(text) if plain and event.tag is None else text
        else:
            value = self._tagged(event)
        merge = plain and text == "<<"
        return _Node(value, weight, 0, merge=merge, text=text)

    def _tagged(self, event: Any) -> Any:
        """The value of a scalar with an explicit tag of YAML's own."""
        kind, text = event.tag.removeprefix(_TAG), event.value
        if kind in ("str", "timestamp"):
            return text
        value = _resolve(text)
        fits = {
            "null": value is None,
            "bool": isinstance(value, bool),
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
        }
        if not event.tag.startswith(_TAG) or kind not in fits:
            self._refuse_tag(event)
        if not fits[kind]:
            self._refuse(event, f"{text!r} is not a !!{kind}")
        return float(value) if kind == "float" else value

    def _refuse_tag(self, event: Any) -> NoReturn:
        shown = f"!!{event.tag.removeprefix(_TAG)}" if event.tag.startswith(_TAG) else event.tag
        self._refuse(event, f"the tag {shown} is not allowed in a config")


def _resolve(text: str) -> Any:
    """The value of a plain scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > _MAX_DIGITS:
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return _integer(digits, text)
    if _FLOAT_1_1.fullmatch(text):
        return float(digits)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    if _FLOAT_1_2.fullmatch(text):
        value = float(text)
        # `12e345` is rather the name of a run or a commit than an infinite number.
        return value if math.isfinite(value) else text
    return text


def _integer(digits: str, text: str) -> Any:
    sign, bare = (-1 if digits.startswith("-") else 1), digits.lstrip("+-")
    try:
        if bare.startswith("0b"):
            return sign * int(bare[2:], 2)
        if bare.startswith("0x"):
            return sign * int(bare[2:], 16)
        # A leading zero means octal in YAML 1.1, which is what the simulation's reader goes by.
        return sign * int(bare, 8 if bare.startswith("0") else 10)
    except ValueError:
        # `0x_` and the like have the look of a number and no digits.
        return text
