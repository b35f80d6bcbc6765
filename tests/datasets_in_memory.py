"""Datasets from documents in memory: the steps of a build, without database, Ray or files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.datasets.asked.request import parse_request
from workers.datasets.asked.site_schema import SiteSchema, select_buildings
from workers.datasets.builds.assembly import Dataset, complete_dataset
from workers.datasets.files.building import complete_building
from workers.datasets.measures.columns import PRICES_BEYOND_MS
from workers.datasets.measures.grid import time_windows
from workers.datasets.plan import make_plan
from workers.datasets.reading.documents import ReadOptions
from workers.datasets.reading.users import CarNames
from workers.datasets.steps.weather import SourceDataset
from workers.datasets.steps.windows import read_window
from workers.sites.instants import to_epoch

SECRET = b"a secret of the tests"

Documents = Sequence[dict[str, Any]]


def build(
    site: Mapping[str, Documents],
    body: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    *,
    days: int = 30,
    sources: Mapping[str, SourceDataset] | None = None,
) -> Dataset:
    """The dataset that a request's `body` makes of a site's collections, read in windows of `days` days."""
    request = parse_request({"name": "d", "site_id": "living_lab", **(body or {})})
    site_schema = SiteSchema.of(schema)
    selection = select_buildings(request, site_schema, list(site))
    cars = CarNames(site_schema.electric_vehicles_def, SECRET)
    read_options = ReadOptions(site_schema.source_zone, cars, request.drop_generated)
    stamps = [
        stamp
        for collection in selection.buildings.values()
        for document in site[collection]
        if (stamp := to_epoch(document.get("timestamp"), site_schema.source_zone)) is not None
    ]
    start = request.from_ms if request.from_ms is not None else int(min(stamps, default=0) * 1000)
    end = request.until_ms if request.until_ms is not None else int(max(stamps, default=0) * 1000) + 1
    start -= start % request.period_ms
    end += -end % request.period_ms
    partials = {
        building: [
            read_window(building, site[collection], window, request.period_ms, read_options)
            for window in time_windows(start, end, days, PRICES_BEYOND_MS)
        ]
        for building, collection in selection.buildings.items()
    }
    summaries = {building: [p.summary() for p in pieces] for building, pieces in partials.items()}
    plan = make_plan(request, site_schema, selection, summaries, start, end)
    results = [complete_building(plan, building, partials[building]) for building in plan.buildings]
    return complete_dataset(plan, results, sources or {})


def rows(dataset: Dataset, file: str) -> list[dict[str, str]]:
    """A CSV file's rows."""
    header, *lines = dataset.files[file].decode().splitlines()
    names = header.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines]


def numbers(dataset: Dataset, file: str, column: str) -> list[float]:
    """A column of a CSV file."""
    return [float(row[column]) for row in rows(dataset, file)]


def texts(dataset: Dataset, file: str, column: str) -> list[str]:
    """A column of a CSV file, as written."""
    return [row[column] for row in rows(dataset, file)]


def write(dataset: Dataset, folder: Path) -> Path:
    """The dataset as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in dataset.files.items():
        (folder / name).write_bytes(content)
    return folder
