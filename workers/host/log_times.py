"""Where a copy stands in a container's log: a whole second to ask the engine from, and a number of frames to skip.

The engine's log has no positions to resume from; it can only be asked for all since a whole second (`since`). Its
frames are not in the order of their times: two threads stamp stdout and stderr, all parts of one long line bear the
time of its first part, and a clock can be set back. Engines up to 20.10 leave out each frame older than `since`; later
engines leave out only the frames before the first that is not older.

A second is a starting point if both kinds of engine give the same frames from it: no frame before it is as new, and no
frame after it is older. Take frames of the seconds 1, 2, 2, 5, 4, 6: 2 is a starting point and 5 is not, since the 4
comes after it. A copy that has read the first five frames resumes (`MARGIN_S` left aside) with since=2 and skip=4, the
four of those five that come again (`test_a_position_skips_exactly_the_frames_that_were_seen`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

#: How far behind the newest frame a starting point stays, in seconds: room for a clock that is set back while nobody
#: reads, and for threads that were held up between stamping a frame and logging it.
MARGIN_S: Final = 10


class Position(NamedTuple):
    """A place in the log: after `frames` frames in all; the last `skip` of them come again when asked from `since`."""

    since: int  # epoch seconds
    skip: int
    frames: int


BEGINNING: Final = Position(0, 0, 0)


class LogTimes:
    """Watches the timestamps of a log's frames, in the log's order, and knows where reading may start again."""

    def __init__(self, position: Position = BEGINNING) -> None:
        """`position`: where reading has started; its `skip` frames are still to come and to be seen."""
        self._seen = position.frames - position.skip
        # (second, frames before it), both growing. The beginning always is a starting point.
        self._starts: list[tuple[int, int]] = [(0, 0)]
        if position.since:
            self._starts.append((position.since, self._seen))
        self._stamp = b""
        self._second = position.since
        # All frames before the place where reading started are older than that place's second.
        self._latest = position.since

    @property
    def seen(self) -> int:
        """Frames up to here, since the log's beginning."""
        return self._seen

    def see(self, stamp: bytes) -> int:
        """Take the next frame's timestamp, as Docker writes it; gives its whole second."""
        to_second = stamp[:19]
        if to_second != self._stamp:
            self._stamp = to_second
            self._second = int(datetime.fromisoformat(f"{to_second.decode('ascii')}+00:00").timestamp())
            while self._starts[-1][0] > self._second:
                self._starts.pop()
            if self._second > self._latest:
                self._latest = self._second
                self._starts.append((self._second, self._seen))
        self._seen += 1
        return self._second

    def position(self, unfinished: int | None = None) -> Position:
        """A place to resume from. `unfinished`: the second of the oldest line that is not whole yet."""
        newest = self._second if unfinished is None else min(self._second, unfinished)
        while len(self._starts) > 2 and self._starts[2][0] <= newest - MARGIN_S:
            del self._starts[1]
        usable = [start for start in self._starts[1:] if start[0] <= newest - MARGIN_S]
        since, before = usable[-1] if usable else self._starts[0]
        return Position(since, self._seen - before, self._seen)
