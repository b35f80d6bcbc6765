"""Time as this product writes it: epoch seconds (floats, UTC); for people, ISO 8601 with `Z`."""

import time
from datetime import UTC, datetime


def now() -> float:
    """The wall clock, in epoch seconds."""
    return time.time()


def iso(seconds: float) -> str:
    """`seconds` since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stopwatch:
    """Counts seconds by the monotonic clock, so that a stepping wall clock moves no deadline."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since this stopwatch was made."""
        return time.monotonic() - self._start


class Deadline:
    """A point on the monotonic clock that a wait must not pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._watch = Stopwatch()

    def left(self) -> float:
        """Seconds that remain, never below 0."""
        return max(0.0, self.seconds - self._watch.elapsed())

    def passed(self) -> bool:
        """Whether nothing remains."""
        return self._watch.elapsed() >= self.seconds
