"""Machines that join, the head's image and MLflow: what belongs to a cluster beside the stack of the session."""

from pathlib import Path

import pytest

#: An image may have to be built, and a head to start in it.
_TIMEOUT_S = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests here get more time than the unit tests' default; a marker on a test wins."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))
