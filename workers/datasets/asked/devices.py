"""Devices of a site's schema as CityLearn accepts them: batteries, PV, chargers, cars. What is mended is said."""

import re
from collections.abc import Mapping
from typing import Any, Final

from workers.datasets.measures.numbers import number

Warnings = list[str]

BATTERY_TYPE: Final = "citylearn.energy_model.Battery"
PV_TYPE: Final = "citylearn.energy_model.PV"
CHARGER_TYPE: Final = "citylearn.electric_vehicle_charger.Charger"
#: A car of today, where nobody described it.
CAR_BATTERY: Final = {"capacity": 50.0, "nominal_power": 50.0, "initial_soc": 0.4, "depth_of_discharge": 0.9}
#: A single-phase wallbox that doesn't feed back, where nobody described it. Powers in kW.
CHARGER: Final = {
    "nominal_power": 7.4,
    "efficiency": 0.95,
    "charger_type": 0,
    "max_charging_power": 7.4,
    "min_charging_power": 0.0,
    "max_discharging_power": 0.0,
    "min_discharging_power": 0.0,
}
_BATTERY_FRACTIONS: Final = (
    "efficiency",
    "initial_soc",
    "depth_of_discharge",
    "loss_coefficient",
    "capacity_loss_coefficient",
)
_BATTERY_AMOUNTS: Final = ("capacity", "nominal_power")
_BATTERY_CURVES: Final = ("power_efficiency_curve", "capacity_power_curve")
_CHARGER_POWERS: Final = (
    "nominal_power",
    "max_charging_power",
    "min_charging_power",
    "max_discharging_power",
    "min_discharging_power",
)
_CHARGER_CURVES: Final = ("charge_efficiency_curve", "discharge_efficiency_curve")
#: A name for both of a charger's curves that schemas of 2025 use and CityLearn does not read.
_OLDER_CURVE: Final = "charger_efficiency_curve"
#: Devices whose size CityLearn finds from the building's own demand; batteries and PV it would look up on the net.
DEMAND_DEVICES: Final = {
    "cooling_device": ("citylearn.energy_model.HeatPump", "cooling_demand"),
    "heating_device": ("citylearn.energy_model.HeatPump", "heating_demand"),
    "dhw_device": ("citylearn.energy_model.ElectricHeater", "dhw_demand"),
}
_THERMAL_STORAGES: Final = ("cooling_storage", "heating_storage", "dhw_storage")
_STORAGE_TYPE: Final = "citylearn.energy_model.StorageTank"
_NUMBERED: Final = re.compile(r"(.+?)_\d+")
_BATTERY_KEYS: Final = ("electrical_storage", "battery")
_CHARGER_KEYS: Final = ("charger", "electric_vehicle_charger")
_KEPT: Final = (
    "inactive_observations",
    "inactive_actions",
    "charging_constraints",
    "electrical_service",
    "equity_group",
    "noise_std",
)
#: What a building may hold that is written by us, or that concerns nobody but the selection.
_OURS: Final = ("include", "energy_simulation", "weather", "carbon_intensity", "pricing")


