"""`schema.json`: CityLearn's own description of a dataset, from a request, a site's schema and what was measured.

A request is taken as it was meant: what CityLearn would refuse, or ignore without a word, is mended and said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from workers.datasets.asked.devices import (
    BATTERY_TYPE,
    CHARGER_TYPE,
    DEMAND_DEVICES,
    PV_TYPE,
    BuildingDevices,
    Warnings,
    car_definition,
    charger_attributes,
)
from workers.datasets.asked.site_schema import SiteSchema
from workers.datasets.files import schema_names as known
from workers.datasets.measures.columns import CARBON
from workers.datasets.measures.grid import HOUR_MS, Grid
from workers.datasets.measures.numbers import number
from workers.datasets.reading.users import dataset_name

DEFAULT_SEED: Final = 2022
#: Keys of a schema that a site's own may give where the request is silent.
_FROM_SITE: Final = ("random_seed", "central_agent", "observations", "actions", "agent", "reward_function")
#: What a device's efficiency is at least: heaters' begins at 0.9, heat pumps give more than they take.
_LEAST_EFFICIENCY: Final = 0.9
_TRUE_WORDS: Final = {"true", "1", "yes", "on"}


@dataclass(frozen=True)
class BuildingParts:
    """What a dataset has of a building: its files' names (chargers' by id), and the most kWh that a step brought of
    sun and of each demand."""

    name: str
    energy_file: str
    charger_files: Mapping[str, str]
    most_solar_kwh: float
    most_demand_kwh: Mapping[str, float]


@dataclass(frozen=True)
class SharedFiles:
    """The files that all buildings share; no carbon file where none was given."""

    weather: str
    pricing: str
    carbon: str | None


def citylearn_schema(
    request: Mapping[str, Any],
    site: SiteSchema,
    buildings: Sequence[BuildingParts],
    cars: Sequence[str],
    shared: SharedFiles,
    grid: Grid,
    zone: ZoneInfo,
) -> tuple[dict[str, Any], Warnings]:
    """The schema and what was mended. `request` holds CityLearn's own keys; `cars` are those in chargers' files."""
    warnings: Warnings = []
    given = {**{key: site.content[key] for key in _FROM_SITE if key in site.content}, **request}
    _say_derived(given, grid, warnings)
    actions = _switches(given.get("actions"), known.ACTIONS, known.DEFAULT_ACTIONS, "action", warnings)
    _one_way_to_heat_and_cool(actions, warnings)
    schema: dict[str, Any] = {
        "random_seed": _seed(given.get("random_seed"), warnings),
        "root_directory": None,
        "central_agent": _flag(given.get("central_agent")),
        "simulation_start_time_step": 0,
        "simulation_end_time_step": grid.bins - 1,
        "episode_time_steps": _episode(given.get("episode_time_steps"), grid.bins, warnings),
        "rolling_episode_split": _flag(given.get("rolling_episode_split")),
        "random_episode_split": _flag(given.get("random_episode_split")),
        "seconds_per_time_step": grid.period_ms // 1000,
        "start_date": datetime.fromtimestamp(grid.start_ms / 1000, UTC).astimezone(zone).date().isoformat(),
        "observations": _observations(given.get("observations"), warnings),
        "actions": actions,
        "agent": _agent(given.get("agent")),
        "reward_function": _reward(given.get("reward_function"), warnings),
        "electric_vehicles_def": _cars(site, given.get("electric_vehicles_def"), cars, warnings),
        "buildings": {},
    }
    overrides = given.get("buildings") if isinstance(given.get("buildings"), Mapping) else {}
    storage_active = bool(actions.get(known.STORAGE_ACTION, {}).get("active"))
    for parts in buildings:
        definition = {**_mapping(site.buildings.get(parts.name)), **_mapping((overrides or {}).get(parts.name))}
        schema["buildings"][parts.name] = _building(parts, definition, shared, grid, storage_active, warnings)
    extra = {key: value for key, value in given.items() if key not in schema}
    return {**schema, **extra}, warnings


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _say_derived(given: Mapping[str, Any], grid: Grid, warnings: Warnings) -> None:
    """Say which of the request's figures were replaced by those of the data."""
    right = {
        "simulation_start_time_step": 0,
        "simulation_end_time_step": grid.bins - 1,
        "seconds_per_time_step": grid.period_ms // 1000,
        "root_directory": None,
    }
    for key, value in right.items():
        if key in given and given[key] != value:
            warnings.append(f"{key} {given[key]!r} became {'null' if value is None else value}, as the data have it")


