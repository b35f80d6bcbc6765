"""Fault tests share the stack of `tests.harness.fixtures` with all others of the session, and leave it well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.harness.api import Api
from scripts.stack import Stack
from scripts.stack.worker_node import WorkerNode
from tests.faults.ledger import Ledger

#: Whole minutes: what is broken here comes back by itself, on a loaded machine.
_TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fault tests get more time than the unit tests' default; a marker on a test wins."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.fixture
def ledger(stack: Stack, api: Api, busybox_image: str) -> Iterator[Ledger]:
    """The books of the jobs of one test, all on the head, though the session may have a second host."""
    with Ledger(api, stack.layout, target_host="local") as ledger:
        yield ledger


@pytest.fixture
def ledger_of_both(stack: Stack, api: Api, second_host: WorkerNode) -> Iterator[Ledger]:
    """The books of the jobs of one test, on both hosts' engines."""
    with Ledger(api, stack.layout, [second_host.docker_url]) as ledger:
        yield ledger
