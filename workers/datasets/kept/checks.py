"""An uploaded dataset, checked as a job would meet it: mended and said where it can be, else refused."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from workers.common.errors import ErrorCode, InvalidInput
from workers.common.files import storage_error
from workers.datasets.file_names import MANIFEST_FILE, SCHEMA_FILE
from workers.datasets.files.manifest import file_entries
from workers.datasets.files.schema_names import NET_CONSUMPTION, OBSERVATIONS, STORAGE_ACTION
from workers.datasets.files.writers import json_bytes
from workers.datasets.kept.named_files import Names, Place, objects, places_of, short
from workers.datasets.kept.tables import BUILDING, Found, Kind, look
from workers.datasets.measures.columns import WEATHER_AHEAD_HOURS

#: What CityLearn can't do without in a schema: the key, its types, and what they are called.
_NEEDED: Final[tuple[tuple[str, tuple[type, ...], str], ...]] = (
    ("central_agent", (bool,), "true or false"),
    ("observations", (dict,), "an object"),
    ("actions", (dict,), "an object"),
    ("reward_function", (dict,), "an object"),
    ("simulation_start_time_step", (int,), "a whole number"),
    ("simulation_end_time_step", (int,), "a whole number"),
    ("seconds_per_time_step", (int, float), "a number"),
)
#: What a building may have that CityLearn makes by its type.
_TYPED: Final = (
    "dynamics",
    "occupant",
    *(f"{use}_{device}" for use in ("cooling", "heating", "dhw") for device in ("device", "storage")),
    "electrical_storage",
    "pv",
)
#: Observations that CityLearn takes beside those that a build may ask for; names of devices' own follow a pattern.
_MORE_OBSERVATIONS: Final = frozenset({"seconds", "hvac_mode", "net_electricity_consumption_without_storage"})
_DEVICE_OBSERVATION: Final = re.compile(r".*electric_vehicle_.*|deferrable_appliance.*|escalator_.*|.*_without_control")
_OLD_AHEAD: Final = re.compile(r"(.+)_predicted_(\d+)h")
_AHEAD: Final = {str(hours): n for n, hours in enumerate(WEATHER_AHEAD_HOURS, 1)}
_OLD_OBSERVATIONS: Final = {
    "cooling_device_cop": "cooling_device_efficiency",
    "heating_device_cop": "heating_device_efficiency",
    "indoor_dry_bulb_temperature_set_point": "indoor_dry_bulb_temperature_cooling_set_point",
    "indoor_dry_bulb_temperature_delta": "indoor_dry_bulb_temperature_cooling_delta",
}
_SAID_AT_ONCE: Final = 5


def check(folder: Path) -> list[str]:
    """Check the dataset in `folder`, mend its schema where that can be done, and say what was mended or is odd.

    Raises:
        InvalidInput: no job could load it; the sentence has the file, the column and what to change.
        Unavailable, StorageFull: the storage failed.
    """
    try:
        return _check(folder)
    except OSError as error:
        raise storage_error(error, folder) from error


def _check(folder: Path) -> list[str]:
    # Warnings that change the schema, and those of what is only odd.
    schema, warnings = _schema(folder)
    places = list(places_of(schema))
    faults = [*_frame(schema), *Names(folder, schema.get("root_directory")).settle(places, warnings)]
    if said := _in_words(faults):
        raise InvalidInput(said, ErrorCode.NOT_A_DATASET)
    if schema.get("root_directory", "") is not None:
        warnings.append(
            f"{SCHEMA_FILE}: root_directory {schema.get('root_directory')!r} was made null: the files lie beside it"
        )
        schema["root_directory"] = None
    _observe(schema, warnings)
    _storages(schema, warnings)
    oddities: list[str] = []
    tables = _tables(folder, places, oddities)
    # Rows are counted only where tables can be read.
    faulty = _by_file({file: found.faults for file, (_, found) in tables.items()})
    if said := _in_words(faulty) or _in_words(_lengths(schema, tables, warnings, oddities)):
        raise InvalidInput(said, ErrorCode.BAD_DATASET_FILE)
    _cars(schema, tables, oddities)
    manifest = _manifest(folder)
    if warnings:
        content = _bytes(schema)
        (folder / SCHEMA_FILE).write_bytes(content)
        _describe(folder, manifest, content)
    return [*warnings, *oddities]


def _in_words(faults: Iterable[str]) -> str:
    """Faults as one sentence, the first few in words; "" where there are none."""
    said = list(dict.fromkeys(faults))
    more = f"; and {len(said) - _SAID_AT_ONCE} more" if len(said) > _SAID_AT_ONCE else ""
    return "; ".join(said[:_SAID_AT_ONCE]) + more


def _schema(folder: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        raw = (folder / SCHEMA_FILE).read_bytes()
        schema = json.loads(raw)
        # Halves of characters, which JSON can say and no file can hold.
        _bytes(schema)
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidInput(
            f"The archive holds no {SCHEMA_FILE}, neither at its top nor in the one folder there: it is no dataset",
            ErrorCode.NOT_A_DATASET,
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{SCHEMA_FILE} is no JSON: {error}", ErrorCode.NOT_A_DATASET) from error
    buildings = schema.get("buildings") if isinstance(schema, dict) else None
    if not isinstance(buildings, dict) or not buildings:
        raise InvalidInput(f"{SCHEMA_FILE} has no buildings", ErrorCode.NOT_A_DATASET)
    wrong = [name for name, building in buildings.items() if not isinstance(building, dict)]
    if wrong:
        raise InvalidInput(f"Building {wrong[0]!r} of {SCHEMA_FILE} is no object", ErrorCode.NOT_A_DATASET)
    try:
        marked = raw.startswith(b"\xef\xbb\xbf")
        raw.decode()
    except UnicodeDecodeError:
        marked = True
    return schema, [f"{SCHEMA_FILE} was written anew as UTF-8 without a mark, as CityLearn reads it"] if marked else []


def _frame(schema: dict[str, Any]) -> Iterator[str]:
    for key, kinds, what in _NEEDED:
        value = schema.get(key)
        # In Python, true is a whole number.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield f"{SCHEMA_FILE} needs {what} as {key!r}" + (f", not {short(value)}" if key in schema else "")
    reward = schema.get("reward_function")
    if isinstance(reward, dict) and "type" not in reward:
        yield f"{SCHEMA_FILE}: reward_function has no type"
    for name, building in schema["buildings"].items():
        made = [(key, building.get(key)) for key in _TYPED if building.get(key) is not None]
        made += [(f"chargers.{charger}", of) for charger, of in objects(building.get("chargers"))]
        yield from (
            f"{SCHEMA_FILE}: buildings.{name}.{key} has no 'type'"
            for key, of in made
            if not isinstance(of, dict) or not isinstance(of.get("type"), str)
        )
    for key in ("observations", "actions"):
        switches = schema.get(key)
        if isinstance(switches, dict):
            yield from (
                f"{SCHEMA_FILE}: {key}.{name} is no object" for name, of in switches.items() if not isinstance(of, dict)
            )


def _observe(schema: dict[str, Any], warnings: list[str]) -> None:
    """Call observations by their names of today, leave out what CityLearn stops at, and list what it needs."""
    observations, renamed = schema["observations"], {}
    for name in list(observations):
        ahead = _OLD_AHEAD.fullmatch(name)
        new = (
            f"{ahead[1]}_predicted_{_AHEAD[ahead[2]]}" if ahead and ahead[2] in _AHEAD else _OLD_OBSERVATIONS.get(name)
        )
        if new in OBSERVATIONS:
            renamed[name] = new
    unknown = [name for name in observations if name not in renamed and not _is_known(name)]
    schema["observations"] = {renamed.get(name, name): of for name, of in observations.items() if name not in unknown}
    for building in schema["buildings"].values():
        if isinstance(inactive := building.get("inactive_observations"), list):
            building["inactive_observations"] = [
                renamed.get(name, name) if isinstance(name, str) else name for name in inactive
            ]
    if renamed:
        said = ", ".join(f"{old} is {new}" for old, new in renamed.items())
        warnings.append(f"{SCHEMA_FILE}: observations of CityLearn 2.0 were renamed: {said}")
    if unknown:
        said = ", ".join(map(repr, unknown))
        warnings.append(f"{SCHEMA_FILE}: the observations {said} were left out: CityLearn does not know them and stops")
    if NET_CONSUMPTION not in schema["observations"]:
        schema["observations"][NET_CONSUMPTION] = {"active": False}
        warnings.append(f"{SCHEMA_FILE}: {NET_CONSUMPTION} was added to the observations: CityLearn needs it listed")


def _is_known(name: str) -> bool:
    return name in OBSERVATIONS or name in _MORE_OBSERVATIONS or _DEVICE_OBSERVATION.fullmatch(name) is not None


def _storages(schema: dict[str, Any], warnings: list[str]) -> None:
    """Take the action of a battery from buildings that have none: CityLearn would stop at it."""
    if not (action := schema["actions"].get(STORAGE_ACTION)) or action.get("active") is not True:
        return
    for name, building in schema["buildings"].items():
        inactive = building.get("inactive_actions")
        if building.get("electrical_storage") is None and STORAGE_ACTION not in (inactive or ()):
            building["inactive_actions"] = [*(inactive if isinstance(inactive, list) else ()), STORAGE_ACTION]
            warnings.append(f"{SCHEMA_FILE}: building {name!r} has no battery: its action {STORAGE_ACTION} is inactive")


def _tables(folder: Path, places: Iterable[Place], oddities: list[str]) -> dict[str, tuple[Kind, Found]]:
    """What was found in each table that the schema names, by file; a file is read once."""
    tables: dict[str, tuple[Kind, Found]] = {}
    for place in places:
        file = place.holder.get(place.key)
        if place.kind is None or not isinstance(file, str):
            continue
        if file in tables:
            other = tables[file][0]
            if other != place.kind:
                said = f"{SCHEMA_FILE}: {place.where} is {file}, which is {other.name} elsewhere"
                raise InvalidInput(said, ErrorCode.NOT_A_DATASET)
        elif file.lower().endswith((".parquet", ".pq", ".parq")):
            said = f"{SCHEMA_FILE}: {place.where} is {file}: the simulator's image reads no Parquet: store it as CSV"
            raise InvalidInput(said, ErrorCode.BAD_DATASET_FILE)
        else:
            tables[file] = (place.kind, look(folder / file, place.kind))
    found = {file: of.warnings for file, (_, of) in tables.items()}
    oddities += _by_file(found)
    return tables


def _by_file(found: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """What was found in files, a clause each; files that share one share a sentence."""
    files: dict[str, list[str]] = {}
    for file, clauses in found.items():
        for clause in clauses:
            files.setdefault(clause, []).append(file)
    for clause, of in files.items():
        alike = f" (like {', '.join(of[1:4])}{f' and {len(of) - 4} more' if len(of) > 4 else ''})" if of[1:] else ""
        yield f"{of[0]}{alike} {clause}"


def _lengths(
    schema: dict[str, Any], tables: dict[str, tuple[Kind, Found]], warnings: list[str], oddities: list[str]
) -> Iterator[str]:
    """What the rows of tables and the schema's steps say of each other; mends an end past the data."""
    rows = max(found.rows for kind, found in tables.values() if kind is BUILDING)
    longest = next(file for file, (kind, found) in tables.items() if kind is BUILDING and found.rows == rows)
    if schema["simulation_end_time_step"] >= rows:
        end = schema["simulation_end_time_step"]
        schema["simulation_end_time_step"] = rows - 1
        warnings.append(f"{SCHEMA_FILE}: simulation_end_time_step {end} was made {rows - 1}, the last row of {longest}")
    start, end = schema["simulation_start_time_step"], schema["simulation_end_time_step"]
    if not 0 <= start < end:
        yield (
            f"{SCHEMA_FILE}: CityLearn needs two steps at least, and simulation_start_time_step is {start},"
            f" simulation_end_time_step {end}; {longest} has {rows} rows"
        )
        return
    yield from (
        f"{file} has {found.rows} rows, and {end + 1} are needed: make it as long as {longest} ({rows} rows)"
        for file, (_, found) in tables.items()
        if found.rows <= end
    )
    if others := [f"{file} ({found.rows})" for file, (_, found) in tables.items() if found.rows != rows]:
        oddities.append(f"{', '.join(others[:10])}: not as long as {longest} ({rows}); only rows up to {end + 1} count")
    if schema.get("episode_time_steps") == 1:
        schema["episode_time_steps"] = None
        warnings.append(f"{SCHEMA_FILE}: episode_time_steps 1 was made null: CityLearn needs two steps")
    if not 0 < schema["seconds_per_time_step"] < math.inf:
        yield f"{SCHEMA_FILE}: seconds_per_time_step must be above 0"


