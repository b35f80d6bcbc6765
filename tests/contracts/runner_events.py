"""What a runner promises of its events: their order, their fields, and that they agree with each other."""

import re
import typing
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union

from workers.jobs import events as kinds

#: A launch or an adoption, with notes in between; `exit_taken` is Ray's.
ORDER = re.compile(
    r"placed(?: note)*"
    r"(?: refused| missing| failed"
    r"| launching(?: note)* failed"
    r"|(?: launching(?: note)*)? running(?: note)*(?: missing| exited(?: exit_taken)?)"
    r")"
)
_TYPES: dict[str, Any] = {
    typing.get_args(typing.get_type_hints(one)["event"])[0]: one for one in typing.get_args(kinds.RunnerEvent)
}


def check_events(events: Sequence[Mapping[str, Any]]) -> None:
    """The events of a runner from its start to its end are as they should be."""
    order = " ".join(event["event"] for event in events)
    assert ORDER.fullmatch(order), f"not an order of events: {order}"
    for event in events:
        check_fields(event)
    times = [event["at"] for event in events]
    assert times == sorted(times)
    by_kind = {event["event"]: event for event in events}
    exited = by_kind.get("exited")
    if exited is not None:
        assert exited["container_id"] == by_kind["running"]["container_id"]
        assert exited["started_at"] == by_kind["running"]["started_at"]
        assert exited["finished_at"] is None or exited["finished_at"] >= exited["started_at"]
    if "missing" in by_kind:
        assert by_kind["missing"]["started"] is ("running" in by_kind)


def check_fields(event: Mapping[str, Any]) -> None:
    """An event has the fields of its kind, each of its type, and no others."""
    kind = _TYPES[event["event"]]
    hints = typing.get_type_hints(kind, include_extras=True)
    needed = {name for name, hint in hints.items() if typing.get_origin(hint) is not NotRequired}
    assert needed <= set(event) <= set(hints), f"fields of {event['event']}: {sorted(event)}"
    for name, value in event.items():
        assert _fits(value, hints[name]), f"{event['event']}.{name} is {value!r}, not {hints[name]}"


def _fits(value: object, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is NotRequired:
        return _fits(value, parts[0])
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, parts[0]) for one in value)
    if hint in (None, NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint
