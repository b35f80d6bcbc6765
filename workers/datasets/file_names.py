"""What a dataset's files are called: the fixed ones, and those of its buildings and chargers."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from workers.common.errors import ErrorCode, InvalidInput

SCHEMA_FILE: Final = "schema.json"
MANIFEST_FILE: Final = "manifest.json"
PRICING_FILE: Final = "pricing.csv"
WEATHER_FILE: Final = "weather.csv"
CARBON_FILE: Final = "carbon_intensity.csv"
_FIXED_FILES: Final = (SCHEMA_FILE, MANIFEST_FILE, PRICING_FILE, WEATHER_FILE, CARBON_FILE)
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._\-]+")


def name_files(
    buildings: Mapping[str, str], chargers: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The energy file of each building, and the file of each charger by building and charger id.

    `buildings` holds each building's collection, `chargers` its chargers' ids. A charger's file bears the charger's id,
    with the building's name before it where chargers of two buildings would share one.

    Raises:
        InvalidInput: two files would have one name.
    """
    energy = {building: f"{slug(collection)}.csv" for building, collection in buildings.items()}
    shared = Counter(slug(charger) for ids in chargers.values() for charger in set(ids))
    files: dict[str, dict[str, str]] = {}
    for building, ids in chargers.items():
        files[building] = {}
        for charger in ids:
            name = slug(charger)
            of_one = name and (shared[name] == 1 or len({b for b in chargers if charger in chargers[b]}) == 1)
            files[building][charger] = f"{name}.csv" if of_one else f"{slug(building)}_{name}.csv"
    owners: dict[str, str] = dict.fromkeys(_FIXED_FILES, "the dataset's own file")
    named = [(file, f"building {b!r}") for b, file in energy.items()]
    named += [(file, f"charger {c!r} of building {b!r}") for b, of in files.items() for c, file in of.items()]
    for file, owner in named:
        if file in owners:
            raise InvalidInput(
                f"{owners[file]} and {owner} would both be the file {file}", ErrorCode.FILE_NAME_COLLISION
            )
        owners[file] = owner
    return energy, files


def slug(name: str) -> str:
    """`name` as a part of a file name that is safe on any system; "" where nothing of it is."""
    return _NOT_IN_FILE_NAMES.sub("_", name).strip("._ ")[:100]
