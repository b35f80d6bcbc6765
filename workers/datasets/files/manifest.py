"""`manifest.json`: where a dataset comes from, what was measured and what was filled, and its files' checksums."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypedDict

from workers.datasets.asked.request import DatasetRequest
from workers.datasets.measures.grid import Grid
from workers.datasets.steps.gaps import Filled, Rule
from workers.sites.instants import iso_of_milliseconds

FORMAT: Final = 1
_PACKAGE: Final = "opeva-backend"


class FileSize(TypedDict):
    """A file of a dataset, and its size."""

    name: str
    bytes: int


class FileEntry(FileSize):
    """A file of a dataset that was built here. Made by `file_entries`."""

    sha256: str


class FilledBins(TypedDict):
    """How many bins of a column were filled by which rule."""

    short_gap: int
    long_gap: int
    default: int


class ColumnEntry(TypedDict):
    """How a column came about. Made by `ColumnReport.entry`."""

    readings: int
    unusable_values: int
    scaled_bins: int
    filled_bins: FilledBins
    longest_gap_minutes: int


class Source(TypedDict):
    """Where a column comes from: `building '…'`, `dataset '…'`, `the request` or `default`."""

    source: str


class SharedColumnEntry(Source, ColumnEntry):
    """A column that all buildings share, how it came about and where it comes from."""


class LimitedSteps(TypedDict):
    """How many steps of a building were changed, since CityLearn would stop at them. Made by `Limited.entry`."""

    steps_with_load_below_zero: int
    steps_with_demand_below_zero: int
    steps_with_cooling_and_heating: int


class BuildingEntry(LimitedSteps):
    """What was found of a building. Made by `complete_building`."""

    name: str
    collection: str
    documents: int
    #: ISO 8601 in UTC; None without documents.
    oldest_document: str | None
    newest_document: str | None
    documents_without_timestamp: int
    generated_documents_left_out: int
    duplicate_documents: int
    sessions: int
    columns: dict[str, ColumnEntry]


class Window(TypedDict):
    """A dataset's time: half-open, ISO 8601 in UTC."""

    from_ts: str
    until_ts: str


class Manifest(Window):
    """A manifest as a build writes it. Made by `complete_dataset`.

    The manifests of datasets that are kept may be of another version or of anybody's making: they are read as JSON.
    """

    format: int
    name: str
    description: str
    site_id: str
    producer: str
    request: dict[str, Any]
    #: Minutes.
    period: int
    time_zone: str
    source_time_zone: str
    rows: int
    cars: int
    chargers: int
    buildings: list[BuildingEntry]
    shared_columns: dict[str, SharedColumnEntry | Source]
    files: list[FileEntry]
    warnings: list[str]


@dataclass(frozen=True)
class ColumnReport:
    """How a column came about. `scaled` bins had readings, but fewer than their cadence promises."""

    readings: int
    unusable: int
    scaled: int
    filled: Filled

    def entry(self, grid: Grid) -> ColumnEntry:
        return {
            "readings": self.readings,
            "unusable_values": self.unusable,
            "scaled_bins": self.scaled,
            "filled_bins": {
                "short_gap": self.filled.count(Rule.SHORT),
                "long_gap": self.filled.count(Rule.LONG),
                "default": self.filled.count(Rule.DEFAULT),
            },
            "longest_gap_minutes": self.filled.longest_gap * grid.minutes,
        }

    def warnings(self, where: str, column: str, default: float) -> list[str]:
        """What a user should know of it, in sentences; `where` says whose column it is."""
        found = []
        if self.unusable:
            found.append(f"{where}: {self.unusable} values of {column} were no numbers")
        by_default = self.filled.count(Rule.DEFAULT)
        if by_default == len(self.filled.values):
            found.append(f"{where} has no {column}: it is {default:g} throughout")
        elif by_default:
            found.append(f"{where}: {by_default} bins of {column} had nothing near to be filled from: {default:g}")
        return found


def producer() -> str:
    """The version of this package."""
    try:
        return f"{_PACKAGE} {version(_PACKAGE)}"
    except PackageNotFoundError:
        # Run from a source tree that was never installed.
        return _PACKAGE


def window_of(grid: Grid) -> Window:
    """The dataset's time: half-open, in UTC."""
    return {"from_ts": iso_of_milliseconds(grid.start_ms), "until_ts": iso_of_milliseconds(grid.end_ms)}


def request_of(request: DatasetRequest) -> dict[str, Any]:
    """The request as it was understood."""
    return {
        "name": request.name,
        "site_id": request.site,
        "description": request.description,
        "period": request.period,
        "from_ts": None if request.from_ms is None else iso_of_milliseconds(request.from_ms),
        "until_ts": None if request.until_ms is None else iso_of_milliseconds(request.until_ms),
        "citylearn_configs": {
            **request.citylearn,
            "selected_buildings": None if request.selected_buildings is None else list(request.selected_buildings),
            "time_zone": request.time_zone,
            "drop_generated": request.drop_generated,
            "incoming_horizon_minutes": request.incoming_horizon_minutes,
            "weather": request.weather,
            "carbon_intensity": request.carbon_intensity,
            "defaults": request.defaults,
        },
    }


def file_entries(files: Mapping[str, bytes]) -> list[FileEntry]:
    """Each file's name, size and SHA-256, by name."""
    return [
        {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]


def unique(warnings: Sequence[str]) -> list[str]:
    """Warnings in their order, each once."""
    return list(dict.fromkeys(warnings))
