"""A request is understood as it was meant, or refused with a sentence that helps."""

import json
from typing import Any

import pytest

from tests.datasets_in_memory import build
from tests.instants import ms
from workers.common.errors import InvalidInput, NotFound, OpevaError
from workers.datasets.asked.request import parse_request
from workers.datasets.asked.site_schema import SiteSchema, select_buildings

BODY: dict[str, Any] = {"name": "winter", "site_id": "living_lab"}


def test_the_existing_clients_body_is_understood() -> None:
    request = parse_request(
        {
            "name": "from-ui",
            "description": "",
            "site_id": "living_lab",
            "from_ts": "2025-06-07 14:30:00",
            "until_ts": "2025-06-09 18:45:00",
            "citylearn_configs": {"random_seed": 2022, "root_directory": "", "episode_time_steps": 1},
        }
    )
    assert (request.period, request.overwrite, request.incoming_horizon_minutes) == (60, False, 120)
    assert (request.from_ms, request.until_ms) == (ms("2025-06-07 14:30"), ms("2025-06-09 18:45"))
    assert request.citylearn == {"random_seed": 2022, "root_directory": "", "episode_time_steps": 1}


def test_our_own_keys_are_taken_out_of_citylearns() -> None:
    config = {
        "random_seed": 1,
        "selected_buildings": ["A", "A", "B"],
        "time_zone": "Europe/Madrid",
        "drop_generated": True,
        "incoming_horizon_minutes": 60,
        "weather": "summer",
        "carbon_intensity": 0.2,
        "defaults": {"dhw_demand": 0.1},
    }
    request = parse_request({**BODY, "config": config})
    assert request.citylearn == {"random_seed": 1}
    assert (request.selected_buildings, request.time_zone) == (("A", "B"), "Europe/Madrid")
    assert (request.drop_generated, request.incoming_horizon_minutes) == (True, 60)
    assert (request.weather, request.carbon_intensity, request.defaults) == ("summer", 0.2, {"dhw_demand": 0.1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "upload"}, "reserved"),
        ({"site_id": None}, "site"),
        ({"site_id": "admin"}, "admin"),
        ({"period": 7}, "divides a day"),
        ({"period": 0}, "divides a day"),
        ({"period": 2880}, "divides a day"),
        ({"period": "hourly"}, "hourly"),
        ({"period": True}, "period"),
        ({"period": 7.5}, "period"),
        ({"from_ts": "Invalid Date", "until_ts": "Invalid Date"}, "from_ts 'Invalid Date'"),
        ({"from_ts": "2025-01-01", "until_ts": "2025-01-01"}, "from_ts 2025-01-01 must be before until_ts 2025-01-01"),
        ({"from_ts": "2025-01-02", "until_ts": "2025-01-01"}, "must be before"),
        ({"until_ts": 7}, "until_ts"),
        ({"citylearn_configs": []}, "citylearn_configs"),
        ({"citylearn_configs": {"a": 1}, "config": {"a": 2}}, "send one of them"),
        ({"citylearn_configs": {"time_zone": "Mars/Olympus"}}, "Mars/Olympus"),
        ({"citylearn_configs": {"time_zone": "../etc/passwd"}}, "time_zone"),
        ({"citylearn_configs": {"selected_buildings": "A"}}, "selected_buildings"),
        ({"citylearn_configs": {"drop_generated": "no"}}, "drop_generated"),
        ({"citylearn_configs": {"incoming_horizon_minutes": -1}}, "incoming_horizon_minutes"),
        ({"citylearn_configs": {"weather": "../x"}}, "weather"),
        ({"citylearn_configs": {"carbon_intensity": -1}}, "carbon_intensity"),
        ({"citylearn_configs": {"defaults": {"load": 1}}}, "'load'"),
        ({"citylearn_configs": {"defaults": {"dhw_demand": "much"}}}, "defaults.dhw_demand"),
        (
            {"citylearn_configs": {"defaults": {"electric_vehicle_required_soc_departure": 120}}},
            "electric_vehicle_required_soc_departure",
        ),
        ({"overwrite": "yes"}, "overwrite"),
        ({"description": 5}, "description"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request({**BODY, **change})
    assert said in caught.value.detail


def chosen(collections: list[str], schema: Any = None, **config: Any) -> dict[str, str]:
    request = parse_request({**BODY, "config": config})
    return select_buildings(request, SiteSchema.of(schema), collections).buildings


def test_only_the_collection_of_exactly_that_name_is_a_building() -> None:
    collections = ["building_A", "building_A2", "schema", "buildings", "Building_C", "logs"]
    assert chosen(collections, {"buildings": {"A": {}}}) == {"A": "building_A"}
    assert chosen(collections) == {"A": "building_A", "A2": "building_A2"}
    request = parse_request(BODY)
    warnings = select_buildings(request, SiteSchema.of(None), collections).warnings
    assert warnings == [
        "Collections of the site 'living_lab' that are no buildings were ignored: Building_C, buildings, logs"
    ]


def test_buildings_are_the_requests_else_the_schemas_else_all() -> None:
    collections = ["building_A", "building_B", "building_main_house"]
    schema = {"buildings": {"A": {"include": False}, "main house": {"include": True}, "B": {}}}
    assert chosen(collections, schema, selected_buildings=["A"]) == {"A": "building_A"}
    assert chosen(collections, schema, selected_buildings=["building_A"]) == {"A": "building_A"}
    assert chosen(collections, schema) == {"B": "building_B", "main house": "building_main_house"}


def test_a_building_that_is_asked_for_and_missing_is_not_found() -> None:
    with pytest.raises(NotFound, match="no building 'Z'"):
        chosen(["building_A"], selected_buildings=["A", "Z"])
    with pytest.raises(NotFound, match="no building to make"):
        chosen(["schema"])


@pytest.mark.parametrize("schema", [{"time_zone": "Nowhere"}, {"source_time_zone": 5}])
def test_a_sites_zone_that_does_not_exist_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(OpevaError, match="The site schema's"):
        SiteSchema.of(schema)


def test_the_manifest_repeats_the_request_as_it_was_understood() -> None:
    documents = [{"timestamp": f"2025-01-14T{hour:02}:00:00Z", "dhw_demand": 1} for hour in range(24)]
    manifest = build(
        {"building_A": documents}, {"description": "winter", "citylearn_configs": {"random_seed": 7}}
    ).manifest
    assert manifest["request"]["citylearn_configs"]["random_seed"] == 7
    assert manifest["description"] == "winter"
    json.dumps(manifest, allow_nan=False)
