"""Where a log copy stands: a place to resume from is right for either way in which engines read `since`."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.host.log_times import MARGIN_S, LogTimes, Position

#: Any second that a clock may show here; the first one is the beginning of what is tested, not of time.
_BASE = 1_700_000_000


def _stamp(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z").encode()


def _filtering(log: list[int], since: int) -> list[int]:
    """What an engine up to 20.10 sends: every frame that is not older."""
    return [index for index, second in enumerate(log) if second >= since]


def _seeking(log: list[int], since: int) -> list[int]:
    """What a later engine sends: everything from the first frame on that is not older."""
    first = next((index for index, second in enumerate(log) if second >= since), len(log))
    return list(range(first, len(log)))


#: Seconds of frames in log order: mostly growing, sometimes set back by a little or by far.
_logs = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 40), st.integers(-5, 0), st.integers(-90, 0)), min_size=1, max_size=60
).map(lambda steps: [_BASE + 100 + sum(steps[: index + 1]) for index in range(len(steps))])


@given(log=_logs, data=st.data())
@pytest.mark.parametrize("engine", [_filtering, _seeking])
def test_a_position_skips_exactly_the_frames_that_were_seen(
    engine: Callable[[list[int], int], list[int]], log: list[int], data: st.DataObject
) -> None:
    times = LogTimes()
    seen = data.draw(st.integers(1, len(log)), label="frames seen")
    for second in log[:seen]:
        times.see(_stamp(second))
    position = times.position()
    assert position.frames == seen
    # Among the frames there were, what comes again is the last ones, as many as are skipped.
    assert engine(log[:seen], position.since) == list(range(seen - position.skip, seen))


@given(log=_logs, data=st.data())
def test_resuming_and_resuming_again_counts_the_same_frames(log: list[int], data: st.DataObject) -> None:
    position = Position(0, 0, 0)
    for _ in range(3):
        times = LogTimes(position)
        again = _filtering(log[: position.frames], position.since)
        assert len(again) == position.skip
        for index in again:
            times.see(_stamp(log[index]))
        more = data.draw(st.integers(0, len(log) - position.frames), label="new frames")
        for second in log[position.frames : position.frames + more]:
            times.see(_stamp(second))
        position = times.position()
    assert position.frames == times.seen


def test_a_long_log_is_not_read_from_its_beginning_again() -> None:
    times = LogTimes()
    for second in range(10_000):
        times.see(_stamp(_BASE + second))
    assert times.position().skip <= MARGIN_S + 1


def test_an_unfinished_line_holds_the_position_back_to_its_first_part() -> None:
    times = LogTimes()
    for second in range(100):
        times.see(_stamp(_BASE + second))
    assert times.position(unfinished=_BASE + 40).since <= _BASE + 40
