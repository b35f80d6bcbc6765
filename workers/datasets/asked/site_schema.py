"""A site's schema: which buildings and cars there are, and by which clocks. And which buildings a dataset takes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from workers.common.errors import ErrorCode, NotFound
from workers.datasets.asked.request import DatasetRequest, zone_name
from workers.sites.database import BUILDING_PREFIX, SCHEMA

DEFAULT_ZONE: Final = "Europe/Lisbon"


@dataclass(frozen=True)
class SiteSchema:
    """What a site's `schema` document says; empty where it has none.

    `time_zone` is the site's clock, `source_time_zone` the one that its producers stamp documents with (None: UTC).
    `content` is the whole schema, `buildings` and `electric_vehicles_def` parts of it.
    """

    time_zone: str = DEFAULT_ZONE
    source_time_zone: str | None = None
    buildings: Mapping[str, Any] = field(default_factory=dict)
    electric_vehicles_def: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, content: object) -> Self:
        """From the schema object.

        Raises:
            InvalidInput: it names a time zone that doesn't exist.
        """
        if not isinstance(content, Mapping):
            return cls()
        zone, source = content.get("time_zone"), content.get("source_time_zone")
        return cls(
            time_zone=DEFAULT_ZONE if zone is None else zone_name(zone, "The site schema's time_zone"),
            source_time_zone=None if source is None else zone_name(source, "The site schema's source_time_zone"),
            buildings=_mapping(content.get("buildings")),
            electric_vehicles_def=_mapping(content.get("electric_vehicles_def")),
            content=content,
        )

    @property
    def source_zone(self) -> ZoneInfo | None:
        return None if self.source_time_zone is None else ZoneInfo(self.source_time_zone)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def collection_of(building: str) -> str:
    """The collection that holds a building's documents."""
    return BUILDING_PREFIX + building.replace(" ", "_")


@dataclass(frozen=True)
class Selection:
    """The chosen buildings by name, with their collections, sorted by name. `by_name`: the request asked for them."""

    buildings: dict[str, str]
    by_name: bool
    warnings: list[str]


def select_buildings(request: DatasetRequest, schema: SiteSchema, collections: Collection[str]) -> Selection:
    """The request's buildings, else those that the site's schema includes, else all that there are.

    Raises:
        NotFound: a building selected by name, or all of them, has no collection.
    """
    warnings = _ignored(request.site, collections)
    if request.selected_buildings is not None:
        chosen = {_known_name(name, schema, collections): name for name in request.selected_buildings}
        missing = [name for building, name in chosen.items() if collection_of(building) not in collections]
        if missing:
            raise NotFound(f"The site {request.site!r} has no building {missing[0]!r}", ErrorCode.BUILDING_NOT_FOUND)
        names = list(chosen)
    elif schema.buildings:
        included = [name for name, b in schema.buildings.items() if isinstance(b, Mapping) and b.get("include", True)]
        names = [name for name in included if collection_of(name) in collections]
        warnings += [
            f"Building {name!r} of the site's schema has no documents: it is left out"
            for name in included
            if collection_of(name) not in collections
        ]
    else:
        names = [c.removeprefix(BUILDING_PREFIX) for c in collections if c.startswith(BUILDING_PREFIX)]
    if not names:
        raise NotFound(f"The site {request.site!r} has no building to make a dataset of", ErrorCode.BUILDING_NOT_FOUND)
    buildings = {name: collection_of(name) for name in sorted(names)}
    return Selection(buildings, request.selected_buildings is not None, warnings)


def _known_name(name: str, schema: SiteSchema, collections: Collection[str]) -> str:
    """A building's name; the name of its collection means it too."""
    bare = name.removeprefix(BUILDING_PREFIX)
    if name in schema.buildings or collection_of(name) in collections:
        return name
    return bare


def _ignored(site: str, collections: Collection[str]) -> list[str]:
    others = sorted(c for c in collections if not c.startswith(BUILDING_PREFIX) and c != SCHEMA)
    if not others:
        return []
    return [f"Collections of the site {site!r} that are no buildings were ignored: {', '.join(others)}"]
