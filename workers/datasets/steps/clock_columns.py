"""The clock of a site at each bin: what its calendar and its wall clock show when the bin starts."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from workers.datasets.measures.arrays import Instants
from workers.datasets.measures.grid import DAY_MS, MINUTE_MS, Grid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES_OF_DAY: Final = 1440


@dataclass(frozen=True)
class LocalClock:
    """For each bin of a grid, in a site's zone: the month (1..12), the hour that the bin lies in (1..24), its minute,
    the day (1 Monday .. 7 Sunday), whether summer time holds (0 or 1), the day counted from the epoch, and the minute
    of that day (0..1439)."""

    month: Instants
    hour: Instants
    minutes: Instants
    day_type: Instants
    daylight_savings_status: Instants
    day: Instants
    minute_of_day: Instants

    @classmethod
    def of(cls, grid: Grid, zone: ZoneInfo) -> "LocalClock":
        starts = grid.starts()
        utc = pd.DatetimeIndex(starts.astype("datetime64[ms]"), tz="UTC")
        local = utc.tz_convert(zone).tz_localize(None)
        wall = local.as_unit("ms").asi8
        minute_of_day = wall % DAY_MS // MINUTE_MS
        return cls(
            month=local.month.to_numpy().astype(np.int64),
            hour=minute_of_day // 60 + 1,
            minutes=minute_of_day % 60,
            day_type=local.day_of_week.to_numpy().astype(np.int64) + 1,
            daylight_savings_status=_summer_time(starts, wall - starts, zone),
            day=wall // DAY_MS,
            minute_of_day=minute_of_day,
        )

    def until(self, bins: int) -> "LocalClock":
        """The clock of the first `bins` bins."""
        return LocalClock(**{field.name: getattr(self, field.name)[:bins] for field in fields(self)})


def _summer_time(starts: Instants, offsets: Instants, zone: ZoneInfo) -> Instants:
    """1 where `zone` keeps summer time. Asked once for each stretch of one offset: it is slow to ask."""
    flags = np.zeros(len(starts), dtype=np.int64)
    if not len(starts):
        return flags
    changes = np.flatnonzero(np.diff(offsets)) + 1
    for begin, end in pairwise([0, *changes.tolist(), len(starts)]):
        moment = (_EPOCH + timedelta(milliseconds=int(starts[begin]))).astimezone(zone)
        # Some zones call summer time their standard and set the clock back in winter (Europe/Dublin).
        winter = min(_saving(moment.replace(month=month, day=1)) for month in (1, 7))
        flags[begin:end] = _saving(moment) > winter
    return flags


def _saving(moment: datetime) -> timedelta:
    return moment.dst() or timedelta(0)


def steps_like_citylearn(clock: LocalClock, period_minutes: int) -> bool:
    """Whether CityLearn, which takes a dataset's step from the clock of its first two rows, finds the period."""
    if len(clock.hour) < 2:
        return True
    shown = (clock.minute_of_day[1] - clock.minute_of_day[0]) % _MINUTES_OF_DAY
    return bool(shown == period_minutes % _MINUTES_OF_DAY)
