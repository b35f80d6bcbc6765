"""A dataset small enough to simulate in a second: one building with PV, a battery and a charger, for three days."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROWS = 72
BUILDING = "R-H-01"
#: The hours of each day (0..23) at which a car is plugged in.
PLUGGED_IN = range(9, 17)


def write_tiny_dataset(folder: Path) -> None:
    """Write the dataset's files into `folder`."""
    folder.mkdir(parents=True)
    hours = range(ROWS)
    load_columns = "non_shiftable_load,dhw_demand,cooling_demand,heating_demand,solar_generation"
    _write_csv(
        folder / "building.csv",
        "month,hour,minutes,day_type,daylight_savings_status,indoor_dry_bulb_temperature,"
        f"average_unmet_cooling_setpoint_difference,indoor_relative_humidity,{load_columns}",
        ([6, h % 24 + 1, 0, h // 24 + 1, 1, 20, 0, 50, 0.5 + 0.1 * (h % 5), 0, 0, 0, _solar(h % 24)] for h in hours),
    )
    sky = ["outdoor_dry_bulb_temperature", "outdoor_relative_humidity"]
    sky += ["diffuse_solar_irradiance", "direct_solar_irradiance"]
    weather = sky + [f"{name}_predicted_{ahead}" for name in sky for ahead in (1, 2, 3)]
    _write_csv(folder / "weather.csv", ",".join(weather), ([20] * 16 for _ in hours))
    prices = [f"electricity_pricing_predicted_{ahead}" for ahead in (1, 2, 3)]
    _write_csv(
        folder / "pricing.csv",
        ",".join(["electricity_pricing", *prices]),
        ([0.1 if 10 <= h % 24 < 16 else 0.3] * 4 for h in hours),
    )
    _write_csv(folder / "carbon_intensity.csv", "carbon_intensity", ([0.2] for _ in hours))
    _write_csv(
        folder / "charger.csv",
        "electric_vehicle_charger_state,electric_vehicle_id,electric_vehicle_departure_time,"
        "electric_vehicle_required_soc_departure,electric_vehicle_estimated_arrival_time,"
        "electric_vehicle_estimated_soc_arrival",
        (_charger_row(h % 24) for h in hours),
    )
    (folder / "schema.json").write_text(json.dumps(_schema()))


def _solar(hour: int) -> float:
    return max(0.0, 1.5 - 0.3 * abs(hour - 12))


def _charger_row(hour: int) -> list[Any]:
    if hour in PLUGGED_IN:
        return [1, "EV_1", PLUGGED_IN.stop - hour, 80, "", 30 if hour == PLUGGED_IN.start else ""]
    return [3, "", "", "", "", ""]


def _schema() -> dict[str, Any]:
    observations = ["month", "hour", "non_shiftable_load", "electrical_storage_soc", "net_electricity_consumption"]
    return {
        "random_seed": 1,
        "root_directory": None,
        "central_agent": False,
        "start_date": "2025-06-02",
        "simulation_start_time_step": 0,
        "simulation_end_time_step": ROWS - 1,
        "episode_time_steps": None,
        "rolling_episode_split": False,
        "random_episode_split": False,
        "seconds_per_time_step": 3600,
        "observations": {name: {"active": True, "shared_in_central_agent": True} for name in observations},
        "actions": {"electrical_storage": {"active": True}, "electric_vehicle_storage": {"active": True}},
        "reward_function": {"type": "citylearn.reward_function.RewardFunction", "attributes": {}},
        "electric_vehicles_def": {"EV_1": {"include": True, "battery": _battery(50.0, 50.0)}},
        "buildings": {
            BUILDING: {
                "include": True,
                "energy_simulation": "building.csv",
                "weather": "weather.csv",
                "carbon_intensity": "carbon_intensity.csv",
                "pricing": "pricing.csv",
                "inactive_observations": [],
                "inactive_actions": [],
                "electrical_storage": _battery(6.4, 5.0),
                "pv": {
                    "type": "citylearn.energy_model.PV",
                    "autosize": False,
                    "attributes": {"nominal_power": 4.0, "generation_mode": "absolute"},
                },
                "chargers": {
                    "AC_1": {
                        "type": "citylearn.electric_vehicle_charger.Charger",
                        "charger_simulation": "charger.csv",
                        "autosize": False,
                        "attributes": {
                            "nominal_power": 7.4,
                            "efficiency": 0.95,
                            "charger_type": 0,
                            "max_charging_power": 7.4,
                            "min_charging_power": 0.0,
                            "max_discharging_power": 7.4,
                            "min_discharging_power": 0.0,
                        },
                    }
                },
            }
        },
    }


def _battery(capacity: float, power: float) -> dict[str, Any]:
    return {
        "type": "citylearn.energy_model.Battery",
        "autosize": False,
        "attributes": {"capacity": capacity, "nominal_power": power, "initial_soc": 0.2, "depth_of_discharge": 0.9},
    }


def _write_csv(path: Path, header: str, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
