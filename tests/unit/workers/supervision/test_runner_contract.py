"""The runner that unit tests use keeps what real ones promise, and the contract notices where one does not."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.runner_events import check_events, check_fields
from tests.harness.fake_runner import FakeRunner


def launched(runner: FakeRunner) -> None:
    runner.launching()
    runner.running()
    runner.exited(0)


def adopted(runner: FakeRunner) -> None:
    runner.running()
    runner.exited(3)


def lost(runner: FakeRunner) -> None:
    runner.running()
    runner.missing(started=True)


def not_started(runner: FakeRunner) -> None:
    runner.launching()
    runner.failed("start_failed")


@pytest.mark.parametrize(
    "live",
    [
        launched,
        adopted,
        lost,
        not_started,
        lambda runner: runner.missing(started=False),
        lambda runner: runner.refused(),
        lambda runner: runner.failed("docker_unavailable"),
    ],
)
async def test_the_fake_runner_keeps_the_contract_of_events(live: Callable[[FakeRunner], None]) -> None:
    runner = FakeRunner({}, {"mode": "launch"})
    runner.placed()
    live(runner)
    check_events(runner.events)


def placed(**changes: Any) -> dict[str, Any]:
    return {"event": "placed", "at": 1.0, "node_id": "n", "hostname": "h", "address": "a", "pid": 1, **changes}


@pytest.mark.parametrize("event", [placed(pid="1"), placed(more=1), placed(at=None), {"event": "placed", "at": 1.0}])
def test_an_event_with_other_fields_breaks_the_contract(event: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_fields(event)


def test_events_out_of_order_break_the_contract() -> None:
    note = {"event": "note", "at": 1.0, "reason": None, "detail": ""}
    with pytest.raises(AssertionError, match="order"):
        check_events([note, placed()])
    with pytest.raises(AssertionError, match="order"):
        check_events([placed()])
