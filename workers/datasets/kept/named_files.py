"""Where CityLearn's schema names files, and the files of a dataset that are meant."""

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workers.datasets.file_names import SCHEMA_FILE
from workers.datasets.kept.store import dataset_files
from workers.datasets.kept.tables import BUILDING, CARBON_INTENSITY, CHARGER, PRICING, WEATHER, Kind

_FILES_OF_BUILDING: Final = (
    ("energy_simulation", BUILDING, True),
    ("weather", WEATHER, True),
    ("carbon_intensity", CARBON_INTENSITY, False),
    ("pricing", PRICING, False),
)
_OCCUPANT_KEYS: Final = (
    "parameters_filename",
    "setpoint_increase_model_filename",
    "setpoint_decrease_model_filename",
)
_DRIVE: Final = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Place:
    """A place of the schema that names a file: the object and its key, and what kind of table the file is."""

    where: str
    holder: dict[str, Any]
    key: str
    kind: Kind | None
    needed: bool


def places_of(schema: dict[str, Any]) -> Iterator[Place]:
    """Every place of a schema where CityLearn reads a file's name."""
    for name, building in schema["buildings"].items():
        where = f"buildings.{name}"
        for key, kind, needed in _FILES_OF_BUILDING:
            yield Place(f"{where}.{key}", building, key, kind, needed)
        for charger, of in objects(building.get("chargers")):
            inner = f"{where}.chargers.{charger}.charger_simulation"
            yield Place(inner, of, "charger_simulation", CHARGER, True)
        for appliance, of in objects(building.get("deferrable_appliances")):
            for key in ("cycle_profiles_file", "flexibility_schedule_file"):
                yield Place(f"{where}.deferrable_appliances.{appliance}.{key}", of, key, None, True)
        for escalator, of in objects(building.get("escalators")):
            key = "simulation" if of.get("simulation") else "simulation_file"
            yield Place(f"{where}.escalators.{escalator}.{key}", of, key, None, True)
        for owner, keys in (("dynamics", ("filename",)), ("occupant", _OCCUPANT_KEYS)):
            for part in _parts(building.get(owner)):
                yield from (Place(f"{where}.{owner}.{key}", part, key, None, False) for key in keys)


def objects(value: object) -> list[tuple[str, dict[str, Any]]]:
    """The objects in an object, by their keys."""
    return [(name, of) for name, of in value.items() if isinstance(of, dict)] if isinstance(value, dict) else []


def _parts(value: object) -> list[dict[str, Any]]:
    """A device and its attributes: files may be named in either."""
    if not isinstance(value, dict):
        return []
    attributes = value.get("attributes")
    return [value, attributes] if isinstance(attributes, dict) else [value]


class Names:
    """The files that a dataset holds, found by what a schema calls them."""

    def __init__(self, folder: Path, root: object) -> None:
        self._files = {name for name, _ in dataset_files(folder)}
        self._alike: dict[str, list[str]] = {}
        for name in sorted(self._files):
            self._alike.setdefault(_folded(name), []).append(name)
        self._root = root.replace("\\", "/") if isinstance(root, str) and not _absolute(root) else ""

    def settle(self, places: Iterable[Place], warnings: list[str]) -> Iterator[str]:
        """Make every place name its file as it lies in the dataset; gives a fault for each that has none."""
        for place in places:
            stated = place.holder.get(place.key)
            if stated is None and not place.needed:
                continue
            if not isinstance(stated, str) or not stated:
                yield f"{SCHEMA_FILE}: {place.where} names no file" + (
                    "" if stated is None else f" but {short(stated)}"
                )
            elif (found := self._find(stated)) is None:
                yield f"{SCHEMA_FILE}: {place.where} names the file {stated!r}, which the archive doesn't hold"
            elif found != stated:
                place.holder[place.key] = found
                warnings.append(f"{SCHEMA_FILE}: {place.where} was {stated!r}; the file is {found!r}")

    def _find(self, stated: str) -> str | None:
        plain = stated.replace("\\", "/")
        tries = [posixpath.basename(plain)] if _absolute(plain) else [posixpath.join(self._root, plain), plain]
        for name in map(posixpath.normpath, tries):
            if name in self._files:
                return name
        for name in map(posixpath.normpath, tries):
            alike = self._alike.get(_folded(name), [])
            if len(alike) == 1:
                return alike[0]
        return None


def short(value: object) -> str:
    """A value as sentences show it."""
    return repr(value)[:60]


def _absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or _DRIVE.match(path) is not None


def _folded(name: str) -> str:
    """A name without what systems differ in: case, and how accents are written (macOS takes them apart)."""
    return unicodedata.normalize("NFC", name).casefold()
