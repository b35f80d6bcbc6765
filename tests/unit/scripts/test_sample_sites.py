"""Sample sites: the same for a seed, and their documents tell the truth that comes with them."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import Decimal128

from scripts.building_data import HOURS, BuildingYear, Weather
from scripts.sample_sites import CAR_PARK, RESIDENTIAL, Sample, SampleOptions, Shape, StampForm, make_sample
from workers.sites import instants
from workers.sites.schema_checks import warnings

START = datetime(2025, 10, 20, tzinfo=UTC)


def _wave(scale: float) -> tuple[float, ...]:
    return tuple(scale * (1 + hour % 24) for hour in range(HOURS))


YEAR = BuildingYear(
    name="home",
    source="test",
    start=datetime(2016, 7, 31, 23),  # noqa: DTZ001 - a local clock
    month=(1,) * HOURS,
    hour=(1,) * HOURS,
    day_type=(1,) * HOURS,
    load=_wave(0.1),
    dhw=_wave(0.0),
    cooling=_wave(0.2),
    heating=_wave(0.1),
    solar_per_kw=_wave(0.01),
    pv_kw=4.0,
    indoor_temperature=None,
    indoor_humidity=None,
    weather=Weather(_wave(1.0), _wave(2.0), _wave(3.0), _wave(4.0)),
    price=_wave(0.02),
    carbon=_wave(0.01),
)
MESSY = SampleOptions(
    site=CAR_PARK,
    start=START,
    end=START + timedelta(days=8),
    seed=7,
    size=3,
    shapes=tuple(Shape),
    stamps=tuple(StampForm),
    gap_days=0.5,
    duplicates=0.1,
    odd_numbers=0.1,
    shuffled=True,
    source_time_zone="Europe/Lisbon",
)


def _sample(options: SampleOptions) -> Sample:
    return make_sample(options, [YEAR])


def _number(value: Any) -> float:
    return float(value.to_decimal() if isinstance(value, Decimal128) else value)


def test_a_sample_is_the_same_for_its_seed_and_another_for_another() -> None:
    def documents(options: SampleOptions) -> list[dict[str, Any]]:
        sample = _sample(options)
        return [document for building in sample.buildings for document in sample.documents(building)]

    assert documents(MESSY) == documents(MESSY)
    assert documents(MESSY) != documents(replace(MESSY, seed=8))


def test_the_documents_tell_the_truth_that_comes_with_them() -> None:
    sample = _sample(MESSY)
    zone = ZoneInfo("Europe/Lisbon")
    (building,) = sample.buildings
    told: dict[int, dict[str, Any]] = {}
    for document in sample.documents(building):
        instant = instants.to_epoch(document["timestamp"], zone)
        assert instant is not None
        told[int(instant)] = document  # of two, the last inserted
    assert set(told) == set(building.readings["non_shiftable_load"])
    shapes = set()
    for instant, document in told.items():
        row = document.get("observations", document)
        for column, values in building.readings.items():
            if column == "electricity_pricing" and "energy_price" in document:
                assert document["energy_price"]["values"][0] / 1000 == pytest.approx(values[instant])
            else:
                assert _number(row[column]) == pytest.approx(values[instant])
        plugged = {
            charger: session.user
            for charger, cars in building.sessions.items()
            for session in cars
            if session.arrival <= instant < session.departure
        }
        sessions = row["charging_sessions"]
        if isinstance(sessions, list):
            shapes.add("flat")
            assert {each["charger_id"]: each["user_id"] for each in sessions if each["user_id"]} == plugged
        else:
            shapes.add("nested" if "observations" in document else "dict")
            assert {
                key: each["electric_vehicle"] for key, each in sessions.items() if each["electric_vehicle"]
            } == plugged
            assert set(row["electric_vehicles"]) == set(plugged.values())
    assert shapes == {"flat", "nested", "dict"}


@pytest.mark.parametrize("cadence", [1, 5, 15, 60, 180])
def test_energy_of_an_hour_is_conserved_at_any_cadence(cadence: int) -> None:
    options = SampleOptions(RESIDENTIAL, START, START + timedelta(days=1), cadence_minutes=cadence, size=1)
    (building,) = _sample(options).buildings
    assert len(building.readings["non_shiftable_load"]) == 1440 // cadence
    assert sum(building.readings["non_shiftable_load"].values()) == pytest.approx(0.1 * sum(range(1, 25)), abs=1e-3)


def test_a_longer_sample_has_the_documents_of_a_shorter_one() -> None:
    longer = _sample(replace(MESSY, end=MESSY.end + timedelta(days=3)))
    shorter = _sample(MESSY)
    (long_building,), (short_building,) = longer.buildings, shorter.buildings
    documents = list(shorter.documents(short_building))
    assert list(itertools.islice(longer.documents(long_building), len(documents))) == documents


def test_cars_at_a_charger_never_overlap_and_their_soc_reaches_what_they_need() -> None:
    for site in (CAR_PARK, RESIDENTIAL):
        for building in _sample(replace(MESSY, site=site)).buildings:
            for cars in building.sessions.values():
                for car, following in itertools.pairwise(cars):
                    assert car.departure <= following.arrival
                for car in cars:
                    assert car.soc(car.arrival) == car.arrival_soc
                    assert car.soc(car.arrival + 30 * 3600) == car.required_soc


def test_a_samples_schema_lacks_nothing() -> None:
    for site in (CAR_PARK, RESIDENTIAL):
        sample = _sample(replace(MESSY, site=site))
        assert warnings(sample.schema, [building.collection for building in sample.buildings]) == []


@pytest.mark.parametrize(
    "wrong",
    [{"site": "other"}, {"cadence_minutes": 7}, {"end": START}, {"size": 0}, {"start": START.replace(tzinfo=None)}],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        replace(MESSY, **wrong)
