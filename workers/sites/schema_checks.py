"""What a dataset build will miss in the schema of a site, said when the schema is stored."""

from collections.abc import Iterator
from typing import Any, Final

from workers.sites.database import BUILDING_PREFIX, zone_of

#: Keys of a building that CityLearn reads; a device under any other key is not seen.
_DEVICES: Final = ("pv", "electrical_storage", "chargers", "dhw_storage", "cooling_storage", "heating_storage")
#: Attributes without which a device does nothing, by the end of its type's name.
_NEEDED: Final = {"Battery": ("capacity", "nominal_power"), "PV": ("nominal_power",)}


def warnings(schema: dict[str, Any], collections: list[str]) -> list[str]:
    """What a dataset build will miss in a schema, a sentence each; none of it keeps the schema from being stored.

    `collections` are those of the site's buildings (`building_<id>`).
    """
    return list(_found(schema, collections))


def _found(schema: dict[str, Any], collections: list[str]) -> Iterator[str]:
    for key in ("time_zone", "source_time_zone"):
        if key in schema and zone_of(schema[key]) is None:
            yield f"{key} {schema[key]!r} is no time zone; write it like Europe/Lisbon"
    if "time_zone" not in schema:
        yield "time_zone is missing: datasets will use Europe/Lisbon"
    yield from _vehicles(schema.get("electric_vehicles_def"))
    buildings = schema.get("buildings")
    if not isinstance(buildings, dict) or not buildings:
        yield "buildings is missing or empty: datasets will use every collection named building_<id>, without devices"
        return
    if not any(isinstance(each, dict) and each.get("include", True) for each in buildings.values()):
        yield "No building has include: datasets will have none unless selected_buildings names some"
    for name, building in buildings.items():
        yield from _building(name, building, collections)


def _building(name: str, building: Any, collections: list[str]) -> Iterator[str]:
    where = f"buildings.{name}"
    if not isinstance(building, dict):
        yield f"{where} is not an object: the building will have no devices"
        return
    collection = name if name.startswith(BUILDING_PREFIX) else f"{BUILDING_PREFIX}{name.replace(' ', '_')}"
    if building.get("include", True) and collection not in collections:
        yield f"{where} has no data: the site has no collection {collection}"
    for key, device in building.items():
        if not isinstance(device, dict) or "type" not in device:
            continue
        kind = str(device["type"])
        if key not in _DEVICES and "Charger" in kind:
            yield f"{where}.{key} is a charger outside of {where}.chargers, where CityLearn does not see it"
        elif key not in _DEVICES and kind.endswith((".PV", ".Battery", "StorageTank")):
            yield f"{where}.{key} is a device under a key that CityLearn does not read (it reads {', '.join(_DEVICES)})"
        yield from _device(f"{where}.{key}", device)
    chargers = building.get("chargers")
    if chargers is not None and not isinstance(chargers, dict):
        yield f"{where}.chargers is not an object of chargers by id"
    for key, charger in (chargers if isinstance(chargers, dict) else {}).items():
        yield from _device(f"{where}.chargers.{key}", charger)


def _device(where: str, device: Any) -> Iterator[str]:
    attributes = device.get("attributes") if isinstance(device, dict) else None
    if not isinstance(attributes, dict):
        yield f"{where} has no attributes: CityLearn's own defaults will be used"
        return
    for key in _NEEDED.get(str(device.get("type", "")).rpartition(".")[2], ()):
        if not _is_number(attributes.get(key)):
            yield f"{where}.attributes.{key} is missing or no number"
    for key, value in attributes.items():
        if key.endswith("_curve") and isinstance(value, list) and not all(isinstance(row, list) for row in value):
            yield f"{where}.attributes.{key} has one dimension: CityLearn needs two, [[…], […]]"


def _vehicles(definitions: Any) -> Iterator[str]:
    if definitions is None:
        return
    if not isinstance(definitions, dict):
        yield "electric_vehicles_def is not an object of vehicles by id"
        return
    for name, vehicle in definitions.items():
        battery = vehicle.get("battery") if isinstance(vehicle, dict) else None
        attributes = battery.get("attributes") if isinstance(battery, dict) else None
        for key in ("capacity", "nominal_power"):
            if not isinstance(attributes, dict) or not _is_number(attributes.get(key)):
                yield f"electric_vehicles_def.{name}.battery.attributes.{key} is missing: a default will be used"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
