"""Cars at chargers: when each comes and goes, and what it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from scripts.sample_sites.options import CAR_PARK

#: Cars take their time to the minute of a clock with such steps.
_STEP_MINUTES: Final = 5
#: kW, and kWh of the batteries that there are.
POWER: Final = 7.4
CAPACITIES: Final = (40.0, 50.0, 64.0, 77.0)


@dataclass(frozen=True)
class Session:
    """A car plugged in at a charger: epoch seconds, SOC in percent, kWh."""

    charger: str
    user: str
    arrival: int
    departure: int
    arrival_soc: float
    required_soc: float
    capacity: float

    def soc(self, instant: int) -> float:
        """SOC while the car is charged at full power until it has what it needs."""
        gained = POWER * (instant - self.arrival) / 3600 / self.capacity * 100
        return round(min(max(self.required_soc, self.arrival_soc), self.arrival_soc + gained), 2)

    def power(self, instant: int) -> float:
        """kW."""
        return POWER if self.soc(instant) < self.required_soc else 0.0


def sessions(
    site: str, charger: str, users: list[str], start: int, end: int, zone: ZoneInfo, seed: str
) -> list[Session]:
    """The sessions of a charger that touch `[start, end)`, in order; they never overlap."""
    first = datetime.fromtimestamp(start, UTC).astimezone(zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end, UTC).astimezone(zone).date()
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    found = [each for day in days for each in _of_day(site, charger, users, day, zone, seed)]
    return [each for each in found if each.arrival < end and each.departure > start]


def _of_day(site: str, charger: str, users: list[str], day: date, zone: ZoneInfo, seed: str) -> Iterator[Session]:
    random = Random(f"{seed}/{charger}/{day}")  # noqa: S311 - sample data
    weekend = day.weekday() >= 5
    if site == CAR_PARK:
        if random.random() < (0.15 if weekend else 0.7):
            yield _session(random, charger, users, _moment(random, day, 8.75, zone), _moment(random, day, 17.5, zone))
    elif random.random() < 0.75:
        morning = day + timedelta(days=1)
        yield _session(random, charger, users, _moment(random, day, 19.0, zone), _moment(random, morning, 7.75, zone))


def _session(random: Random, charger: str, users: list[str], arrival: int, departure: int) -> Session:
    user = random.choice(users)
    return Session(
        charger=charger,
        user=user,
        arrival=arrival,
        departure=departure,
        arrival_soc=float(random.randint(15, 60)),
        required_soc=float(random.choice((70, 80, 90, 100))),
        capacity=CAPACITIES[len(user) % len(CAPACITIES)],
    )


def _moment(random: Random, day: date, hour: float, zone: ZoneInfo) -> int:
    """About that hour of a local day: up to an hour and a half from it."""
    minutes = round((hour * 60 + random.uniform(-90, 90)) / _STEP_MINUTES) * _STEP_MINUTES
    midnight = datetime.combine(day, time(), zone)
    return int((midnight + timedelta(minutes=minutes)).timestamp())
