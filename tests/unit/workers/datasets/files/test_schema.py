"""`schema.json`: what CityLearn would refuse or ignore is mended and said."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.datasets_in_memory import build
from tests.instants import utc
from workers.datasets.files.schema_names import OBSERVATIONS

START = utc("2025-01-14 00:00")


def documents(**fields: Any) -> list[dict[str, Any]]:
    fields = fields or {"non_shiftable_load": 1.0}
    return [{"timestamp": START + timedelta(hours=i), **fields} for i in range(24)]


def schema_of(
    config: dict[str, Any] | None = None, site_schema: dict[str, Any] | None = None, **fields: Any
) -> tuple[dict[str, Any], str]:
    """The schema and all warnings as one text."""
    dataset = build({"building_A": documents(**fields)}, {"citylearn_configs": config or {}}, site_schema)
    return json.loads(dataset.files["schema.json"]), "\n".join(dataset.manifest["warnings"])


def building(site_building: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], str]:
    schema, warnings = schema_of({}, {"buildings": {"A": site_building}}, **fields)
    return schema["buildings"]["A"], warnings


def test_what_follows_from_the_data_is_never_the_requests() -> None:
    schema, warnings = schema_of(
        {
            "root_directory": "",
            "simulation_start_time_step": 5,
            "simulation_end_time_step": 8759,
            "seconds_per_time_step": 900,
            "start_date": "1999-01-01",
            "episode_time_steps": 1,
        }
    )
    assert schema["root_directory"] is None
    assert (schema["simulation_start_time_step"], schema["simulation_end_time_step"]) == (0, 23)
    assert (schema["seconds_per_time_step"], schema["start_date"]) == (3600, "2025-01-14")
    assert schema["episode_time_steps"] is None
    for said in ("simulation_end_time_step 8759 became 23", "root_directory '' became null", "episode_time_steps 1"):
        assert said in warnings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (12, 12),
        (24, 24),
        (25, None),
        (0, None),
        (True, None),
        ([[0, 11], [12, 23]], [[0, 11], [12, 23]]),
        ([[0, 24]], None),
    ],
)
def test_episodes_that_fit_are_kept(given: Any, kept: Any) -> None:
    assert schema_of({"episode_time_steps": given})[0]["episode_time_steps"] == kept


def test_observations_that_citylearn_does_not_know_are_left_out() -> None:
    given = {
        "month": {"active": True},
        "electric_vehicle_soc": {"active": False},
        "mood": {"active": True},
        "hour": True,
    }
    schema, warnings = schema_of({"observations": given})
    assert set(schema["observations"]) == {"month", "hour", "net_electricity_consumption"}
    assert schema["observations"]["hour"] == {"active": True, "shared_in_central_agent": False}
    assert "CityLearn knows no observation electric_vehicle_soc, mood: left out" in warnings


def test_without_a_word_on_observations_there_are_useful_ones() -> None:
    schema, warnings = schema_of()
    assert schema["observations"].keys() <= OBSERVATIONS
    assert schema["observations"]["net_electricity_consumption"]["active"]
    assert "observation" not in warnings


def test_cooling_and_heating_actions_exclude_each_other() -> None:
    given = {name: {"active": True} for name in ("cooling_device", "heating_device", "teleport")}
    schema, warnings = schema_of({"actions": given})
    assert [name for name, action in schema["actions"].items() if action["active"]] == ["cooling_device"]
    assert "heating_device was switched off" in warnings
    assert "no action teleport" in warnings


@pytest.mark.parametrize("reward", [{"type": "my.module.Reward"}, {"type": None}, {"type": {"A": "x.Y"}}, {}])
def test_a_reward_that_cannot_be_imported_becomes_citylearns(reward: dict[str, Any]) -> None:
    schema, warnings = schema_of({"reward_function": reward})
    assert schema["reward_function"] == {"type": "citylearn.reward_function.RewardFunction", "attributes": {}}
    assert "is none of CityLearn's" in warnings


@pytest.mark.parametrize(("seed", "kept"), [(7, 7), (None, 2022), ("x", 2022), (-1, 2022)])
def test_there_is_always_a_seed(seed: Any, kept: int) -> None:
    assert schema_of({"random_seed": seed})[0]["random_seed"] == kept


def test_other_keys_of_citylearn_are_passed_on() -> None:
    schema, _ = schema_of({"central_agent": True, "agent": {"type": "a.B"}, "render": False})
    assert (schema["central_agent"], schema["agent"], schema["render"]) == (True, {"type": "a.B"}, False)


def test_the_existing_clients_schema_becomes_citylearns() -> None:
    entry, warnings = building(
        {
            "include": True,
            "energy_simulation": "Building_1.csv",
            "carbon_intensity": "carbon_intensity.csv",
            "inactive_observations": [],
            "inactive_actions": [],
            "charger_1": {
                "type": "citylearn.electric_vehicle_charger.Charger",
                "autosize": False,
                "attributes": {"nominal_power": 11.0, "efficiency": 0.9, "charger_efficiency_curve": [0, 0.8]},
            },
            "pv_1": {"type": "citylearn.energy_model.PV", "autosize": False, "attributes": {"nominal_power": 4.0}},
            "sauna": {},
        }
    )
    assert entry["energy_simulation"] == "building_A.csv"
    assert "carbon_intensity" not in entry  # no file of that name was given
    charger = entry["chargers"]["charger_1"]
    assert charger["charger_simulation"] == "charger_1.csv"
    assert charger["attributes"]["max_charging_power"] == 11.0
    assert charger["attributes"]["charge_efficiency_curve"] == [[0.0, 0.8]]
    assert entry["pv"]["attributes"] == {"nominal_power": 4.0, "generation_mode": "absolute"}
    assert entry["inactive_actions"] == ["electrical_storage"]
    for said in ("charger_1 was moved to chargers", "pv_1 was renamed to pv", "has no battery", "sauna was left out"):
        assert said in warnings


def test_batteries_come_from_the_sites_schema() -> None:
    battery = {
        "autosize": True,
        "attributes": {"capacity": 6.4, "nominal_power": 5.0, "efficiency": 90, "colour": "red"},
    }
    entry, warnings = building({"electrical_storage": battery})
    assert entry["electrical_storage"] == {
        "type": "citylearn.energy_model.Battery",
        "autosize": False,
        "attributes": {"capacity": 6.4, "nominal_power": 5.0},
    }
    assert entry["inactive_actions"] == []
    for said in ("efficiency 90", "colour left out", "keeps its own size"):
        assert said in warnings
    joint, warnings = building({"battery_1": battery, "battery_2": battery})
    assert joint["electrical_storage"]["attributes"]["capacity"] == 12.8
    assert "2 batteries became one" in warnings


@pytest.mark.parametrize(
    ("curve", "written"),
    [
        ([[0, 0.8], [1, 0.9]], [[0.0, 0.8], [1.0, 0.9]]),
        ([0, 0.8, 1, 0.9], [[0.0, 0.8], [1.0, 0.9]]),
        ([0.8, 0.9, 0.7], None),
        ([[1, 0.8], [0, 0.9]], None),
        ("flat", None),
    ],
)
def test_curves_are_pairs_or_left_out(curve: Any, written: Any) -> None:
    entry, warnings = building({"electrical_storage": {"attributes": {"capacity": 1, "power_efficiency_curve": curve}}})
    assert entry["electrical_storage"]["attributes"].get("power_efficiency_curve") == written
    assert (written is None) == ("was left out" in warnings)


def test_a_demand_gets_a_device_that_serves_it() -> None:
    entry, warnings = building({}, cooling_demand=2.0, dhw_demand=1.0)
    assert entry["cooling_device"] == {"type": "citylearn.energy_model.HeatPump", "autosize": True, "attributes": {}}
    assert entry["dhw_device"]["type"] == "citylearn.energy_model.ElectricHeater"
    assert "heating_device" not in entry
    assert "has a cooling_demand" in warnings
    large = {"cooling_device": {"attributes": {"nominal_power": 3.0}}}
    assert building(large, cooling_demand=2.0)[0]["cooling_device"]["attributes"] == {"nominal_power": 3.0}
    small = {"cooling_device": {"attributes": {"nominal_power": 0.5}}}
    assert building(small, cooling_demand=2.0)[0]["cooling_device"]["autosize"] is True


def test_generation_without_a_described_pv_gets_one() -> None:
    entry, warnings = building({}, solar_generation=3.0)
    assert entry["pv"]["attributes"] == {"nominal_power": 3.0, "generation_mode": "absolute"}
    assert "3.0 kW is the most that it gave" in warnings


def plugged(user: str) -> dict[str, Any]:
    return {"charging_sessions": [{"charger_id": "AC1", "user_id": user}]}


def test_cars_of_definitions_keep_their_batteries_and_lose_their_users() -> None:
    definitions = {
        "EV_1": {
            "include": False,
            "user_ids": ["anna"],
            "battery": {"attributes": {"capacity": 40, "initial_soc": 0.25}},
        },
        "EV_2": {"include": False},
        "EV_3": {"include": True},
    }
    schema, _ = schema_of({}, {"electric_vehicles_def": definitions}, **plugged("anna"))
    cars = schema["electric_vehicles_def"]
    assert set(cars) == {"EV_1", "EV_3"}  # EV_1 is plugged in: CityLearn would lose it if it were not included
    assert cars["EV_1"] == {
        "include": True,
        "battery": {
            "type": "citylearn.energy_model.Battery",
            "autosize": False,
            "attributes": {"capacity": 40.0, "initial_soc": 0.25, "nominal_power": 50.0, "depth_of_discharge": 0.9},
        },
    }


def test_cars_without_definition_get_one_and_a_warning() -> None:
    schema, warnings = schema_of(**plugged("somebody"))
    (car,) = schema["electric_vehicles_def"]
    assert car.startswith("EV_")
    assert schema["electric_vehicles_def"][car]["battery"]["attributes"]["capacity"] == 50.0
    assert f"Car {car!r} has no definition" in warnings


def test_a_car_whose_name_is_a_number_gets_another() -> None:
    vehicles = {"11824": {"SoC": 0.5}}
    sessions = {"AC1": {"electric_vehicle": 11824}}
    schema, warnings = schema_of(
        {}, {"electric_vehicles_def": {"11824": {}}}, charging_sessions=sessions, electric_vehicles=vehicles
    )
    assert set(schema["electric_vehicles_def"]) == {"EV_11824"}
    assert "is called 'EV_11824'" in warnings
