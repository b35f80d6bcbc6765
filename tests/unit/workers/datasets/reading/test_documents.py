"""Documents of all shapes become the same readings."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from bson import Decimal128, ObjectId

from workers.datasets.reading.documents import Readings, ReadOptions, read_documents
from workers.datasets.reading.users import CarNames

SECRET = b"secret"
NOON = datetime(2025, 6, 7, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def read(*documents: dict[str, Any], zone: str | None = None, **options: Any) -> Readings:
    read_options = ReadOptions(ZoneInfo(zone) if zone else None, CarNames({}, SECRET), **options)
    return read_documents(documents, read_options, 0, 2**60)


FLAT = {
    "timestamp": NOON,
    "non_shiftable_load": 1.5,
    "electricity_pricing": 0.2,
    "charging_sessions": [
        {
            "charger_id": "AC1",
            "user_id": "11824",
            "soc": 40,
            "flexibility": {"departure.time": "17:30:00", "departure.soc": 80},
        },
        {"charger_id": "AC2", "user_id": ""},
        {"Charger Id": "AC3", "user_id": None},
        {"charger_id": "AC4"},
    ],
}
OF_DICTS = {
    "timestamp": NOON,
    "non_shiftable_load": 1.5,
    "energy_price": 0.2,
    "charging_sessions": {
        "AC1": {"power": 3, "electric_vehicle": 11824},
        "AC2": {"power": 0, "electric_vehicle": ""},
        "AC3": {"power": 0, "electric_vehicle": None},
        "AC4": {"power": 0},
    },
    "electric_vehicles": {
        "11824": {
            "SoC": 0.4,
            "flexibility": {
                "estimated_soc_at_departure": 0.8,
                "estimated_time_at_departure": "2025-06-07T17:30:00Z",
                "estimated_soc_at_arrival": -1,
                "estimated_time_at_arrival": "",
            },
        }
    },
}
NESTED = {
    "timestamp": NOON,
    "observations": {
        **{key: value for key, value in OF_DICTS.items() if key not in ("timestamp", "energy_price")},
        "energy_price": {"values": [200.0, 300.0], "measurement_unit": "€/MWh"},
    },
    "forecasts": {},
}


@pytest.mark.parametrize("document", [FLAT, OF_DICTS, NESTED], ids=["flat", "session dict", "nested"])
def test_every_shape_says_the_same(document: dict[str, Any]) -> None:
    readings = read(document)
    assert readings.instants.tolist() == [NOON_MS]
    assert readings.columns["non_shiftable_load"].tolist() == [1.5]
    assert readings.columns["electricity_pricing"].tolist() == pytest.approx([0.2])
    plugs = readings.plugs
    assert plugs.seen.tolist() == [True]
    assert plugs.chargers == ["AC1", "AC2", "AC3", "AC4"]
    assert [plugs.chargers[c] for c in plugs.charger] == ["AC1"]
    assert [plugs.cars[c] for c in plugs.car] == [CarNames({}, SECRET).of("11824")]
    assert (plugs.soc.tolist(), plugs.required_soc.tolist()) == ([40.0], [80.0])
    assert math.isnan(plugs.arrival_soc[0])


def test_a_departure_is_a_clock_reading_or_an_instant() -> None:
    flat, of_dicts = read(FLAT).plugs, read(OF_DICTS).plugs
    assert (flat.departure_clock[0], math.isnan(flat.departure_at[0])) == (17.5 * 3600, True)
    assert (of_dicts.departure_at[0], math.isnan(of_dicts.departure_clock[0])) == (NOON_MS + 5.5 * 3_600_000, True)


def test_shapes_mix_in_one_collection() -> None:
    shifted = [{**d, "timestamp": NOON + timedelta(minutes=i)} for i, d in enumerate([NESTED, FLAT, OF_DICTS])]
    assert read(*shifted).columns["non_shiftable_load"].tolist() == [1.5, 1.5, 1.5]


@pytest.mark.parametrize(
    ("flexibility", "required"),
    [
        ({"departure_time": "17:30", "departure_soc": "65"}, 65.0),
        ({"departure.soc": Decimal128("65")}, 65.0),
        ({"departure.soc": 0.65}, 0.65),  # percent in flat documents, whatever its size
        ({"estimated_soc_at_departure": 0.65}, 65.0),
        ({"departure.soc": -1}, math.nan),
        ({"departure.soc": 130}, math.nan),
        ({}, math.nan),
        (None, math.nan),
    ],
)
def test_the_required_soc_is_read_in_its_unit(flexibility: Any, required: float) -> None:
    session = {"charger_id": "AC1", "user_id": "u", "soc": None, "flexibility": flexibility}
    plugs = read({"timestamp": NOON, "charging_sessions": [session]}).plugs
    assert plugs.required_soc.tolist() == pytest.approx([required], nan_ok=True)
    assert math.isnan(plugs.soc[0])


STAMPS = [
    NOON,
    NOON.replace(tzinfo=None),
    "2025-06-07T12:00:00Z",
    "2025-06-07T13:00:00+01:00",
    "2025-06-07 12:00:00",
    NOON_MS,
    NOON_MS // 1000,
    float(NOON_MS // 1000),
]


def test_timestamps_of_every_kind_are_one_instant() -> None:
    for stamp in STAMPS:
        assert read({"timestamp": stamp, "dhw_demand": 1}).instants.tolist() == [NOON_MS], stamp
    together = read(*({"timestamp": stamp, "dhw_demand": 1} for stamp in STAMPS))
    assert together.instants.tolist() == [NOON_MS]
    assert together.duplicates == len(STAMPS) - 1


def test_local_clocks_without_offset_are_read_by_the_sites_source_time_zone() -> None:
    summer = [datetime(2025, 7, 1, 12, tzinfo=UTC), datetime(2025, 12, 1, 12, tzinfo=UTC)]  # BSON dates
    hours = [
        (t - int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000) // 3_600_000
        for t in read(*({"timestamp": s} for s in summer), zone="Europe/Lisbon").instants.tolist()
    ]
    assert [hour % 24 for hour in hours] == [11, 12]
    # The hour that the clock shows twice is its first pass.
    twice = read({"timestamp": datetime(2025, 10, 26, 1, 30, tzinfo=UTC)}, zone="Europe/Lisbon")
    assert twice.instants.tolist() == [int(datetime(2025, 10, 26, 0, 30, tzinfo=UTC).timestamp() * 1000)]
    offset = read({"timestamp": "2025-07-01T12:00:00Z"}, zone="Europe/Lisbon")
    assert offset.instants.tolist() == [int(datetime(2025, 7, 1, 12, tzinfo=UTC).timestamp() * 1000)]


def test_documents_without_a_readable_timestamp_are_counted() -> None:
    readings = read({"timestamp": "yesterday"}, {"dhw_demand": 1}, {"timestamp": None}, {"timestamp": NOON})
    assert (len(readings.instants), readings.unstamped) == (1, 3)


def test_numbers_of_every_kind_are_read_and_others_counted() -> None:
    values = ["12.5", 12.5, None, "missing", Decimal128("12.5"), {"value": 12.5}, math.nan, math.inf, 12, [1]]
    documents = [
        {"timestamp": NOON + timedelta(minutes=i)} | ({"dhw_demand": v} if v != "missing" else {})
        for i, v in enumerate(values)
    ]
    readings = read(*documents)
    expected = [12.5, 12.5, np.nan, np.nan, 12.5, np.nan, np.nan, np.nan, 12.0, np.nan]
    assert readings.columns["dhw_demand"].tolist() == pytest.approx(expected, nan_ok=True)
    assert readings.unusable == {"dhw_demand": 5}  # null, dict, NaN, infinity, list; an absent field is no value


def test_of_one_instant_the_last_inserted_wins_whatever_the_order_and_type() -> None:
    first, second, third = ObjectId(), ObjectId(), ObjectId()
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        documents = [
            {"_id": first, "timestamp": NOON, "non_shiftable_load": 1.0},
            {"_id": second, "timestamp": "2025-06-07T12:00:00Z", "non_shiftable_load": 2.0},
            {"_id": third, "timestamp": NOON_MS, "non_shiftable_load": 3.0, "charging_sessions": []},
        ]
        readings = read(*(documents[i] for i in order))
        assert readings.columns["non_shiftable_load"].tolist() == [3.0]
        assert readings.plugs.seen.tolist() == [True]
        assert readings.duplicates == 2


def test_generated_documents_are_left_out_on_request_alone() -> None:
    documents = [
        {"timestamp": NOON, "dhw_demand": 1.0, "generated": 0},
        {"timestamp": NOON, "dhw_demand": 9.0, "generated": 1},
        {"timestamp": NOON + timedelta(minutes=1), "dhw_demand": 9.0, "generated": True},
    ]
    assert read(*documents).columns["dhw_demand"].tolist() == [9.0, 9.0]
    kept = read(*documents, drop_generated=True)
    assert (kept.columns["dhw_demand"].tolist(), kept.generated) == ([1.0], 2)


@pytest.mark.parametrize(
    ("fields", "price", "converted"),
    [
        ({"electricity_pricing": 0.2}, 0.2, 0),
        ({"energy_price": 0.2}, 0.2, 0),
        ({"electricity_pricing": None, "energy_price": 0.2}, 0.2, 0),
        ({"energy_price": {"values": [79.29, 80]}}, 0.07929, 1),
        ({"energy_price": {"values": [79.29], "measurement_unit": "€/MWh"}}, 0.07929, 1),
        ({"energy_price": {"values": [0.11], "measurement_unit": "€/kWh"}}, 0.11, 0),
        ({"energy_tariffs": {"OMIE": {"energy_price": {"values": ["79.29"]}}}}, 0.07929, 1),
        ({"energy_tariffs": {"a": {}, "b": {"energy_price": {"values": [50]}}}}, 0.05, 1),
        ({"energy_price": {"values": []}}, math.nan, 0),
    ],
)
def test_prices_are_per_kwh(fields: dict[str, Any], price: float, converted: int) -> None:
    for document in ({"timestamp": NOON, **fields}, {"timestamp": NOON, "observations": fields}):
        readings = read(document)
        assert readings.columns["electricity_pricing"].tolist() == pytest.approx([price], nan_ok=True)
        assert readings.per_mwh == converted


def test_users_become_cars_that_tell_nothing_of_them() -> None:
    names = CarNames({"EV_1": {"user_ids": ["anna", 7]}, "11824": {}}, SECRET)
    assert [names.of("anna"), names.of("7"), names.of("EV_1")] == ["EV_1", "EV_1", "EV_1"]
    assert names.of("11824") == "EV_11824"  # CityLearn would read 11824 as a number, and lose the car
    assert names.of("bruno") == "EV_63d5ce24" != CarNames({}, b"other").of("bruno")