def _seed(value: object, warnings: Warnings) -> int:
    """CityLearn computes with the seed: null stops it."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    if value is not None:
        warnings.append(f"random_seed {value!r} is no whole number from 0 on and became {DEFAULT_SEED}")
    return DEFAULT_SEED


def _flag(value: object) -> bool:
    return value.strip().lower() in _TRUE_WORDS if isinstance(value, str) else bool(value)


def _episode(value: object, rows: int, warnings: Warnings) -> int | list[list[int]] | None:
    """CityLearn fails at the first step of an episode of 1, and on episodes that the data don't reach."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= rows:
        return value
    if isinstance(value, list) and value and all(_is_episode(part, rows) for part in value):
        return [[int(part[0]), int(part[1])] for part in value]
    warnings.append(f"episode_time_steps {value!r} does not fit {rows} rows and became null: one episode of all")
    return None


def _is_episode(part: object, rows: int) -> bool:
    if not isinstance(part, list) or len(part) != 2 or not all(isinstance(step, int) for step in part):
        return False
    return bool(0 <= part[0] < part[1] < rows)


def _switches(
    given: object, names: frozenset[str], defaults: Sequence[str], what: str, warnings: Warnings
) -> dict[str, dict[str, Any]]:
    """Observations or actions: those that CityLearn knows, each with its `active`."""
    if not isinstance(given, Mapping) or not given:
        return {name: {"active": True} for name in defaults}
    unknown = sorted(str(name) for name in given if name not in names)
    if unknown:
        warnings.append(f"CityLearn knows no {what} {', '.join(unknown)}: left out")
    result = {}
    for name, value in given.items():
        if name in names:
            settings = dict(value) if isinstance(value, Mapping) else {"active": value}
            result[name] = {**settings, "active": _flag(settings.get("active", False))}
    return result


def _observations(given: object, warnings: Warnings) -> dict[str, dict[str, Any]]:
    result = _switches(given, known.OBSERVATIONS, known.DEFAULT_OBSERVATIONS, "observation", warnings)
    for settings in result.values():
        settings["shared_in_central_agent"] = _flag(settings.get("shared_in_central_agent", False))
    if known.NET_CONSUMPTION not in result:
        result[known.NET_CONSUMPTION] = {"active": True, "shared_in_central_agent": False}
        warnings.append(f"{known.NET_CONSUMPTION} was added to the observations: CityLearn needs it listed")
    return result


def _one_way_to_heat_and_cool(actions: dict[str, dict[str, Any]], warnings: Warnings) -> None:
    """CityLearn takes one joint action for cooling and heating devices or one of the two, never more."""
    active = [
        name for name in (known.COMBINED_DEVICE_ACTION, *known.DEVICE_ACTIONS) if actions.get(name, {}).get("active")
    ]
    for name in active[1:]:
        actions[name]["active"] = False
        warnings.append(f"The action {name} was switched off: CityLearn doesn't take it beside {active[0]}")


