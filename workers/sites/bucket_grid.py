"""Where buckets of time begin: on the UTC epoch, or on the clock of a time zone.

On a local clock a bucket begins when the clock first shows a multiple of its width, counted from midnight, and ends
where the next one begins. So a day has 23 or 25 hours where the clock changes, and:

- what the clock skips has no bucket; the bucket that would begin there begins as the clock jumps;
- what the clock shows twice is two buckets where the width divides the change (hours, where it is an hour), so that a
  day of 25 hours has 25 of them; else the bucket in which the clock is set back is so much longer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from workers.sites.instants import DAY_S, from_wall_clock, to_wall_clock

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Clocks jump by a day at most (across the date line).
_CHANGE_MAX_S: Final = 26 * 3600.0


@dataclass(frozen=True)
class Grid:
    """Buckets of `width` seconds. With a zone the width divides a day."""

    width: float
    zone: ZoneInfo | None = None

    def start_of(self, instant: float) -> float:
        """When the bucket of an instant begins, in epoch seconds."""
        if self.zone is not None:
            try:
                return _local_start(instant, self.width, self.zone)
            except OverflowError:
                # Beyond the calendar there are no clocks.
                pass
        return instant // self.width * self.width

    def end_of(self, start: float) -> float:
        """When the bucket that begins at `start` ends."""
        if self.zone is None:
            return start + self.width
        low, high = 0, int(self.width + _CHANGE_MAX_S)
        while high - low > 1:
            middle = (low + high) // 2
            if self.start_of(start + middle) > start:
                high = middle
            else:
                low = middle
        return start + high


def fits_local_clock(width: float) -> bool:
    """Whether buckets so wide (seconds) can lie on a local clock: a day, or what divides it."""
    return DAY_S % width == 0


def _local_start(instant: float, width: float, zone: ZoneInfo) -> float:
    clock = (_EPOCH + timedelta(seconds=instant)).astimezone(zone)
    offset = _seconds(clock)
    wall = instant + offset
    if not clock.fold:
        return _first_showing(wall // width * width, zone)
    # The clock shows this time for the second time.
    earlier_offset = _seconds(clock.replace(fold=0))
    change = earlier_offset - offset
    turned = _first_at(int((instant - change) // 1) - 1, int(instant // 1), zone, offset)
    if change % width == 0 and (turned + offset) % width == 0:
        return wall // width * width - offset
    last_shown = turned + earlier_offset
    return _first_showing(-(-last_shown // width) * width - width, zone)


@lru_cache(maxsize=4096)
def _first_showing(wall: float, zone: ZoneInfo) -> float:
    """The first instant at which the clock of a zone shows a wall time or, where it skips that, a later one."""
    instant = from_wall_clock(wall, zone)
    skipped = to_wall_clock(instant, zone) - wall
    if skipped <= 0:
        return instant
    return _first_at(int(instant - skipped) - 1, int(instant), zone, to_wall_clock(instant, zone) - instant)


def _first_at(low: int, high: int, zone: ZoneInfo, offset: float) -> float:
    """The first second in `(low, high]` at which a zone has an offset, which it has at `high` and not at `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        if to_wall_clock(middle, zone) - middle == offset:
            high = middle
        else:
            low = middle
    return float(high)


def _seconds(clock: datetime) -> float:
    offset = clock.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