def _cars(schema: dict[str, Any], tables: dict[str, tuple[Kind, Found]], oddities: list[str]) -> None:
    defined = schema.get("electric_vehicles_def")
    for file, (_, found) in tables.items():
        unknown = sorted(found.cars - set(defined if isinstance(defined, dict) else ()))
        if unknown:
            said = ", ".join(map(repr, unknown[:10]))
            oddities.append(f"{file}: {said}: not in electric_vehicles_def, so that CityLearn never connects such cars")


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The dataset's manifest, where it has one: of anybody's making, but with what is read of manifests."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
        json_bytes(manifest)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, IsADirectoryError):
        manifest = None
    files = manifest.get("files", []) if isinstance(manifest, dict) else None
    named = isinstance(files, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in files)
    if not isinstance(manifest, dict) or not named:
        said = f"{MANIFEST_FILE} is no manifest, which is a JSON object with a list of 'files': leave it out"
        raise InvalidInput(said, ErrorCode.NOT_A_DATASET)
    return manifest


def _describe(folder: Path, manifest: dict[str, Any] | None, schema: bytes) -> None:
    """Let a manifest speak of the mended schema: its size and SHA-256."""
    if manifest is None or not manifest.get("files"):
        return
    (entry,) = file_entries({SCHEMA_FILE: schema})
    manifest["files"] = [entry if of["name"] == SCHEMA_FILE else of for of in manifest["files"]]
    (folder / MANIFEST_FILE).write_bytes(json_bytes(manifest))


def _bytes(value: dict[str, Any]) -> bytes:
    """A schema as a file: what Python reads beyond JSON (NaN) is kept, since CityLearn reads it too."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