def _agent(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {"type": known.DEFAULT_AGENT, "attributes": {}}


def _reward(value: object, warnings: Warnings) -> dict[str, Any]:
    reward = {"attributes": {}, **value} if isinstance(value, Mapping) else {"type": known.DEFAULT_REWARD}
    kind = reward.get("type")
    types = list(kind.values()) if isinstance(kind, Mapping) else [kind]
    if not types or not all(name in known.REWARDS for name in types):
        warnings.append(f"The reward {kind!r} is none of CityLearn's and became {known.DEFAULT_REWARD}")
        return {"type": known.DEFAULT_REWARD, "attributes": {}}
    return {**reward, "attributes": reward.get("attributes") or {}}


def _cars(site: SiteSchema, given: object, cars: Sequence[str], warnings: Warnings) -> dict[str, Any]:
    definitions = {**site.electric_vehicles_def, **_mapping(given)}
    result = {}
    for key, definition in definitions.items():
        name = dataset_name(key)
        if name != key:
            warnings.append(f"Car {key!r} is called {name!r}: CityLearn would read its name as a number")
        if _flag(_mapping(definition).get("include", True)) or name in cars:
            result[name] = car_definition(key, definition, warnings)
    for name in sorted(set(cars) - set(result)):
        result[name] = car_definition(name, None, warnings)
        warnings.append(f"Car {name!r} has no definition in the site's schema: it got a battery of default figures")
    return result


def _building(
    parts: BuildingParts,
    definition: Mapping[str, Any],
    shared: SharedFiles,
    grid: Grid,
    storage_active: bool,
    warnings: Warnings,
) -> dict[str, Any]:
    devices = BuildingDevices(parts.name, definition, warnings)
    where = f"Building {parts.name!r}"
    inactive = [action for action in devices.kept.pop("inactive_actions", []) if isinstance(action, str)]
    if storage_active and devices.battery is None and known.STORAGE_ACTION not in inactive:
        inactive.append(known.STORAGE_ACTION)
        warnings.append(f"{where} has no battery: the action {known.STORAGE_ACTION} is inactive there")
    entry: dict[str, Any] = {
        "include": True,
        "energy_simulation": parts.energy_file,
        "weather": shared.weather,
        "pricing": shared.pricing,
        "inactive_observations": devices.kept.pop("inactive_observations", []),
        "inactive_actions": inactive,
        **devices.kept,
    }
    if shared.carbon is not None:
        entry[CARBON.name] = shared.carbon
    if devices.battery is not None:
        entry["electrical_storage"] = {"type": BATTERY_TYPE, "autosize": False, "attributes": devices.battery}
    pv = _panels(parts, devices.pv, grid, where, warnings)
    if pv is not None:
        entry["pv"] = {"type": PV_TYPE, "autosize": False, "attributes": pv}
    for name, (kind, demand) in DEMAND_DEVICES.items():
        needed_kw = parts.most_demand_kwh.get(demand, 0.0) / _hours(grid)
        if needed_kw > 0 and not _serves(entry.get(name), needed_kw):
            entry[name] = {"type": kind, "autosize": True, "attributes": {}}
            warnings.append(f"{where} has a {demand} and no {name} for {needed_kw:.3g} kW: it got one large enough")
    if parts.charger_files:
        entry["chargers"] = {
            charger: _charger(charger, file, devices, where, warnings) for charger, file in parts.charger_files.items()
        }
    return entry


def _hours(grid: Grid) -> float:
    return grid.period_ms / HOUR_MS


def _serves(device: Mapping[str, Any] | None, needed_kw: float) -> bool:
    """Whether a device serves a demand; CityLearn stops at one that it can't."""
    if device is None:
        return False
    power = number(_mapping(device.get("attributes")).get("nominal_power"))
    return device.get("autosize") is True or power * _LEAST_EFFICIENCY >= needed_kw


def _panels(
    parts: BuildingParts, pv: dict[str, Any] | None, grid: Grid, where: str, warnings: Warnings
) -> dict[str, Any] | None:
    """The column is kWh of the whole array, whatever its size: `absolute`."""
    if pv is None and parts.most_solar_kwh <= 0:
        return None
    power = number((pv or {}).get("nominal_power"))
    if not power > 0:
        power = round(parts.most_solar_kwh / _hours(grid), 3)
        warnings.append(f"{where}: the size of its PV is not known; {power} kW is the most that it gave")
    return {"nominal_power": power, "generation_mode": "absolute"}


def _charger(charger: str, file: str, devices: BuildingDevices, where: str, warnings: Warnings) -> dict[str, Any]:
    attributes = devices.chargers.get(charger)
    if attributes is None:
        attributes = charger_attributes(None, f"{where}, charger {charger!r}", warnings)
        warnings.append(f"{where}: charger {charger!r} is not in the site's schema: it got default figures")
    return {"type": CHARGER_TYPE, "charger_simulation": file, "autosize": False, "attributes": attributes}
