"""The demo dataset: half a year of three real homes with PV and batteries, as CityLearn 3 loads it.

    python -m scripts.demo_dataset SHARED_ROOT

makes `SHARED_ROOT/datasets/demo`. It appears whole or not at all, and one that exists is left as it is.
"""

import argparse
import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from scripts.building_data import HOURS, BuildingYear, Series, citylearn_wheel, load_buildings
from workers.common.layout import Layout
from workers.common.names import dataset_name

DEFAULT_NAME: Final = "demo"
DEFAULT_DAYS: Final = 184
DEFAULT_BUILDINGS: Final = 3

#: The first reading of these homes covers the last hour of a day; the dataset begins with the day after.
_FIRST_ROW: Final = 1
_LOOK_AHEAD: Final = (1, 2, 3)
_SEED: Final = 2022
#: Where a home's data have no indoor climate: °C and percent.
_INDOOR_TEMPERATURE: Final = 20.0
_INDOOR_HUMIDITY: Final = 50.0

_BUILDING_COLUMNS: Final = (
    "month",
    "hour",
    "minutes",
    "day_type",
    "daylight_savings_status",
    "indoor_dry_bulb_temperature",
    "average_unmet_cooling_setpoint_difference",
    "indoor_relative_humidity",
    "non_shiftable_load",
    "dhw_demand",
    "cooling_demand",
    "heating_demand",
    "solar_generation",
)
_OBSERVATIONS: Final = (
    "month",
    "day_type",
    "hour",
    "outdoor_dry_bulb_temperature",
    "outdoor_dry_bulb_temperature_predicted_1",
    "direct_solar_irradiance",
    "direct_solar_irradiance_predicted_1",
    "carbon_intensity",
    "non_shiftable_load",
    "solar_generation",
    "electrical_storage_soc",
    "net_electricity_consumption",
    "electricity_pricing",
    "electricity_pricing_predicted_1",
)
_BATTERY: Final = {
    "type": "citylearn.energy_model.Battery",
    "autosize": False,
    "attributes": {
        "capacity": 6.4,
        "efficiency": 0.9,
        "nominal_power": 5.0,
        "capacity_loss_coefficient": 1e-05,
        "loss_coefficient": 0.0,
    },
}


def make_demo_dataset(
    root: Path,
    cache: Path,
    name: str = DEFAULT_NAME,
    days: int = DEFAULT_DAYS,
    buildings: int = DEFAULT_BUILDINGS,
) -> Path:
    """Make the dataset `name` under the shared root, unless it exists, and return its folder.

    `cache` keeps the wheel with the building data between calls. Raises RuntimeError if that can't be downloaded.
    """
    folder = Layout(root).dataset(dataset_name(name))
    if folder.exists():
        return folder
    rows = range(_FIRST_ROW, _FIRST_ROW + days * 24)
    if rows.stop > HOURS:
        raise ValueError(f"The buildings' data cover {(HOURS - _FIRST_ROW) // 24} days, not {days}")
    homes = load_buildings(citylearn_wheel(cache), buildings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}."))
    try:
        _write(scratch, homes, rows)
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _write(folder: Path, homes: Sequence[BuildingYear], rows: range) -> None:
    first = homes[0]
    if first.price is None or first.carbon is None:
        raise ValueError(f"{first.source} has no prices or no carbon intensity")
    for home in homes:
        _write_csv(folder / f"{home.name}.csv", _BUILDING_COLUMNS, (_building_row(home, row) for row in rows))
    weather = {
        "outdoor_dry_bulb_temperature": first.weather.temperature,
        "outdoor_relative_humidity": first.weather.humidity,
        "diffuse_solar_irradiance": first.weather.diffuse_irradiance,
        "direct_solar_irradiance": first.weather.direct_irradiance,
    }
    _write_predicted(folder / "weather.csv", weather, rows)
    _write_predicted(folder / "pricing.csv", {"electricity_pricing": first.price}, rows)
    _write_csv(folder / "carbon_intensity.csv", ["carbon_intensity"], ([first.carbon[row]] for row in rows))
    (folder / "schema.json").write_text(json.dumps(_schema(homes, rows), indent=2) + "\n")


def _building_row(home: BuildingYear, row: int) -> list[float]:
    return [
        home.month[row],
        home.hour[row],
        0,
        home.day_type[row],
        0,
        home.indoor_temperature[row] if home.indoor_temperature else _INDOOR_TEMPERATURE,
        0.0,
        home.indoor_humidity[row] if home.indoor_humidity else _INDOOR_HUMIDITY,
        home.load[row],
        home.dhw[row],
        home.cooling[row],
        home.heating[row],
        home.solar_per_kw[row] * home.pv_kw,
    ]


def _write_predicted(path: Path, series: dict[str, Series], rows: range) -> None:
    """A file of `series`, then each one's perfect forecasts; the year's end looks ahead to its beginning."""
    header = [*series, *(f"{name}_predicted_{ahead}" for name in series for ahead in _LOOK_AHEAD)]
    _write_csv(
        path,
        header,
        (
            [
                *(values[row] for values in series.values()),
                *(values[(row + ahead) % HOURS] for values in series.values() for ahead in _LOOK_AHEAD),
            ]
            for row in rows
        ),
    )


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def _schema(homes: Sequence[BuildingYear], rows: range) -> dict[str, Any]:
    start = homes[0].start + timedelta(hours=rows.start)
    return {
        "random_seed": _SEED,
        "root_directory": None,
        "central_agent": False,
        "start_date": start.date().isoformat(),
        "simulation_start_time_step": 0,
        "simulation_end_time_step": len(rows) - 1,
        "episode_time_steps": None,
        "rolling_episode_split": False,
        "random_episode_split": False,
        "seconds_per_time_step": 3600,
        "observations": {name: {"active": True, "shared_in_central_agent": True} for name in _OBSERVATIONS},
        "actions": {"electrical_storage": {"active": True}},
        "agent": {"type": "citylearn.agents.rbc.BasicBatteryRBC", "attributes": {}},
        "reward_function": {"type": "citylearn.reward_function.RewardFunction", "attributes": {}},
        "buildings": {home.name: _building(home) for home in homes},
    }


def _building(home: BuildingYear) -> dict[str, Any]:
    return {
        "include": True,
        "energy_simulation": f"{home.name}.csv",
        "weather": "weather.csv",
        "carbon_intensity": "carbon_intensity.csv",
        "pricing": "pricing.csv",
        "inactive_observations": [],
        "inactive_actions": [],
        "electrical_storage": _BATTERY,
        "pv": {
            "type": "citylearn.energy_model.PV",
            "autosize": False,
            # The column holds kWh, not W per installed kW.
            "attributes": {"nominal_power": home.pv_kw, "generation_mode": "absolute"},
        },
    }


def main() -> None:
    """Make the demo dataset under a shared root."""
    run_folder = Path(os.environ.get("OPEVA_RUN_DIR", ".run"))
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("root", type=Path, help="the shared root")
    parser.add_argument("--name", default=DEFAULT_NAME)
    parser.add_argument("--days", type=int, default=DEFAULT_DAYS)
    parser.add_argument("--buildings", type=int, default=DEFAULT_BUILDINGS, help="how many homes, 17 at most")
    parser.add_argument("--cache", type=Path, default=run_folder / "cache", help="keeps the downloaded building data")
    options = parser.parse_args()
    print(make_demo_dataset(options.root, options.cache, options.name, options.days, options.buildings))


if __name__ == "__main__":
    main()
