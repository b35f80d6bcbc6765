"""Schemas of sites: what a dataset build would miss is said, and what is whole has no warnings."""

from typing import Any

import pytest

from workers.sites.schema_checks import warnings

BATTERY = {"type": "citylearn.energy_model.Battery", "attributes": {"capacity": 6.4, "nominal_power": 5.0}}
WHOLE: dict[str, Any] = {
    "time_zone": "Europe/Lisbon",
    "buildings": {
        "R-H-01": {
            "include": True,
            "electrical_storage": BATTERY,
            "pv": {"type": "citylearn.energy_model.PV", "attributes": {"nominal_power": 4.0}},
            "chargers": {
                "AC1": {"attributes": {"nominal_power": 7.4, "charge_efficiency_curve": [[0, 1], [0.8, 0.9]]}}
            },
        }
    },
    "electric_vehicles_def": {"EV_1": {"battery": BATTERY}},
}


def test_a_whole_schema_has_no_warnings() -> None:
    assert warnings(WHOLE, ["building_R-H-01"]) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time_zone": "Lisbon"}, "time_zone 'Lisbon'"),
        ({"time_zone": 5}, "time_zone 5"),
        ({"source_time_zone": "../etc/passwd"}, "source_time_zone"),
        ({"buildings": None}, "buildings is missing"),
        ({"buildings": {}}, "buildings is missing"),
        ({"buildings": {"R-H-01": {"include": False}}}, "No building has include"),
        ({"buildings": {"R-H-01": 5}}, "buildings.R-H-01 is not an object"),
        ({"buildings": {"other": {"include": True}}}, "building_other"),
        ({"buildings": {"R-H-01": {"charger_1": {"type": "x.Charger", "attributes": {}}}}}, "charger_1 is a charger"),
        ({"buildings": {"R-H-01": {"pv_1": {"type": "x.PV", "attributes": {"nominal_power": 4}}}}}, "pv_1 is a device"),
        ({"buildings": {"R-H-01": {"pv": {"type": "x.PV", "attributes": {}}}}}, "nominal_power is missing"),
        ({"buildings": {"R-H-01": {"electrical_storage": {"type": "x.Battery"}}}}, "no attributes"),
        ({"buildings": {"R-H-01": {"chargers": {"A": {"attributes": {"e_curve": [0, 0.8]}}}}}}, "two, [[…], […]]"),
        ({"buildings": {"R-H-01": {"chargers": []}}}, "not an object of chargers"),
        ({"electric_vehicles_def": {"EV_1": {"battery": {"attributes": {"capacity": "40"}}}}}, "EV_1"),
        ({"electric_vehicles_def": []}, "electric_vehicles_def"),
    ],
    ids=str,
)
def test_what_a_dataset_build_would_miss_is_said(change: dict[str, Any], says: str) -> None:
    found = warnings({**WHOLE, **change}, ["building_R-H-01"])
    assert any(says in warning for warning in found), found
