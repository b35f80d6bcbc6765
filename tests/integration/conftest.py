"""Integration tests share the stack of `tests.harness.fixtures` with all others of the session."""

from pathlib import Path

import pytest

#: Whole minutes: the first test waits for Ray, and a stack is restarted in some.
_TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Integration tests get more time than the unit tests' default; a marker on a test wins."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))