class BuildingDevices:
    """A building's devices, sorted out of its part of a site's schema.

    `kept` holds what CityLearn reads as it is, `chargers` the attributes by charger id; `battery` and `pv` are None
    where the schema has none.
    """

    def __init__(self, building: str, definition: Mapping[str, Any], warnings: Warnings) -> None:
        self._where = f"Building {building!r}"
        self._warnings = warnings
        self.kept: dict[str, Any] = {}
        self.chargers: dict[str, dict[str, Any]] = {}
        batteries: list[dict[str, Any]] = []
        panels: list[dict[str, Any]] = []
        for key, value in definition.items():
            plain = _plain(key)
            if plain in _BATTERY_KEYS and isinstance(value, Mapping):
                batteries.append(battery_attributes(value, {}, f"{self._where}, {key}", warnings))
                self._say_moved(key, "electrical_storage")
            elif plain == "pv" and isinstance(value, Mapping):
                panels.append(self._panel(key, value))
                self._say_moved(key, "pv")
            elif key == "chargers" and isinstance(value, Mapping):
                for charger, entry in value.items():
                    self.chargers[str(charger)] = self._charger(str(charger), entry)
            elif plain in _CHARGER_KEYS and isinstance(value, Mapping):
                charger = str(value.get("charger_id") or key)
                self.chargers[charger] = self._charger(charger, value)
                warnings.append(f"{self._where}: {key} was moved to chargers, where CityLearn looks for it")
            else:
                self._other(key, value)
        self.battery = self._one(batteries, "batteries")
        self.pv = self._one(panels, "PV arrays")

    def _say_moved(self, key: str, name: str) -> None:
        if key != name:
            self._warnings.append(f"{self._where}: {key} was renamed to {name}, which CityLearn looks for")

    def _panel(self, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        power = number(_attributes(value).get("nominal_power"))
        if value.get("autosize") is True:
            self._warnings.append(f"{self._where}: {key} keeps its own size: CityLearn would look sizes up on the net")
        return {"nominal_power": power if power >= 0 else 0.0}

    def _charger(self, charger: str, value: object) -> dict[str, Any]:
        return charger_attributes(value, f"{self._where}, charger {charger!r}", self._warnings)

    def _other(self, key: str, value: Any) -> None:
        if key in _OURS or value is None:
            return
        if key in _KEPT:
            self.kept[key] = value
        elif key in DEMAND_DEVICES or key in _THERMAL_STORAGES:
            device = dict(value) if isinstance(value, Mapping) else {}
            device["type"] = DEMAND_DEVICES[key][0] if key in DEMAND_DEVICES else _STORAGE_TYPE
            self.kept[key] = device
        else:
            self._warnings.append(f"{self._where}: {key} was left out: CityLearn ignores it or needs files for it")

    def _one(self, devices: list[dict[str, Any]], what: str) -> dict[str, Any] | None:
        """Several of a kind as one of their joint size: CityLearn has one for each building."""
        if not devices:
            return None
        if len(devices) > 1:
            self._warnings.append(f"{self._where}: its {len(devices)} {what} became one of their joint size")
        joint = dict(devices[0])
        for name in _BATTERY_AMOUNTS:
            if name in joint:
                joint[name] = sum(device.get(name, 0.0) for device in devices)
        return joint


def battery_attributes(
    value: Mapping[str, Any], defaults: Mapping[str, float], where: str, warnings: Warnings
) -> dict[str, Any]:
    """A battery's attributes, in CityLearn's names and ranges; `defaults` for what is missing."""
    given = _attributes(value)
    result: dict[str, Any] = {}
    for name in _BATTERY_AMOUNTS:
        if number(given.get(name)) >= 0:
            result[name] = number(given[name])
    for name in _BATTERY_FRACTIONS:
        fraction = number(given.get(name))
        if 0 <= fraction <= 1 and not (name == "efficiency" and fraction == 0):
            result[name] = fraction
        elif given.get(name) is not None:
            warnings.append(f"{where}: {name} {given[name]!r} is no fraction from 0 to 1 and was left out")
    result.update(_curves(given, _BATTERY_CURVES, where, warnings))
    unknown = sorted(set(given) - {*_BATTERY_AMOUNTS, *_BATTERY_FRACTIONS, *_BATTERY_CURVES})
    if unknown:
        warnings.append(f"{where}: {', '.join(unknown)} left out: no attributes of a battery")
    if value.get("autosize") is True:
        warnings.append(f"{where}: it keeps its own size: CityLearn would look sizes up on the net")
    missing = {name: default for name, default in defaults.items() if name not in result}
    return {**result, **missing}


def charger_attributes(value: object, where: str, warnings: Warnings) -> dict[str, Any]:
    """A charger's attributes, complete and with curves that CityLearn can read."""
    given = dict(_attributes(value))
    older = given.pop(_OLDER_CURVE, None)
    if older is not None:
        for name in _CHARGER_CURVES:
            given.setdefault(name, older)
        warnings.append(f"{where}: {_OLDER_CURVE} was taken as the curve of charging and discharging")
    result = dict(CHARGER)
    powers = {name: number(given.get(name)) for name in _CHARGER_POWERS if number(given.get(name)) >= 0}
    if "nominal_power" in powers:
        powers.setdefault("max_charging_power", powers["nominal_power"])
    result.update(powers)
    efficiency = number(given.get("efficiency"))
    if 0 < efficiency <= 1:
        result["efficiency"] = efficiency
    elif given.get("efficiency") is not None:
        warnings.append(f"{where}: efficiency {given['efficiency']!r} is no fraction from 0 to 1 and was left out")
    for name in ("charger_type", "phase_connection"):
        if given.get(name) is not None:
            result[name] = given[name]
    result.update(_curves(given, _CHARGER_CURVES, where, warnings))
    return result


def car_definition(key: str, value: object, warnings: Warnings) -> dict[str, Any]:
    """A car's definition, without whose it is."""
    definition = value if isinstance(value, Mapping) else {}
    battery = definition.get("battery")
    where = f"Car {key!r}"
    attributes = battery_attributes(battery if isinstance(battery, Mapping) else {}, CAR_BATTERY, where, warnings)
    return {"include": True, "battery": {"type": BATTERY_TYPE, "autosize": False, "attributes": attributes}}


def _attributes(value: object) -> Mapping[str, Any]:
    attributes = value.get("attributes") if isinstance(value, Mapping) else None
    return attributes if isinstance(attributes, Mapping) else {}


def _plain(key: str) -> str:
    """`key` without a number at its end: `pv_1` is a `pv`."""
    match = _NUMBERED.fullmatch(key)
    return match[1] if match else key


def _curves(given: Mapping[str, Any], names: tuple[str, ...], where: str, warnings: Warnings) -> dict[str, Any]:
    result = {}
    for name in names:
        curve = given.get(name)
        if curve is None:
            continue
        pairs = _pairs(curve)
        if pairs is None:
            warnings.append(f"{where}: {name} {curve!r} is no list of pairs from 0 to 1 and was left out")
            continue
        if pairs != curve:
            warnings.append(f"{where}: {name} {curve!r} was read as {pairs!r}: CityLearn takes pairs")
        result[name] = pairs
    return result


def _pairs(curve: object) -> list[list[float]] | None:
    """A curve as [[x, y], …] with x rising and both from 0 to 1; a flat list is taken as x, y, x, y, …"""
    if not isinstance(curve, list) or not curve:
        return None
    if not any(isinstance(point, list) for point in curve):
        curve = [curve[i : i + 2] for i in range(0, len(curve), 2)]
    pairs: list[list[float]] = []
    for point in curve:
        if not isinstance(point, list) or len(point) != 2:
            return None
        x, y = number(point[0]), number(point[1])
        if not (0 <= x <= 1 and 0 < y <= 1) or (pairs and x <= pairs[-1][0]):
            return None
        pairs.append([x, y])
    return pairs
