"""Kinds of timestamps: their bounds are values of the kind, in the order of instants, and cut exactly."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sites import instants
from workers.sites.stamps import DATES, MILLISECONDS, NUMERIC_TEXTS, SECONDS, STAMPS, TEXTS, Stamp

MOMENTS = st.integers(int(1.0e9 * 1000), int(1.99e9 * 1000)).map(lambda ms: ms / 1000)
ANY = st.floats(-1e13, 1e13, allow_nan=False)


def _stored(stamp: Stamp, instant: float) -> Any:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(instant * 1000))
    return {
        "dates": moment.replace(tzinfo=None),
        "texts": moment.isoformat(),
        "numeric texts": str(round(instant * 1000)),
        "seconds": instant,
        "milliseconds": round(instant * 1000),
    }[stamp.name]


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda stamp: stamp.name)
@given(instant=MOMENTS, bound=MOMENTS)
def test_a_range_of_instants_holds_the_stored_values_that_lie_in_it(stamp: Stamp, instant: float, bound: float) -> None:
    stored = _stored(stamp, instant)
    assert stamp.holds(stored)
    assert not any(other.holds(stored) for other in (DATES, TEXTS, NUMERIC_TEXTS) if other is not stamp)
    assert instants.to_epoch(stored) == pytest.approx(instant, abs=1e-6)
    slack = stamp.slack(None)
    if slack == 0:
        assert (stored >= stamp.bound(bound)) == (round(instant * 1000) >= round(bound * 1000))
    else:
        assert not (instant >= bound) or stored >= stamp.bound(bound - slack)
        assert not (instant < bound) or stored < stamp.bound(bound + slack)


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda stamp: stamp.name)
@given(one=ANY, other=ANY)
def test_bounds_stay_within_the_kind_and_in_order_for_any_instant(stamp: Stamp, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert stamp.lowest <= stamp.bound(low) <= stamp.bound(high) <= stamp.highest


def test_numbers_are_seconds_or_milliseconds_never_both() -> None:
    assert SECONDS.highest == MILLISECONDS.lowest
    assert not SECONDS.holds(True)
