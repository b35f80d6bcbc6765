"""A dataset from documents, step by step; nothing here reads a database or writes a file.

1. `steps.windows.read_window`: the documents of one building and one time window become a small `WindowPartial`.
2. `plan.make_plan`: once all windows are read, their summaries say which time and which files the dataset has.
3. `files.building.complete_building`: a building's partials become its files.
4. `complete_dataset`: what buildings share (prices, weather, schema, manifest) joins them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.datasets.file_names import CARBON_FILE, MANIFEST_FILE, PRICING_FILE, SCHEMA_FILE, WEATHER_FILE
from workers.datasets.files import manifest
from workers.datasets.files.building import BuildingResult
from workers.datasets.files.manifest import Manifest
from workers.datasets.files.schema import SharedFiles, citylearn_schema
from workers.datasets.files.shared import SharedColumns
from workers.datasets.files.writers import json_bytes
from workers.datasets.plan import Plan
from workers.datasets.steps.weather import SourceDataset


@dataclass(frozen=True)
class Dataset:
    """A dataset's files by name, and its manifest, which is one of them.

    Files of buildings are among them only where their results still hold them: a task that wrote them leaves them out.
    """

    files: dict[str, bytes]
    manifest: Manifest


def complete_dataset(plan: Plan, results: Sequence[BuildingResult], sources: Mapping[str, SourceDataset]) -> Dataset:
    """The dataset, from its buildings; `sources` holds the other datasets that the request names.

    Raises:
        InvalidInput: another dataset can't serve as a source.
    """
    results = sorted(results, key=lambda r: r.parts.name)
    warnings = [*plan.warnings, *(warning for result in results for warning in result.warnings)]
    shared = SharedColumns(plan, results, sources, warnings)
    files = {PRICING_FILE: shared.pricing(), WEATHER_FILE: shared.weather()}
    carbon = shared.carbon()
    if carbon is not None:
        files[CARBON_FILE] = carbon
    cars = sorted({car for result in results for car in result.cars})
    schema, mended = citylearn_schema(
        plan.request.citylearn,
        plan.site,
        [result.parts for result in results],
        cars,
        SharedFiles(WEATHER_FILE, PRICING_FILE, None if carbon is None else CARBON_FILE),
        plan.grid,
        plan.zone,
    )
    files[SCHEMA_FILE] = json_bytes(schema)
    described: Manifest = {
        "format": manifest.FORMAT,
        "name": plan.request.name,
        "description": plan.request.description,
        "site_id": plan.request.site,
        "producer": manifest.producer(),
        "request": manifest.request_of(plan.request),
        **manifest.window_of(plan.grid),
        "period": plan.request.period,
        "time_zone": plan.zone.key,
        "source_time_zone": plan.site.source_time_zone or "UTC",
        "rows": plan.grid.bins,
        "cars": len(cars),
        "chargers": sum(len(result.parts.charger_files) for result in results),
        "buildings": [result.entry for result in results],
        "shared_columns": shared.entries,
        "files": sorted(
            [*manifest.file_entries(files), *(entry for result in results for entry in result.entries)],
            key=lambda entry: entry["name"],
        ),
        "warnings": manifest.unique([*warnings, *mended]),
    }
    files[MANIFEST_FILE] = json_bytes(described)
    for result in results:
        files.update(result.files)
    return Dataset(files, described)
