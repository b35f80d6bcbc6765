"""Queries by time: the condition that each kind of timestamp has between two wall times."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from workers.sites.stamps import DATES, MILLISECONDS, NUMERIC_TEXTS, SECONDS, STAMPS, TEXTS, Stamp
from workers.sites.time_queries import between

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
