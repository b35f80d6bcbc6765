"""A sample site: its schema, its documents, and the truth that they tell."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from scripts.building_data import BuildingYear
from scripts.sample_sites.documents import Document, Producer
from scripts.sample_sites.options import CAR_PARK, TIME_ZONE, SampleOptions
from scripts.sample_sites.series import Readings
from scripts.sample_sites.sessions import CAPACITIES, POWER, Session, sessions

_DAY: Final = 86400
_GAP_MAX_S: Final = 3 * 3600
#: A home has a car where its number is a multiple of this.
_HOMES_PER_CAR: Final = 2


@dataclass(frozen=True)
class Building:
    """A building of a sample: what was measured there, and which cars came."""

    name: str
    #: By column, epoch seconds -> value: for energy kWh from then to the next reading, else levels. Gaps are left out.
    readings: Mapping[str, Mapping[int, float]]
    #: By charger, in order. All that touch the sample's window.
    sessions: Mapping[str, tuple[Session, ...]]

    @property
    def collection(self) -> str:
        return f"building_{self.name}"


@dataclass(frozen=True)
class Sample:
    """A sample site with its truth."""

    options: SampleOptions
    schema: dict[str, Any]
    buildings: tuple[Building, ...]

    def documents(self, building: Building) -> Iterator[Document]:
        """The building's documents in the order of their insertion."""
        options = self.options
        producer = Producer(options, ZoneInfo(TIME_ZONE))
        instants = sorted(next(iter(building.readings.values())))
        days: dict[int, list[int]] = {}
        for instant in instants:
            days.setdefault(instant // _DAY, []).append(instant)
        for day, members in days.items():
            random = _random(options, building.name, day, "documents")
            if options.shuffled:
                random.shuffle(members)
            for instant in members:
                row = {name: values[instant] for name, values in building.readings.items()}
                plugged = {charger: _at(cars, instant) for charger, cars in building.sessions.items()}
                if random.random() < options.duplicates:
                    wrong = {name: value + 1.0 for name, value in row.items()}
                    yield producer.document(instant, wrong, plugged, random)
                yield producer.document(instant, row, plugged, random)


def make_sample(options: SampleOptions, years: Sequence[BuildingYear]) -> Sample:
    """A sample site of the buildings `years` (homes first, as `scripts.building_data` lists them), used in turn."""
    homes = options.size if options.site != CAR_PARK else 1
    buildings = tuple(_building(options, number, years[number % len(years)]) for number in range(homes))
    return Sample(options, _schema(options, buildings), buildings)


def _building(options: SampleOptions, number: int, year: BuildingYear) -> Building:
    zone = ZoneInfo(TIME_ZONE)
    name = "HQ" if options.site == CAR_PARK else f"R-H-{number + 1:02d}"
    source = Readings(year, zone, f"{options.seed}/{options.site}/{name}")
    readings: dict[str, dict[int, float]] = {}
    gaps: dict[int, range] = {}
    for instant in options.instants():
        day = instant // _DAY
        if day not in gaps:
            gaps[day] = _gap(options, name, day)
        if instant in gaps[day]:
            continue
        for column, value in source.at(instant, options.cadence_s).items():
            readings.setdefault(column, {})[instant] = value
    start, end = int(options.start.timestamp()), int(options.end.timestamp())
    seed = f"{options.seed}/{options.site}"
    cars = {
        charger: tuple(sessions(options.site, charger, users, start, end, zone, seed))
        for charger, users in _chargers(options, name, number).items()
    }
    return Building(name, readings, cars)


def _chargers(options: SampleOptions, building: str, number: int) -> dict[str, list[str]]:
    """The chargers of a building, with the users who may come there."""
    if options.site == CAR_PARK:
        return {
            f"AC{charger + 1:06d}_1": [f"employee-{charger * 3 + user}" for user in range(3)]
            for charger in range(options.size)
        }
    return {f"{building}-wallbox": [f"resident-{building}"]} if number % _HOMES_PER_CAR == 0 else {}


def _gap(options: SampleOptions, building: str, day: int) -> range:
    random = _random(options, building, day, "gap")
    if random.random() >= options.gap_days:
        return range(0)
    start = day * _DAY + random.randrange(_DAY)
    return range(start, start + random.randrange(options.cadence_s, _GAP_MAX_S + options.cadence_s))


def _at(cars: Sequence[Session], instant: int) -> Session | None:
    return next((car for car in cars if car.arrival <= instant < car.departure), None)


def _random(options: SampleOptions, building: str, day: int, use: str) -> Random:
    return Random(f"{options.seed}/{options.site}/{building}/{day}/{use}")  # noqa: S311 - sample data


def _schema(options: SampleOptions, buildings: Sequence[Building]) -> dict[str, Any]:
    users = sorted({car.user for building in buildings for cars in building.sessions.values() for car in cars})
    schema: dict[str, Any] = {
        "time_zone": TIME_ZONE,
        "buildings": {building.name: _devices(building) for building in buildings},
        "electric_vehicles_def": {f"EV_{number + 1}": _vehicle(user) for number, user in enumerate(users)},
    }
    if options.source_time_zone is not None:
        schema["source_time_zone"] = options.source_time_zone
    return schema


def _devices(building: Building) -> dict[str, Any]:
    devices: dict[str, Any] = {
        "include": True,
        "electrical_storage": {
            "type": "citylearn.energy_model.Battery",
            "autosize": False,
            "attributes": {"capacity": 6.4, "nominal_power": 5.0, "efficiency": 0.9, "initial_soc": 0.25},
        },
    }
    solar = building.readings.get("solar_generation")
    if solar:
        devices["pv"] = {
            "type": "citylearn.energy_model.PV",
            "autosize": False,
            "attributes": {"nominal_power": float(max(1, math.ceil(max(solar.values()))))},
        }
    if building.sessions:
        devices["chargers"] = {
            charger: {
                "type": "citylearn.electric_vehicle_charger.Charger",
                "autosize": False,
                "attributes": {
                    "nominal_power": POWER,
                    "efficiency": 0.95,
                    "charger_type": 0,
                    "max_charging_power": POWER,
                    "min_charging_power": 1.4,
                },
            }
            for charger in building.sessions
        }
    return devices


def _vehicle(user: str) -> dict[str, Any]:
    return {
        "include": True,
        "user_ids": [user],
        "battery": {
            "type": "citylearn.energy_model.Battery",
            "autosize": False,
            "attributes": {
                "capacity": CAPACITIES[len(user) % len(CAPACITIES)],
                "nominal_power": 50.0,
                "initial_soc": 0.25,
                "depth_of_discharge": 0.1,
            },
        },
    }
