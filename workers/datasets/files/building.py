"""A building's files from all its windows: its energy file and one for each charger."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.datasets.asked.devices import DEMAND_DEVICES
from workers.datasets.files.charger import charger_file
from workers.datasets.files.limits import limit
from workers.datasets.files.manifest import BuildingEntry, ColumnReport, FileEntry, file_entries
from workers.datasets.files.schema import BuildingParts
from workers.datasets.files.writers import column_text, csv_bytes
from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import (
    BUILDING_COLUMNS,
    CARBON,
    CHARGER_ARRIVAL_SOC,
    CHARGER_REQUIRED_SOC,
    CLOCK_COLUMNS,
    PRICE,
    REQUIRED_SOC,
    SOLAR,
    WEATHER_COLUMNS,
    Column,
)
from workers.datasets.measures.grid import Grid
from workers.datasets.plan import Plan
from workers.datasets.steps.clock_columns import LocalClock
from workers.datasets.steps.gaps import fill
from workers.datasets.steps.prices import price_grid
from workers.datasets.steps.resample import Series, merge
from workers.datasets.steps.sessions import Occupancy
from workers.datasets.steps.windows import WindowPartial, series_of
from workers.sites.instants import iso_of_milliseconds

_SHARED_COLUMNS: Final = (*WEATHER_COLUMNS, CARBON)


@dataclass(frozen=True)
class BuildingResult:
    """A building's files, and what the dataset's shared files take from it.

    `entries` describes the files for the manifest, so that they need not travel with the rest once they are written.
    `prices` (on the price grid) and `shared` (weather and carbon) hold its columns as measured, where it has any.
    """

    parts: BuildingParts
    files: dict[str, bytes]
    entries: list[FileEntry]
    cars: list[str]
    columns: dict[str, ColumnReport]
    prices: Series | None
    shared: dict[str, Series]
    entry: BuildingEntry
    warnings: list[str]


def complete_building(plan: Plan, building: str, partials: Sequence[WindowPartial]) -> BuildingResult:
    """A building's files from all its windows."""
    grid, where = plan.grid, f"Building {building!r}"
    warnings: list[str] = []
    unusable = Counter[str]()
    for partial in partials:
        unusable.update(partial.unusable)
    clock = LocalClock.of(grid, plan.zone)
    values: dict[str, Floats] = {}
    reports: dict[str, ColumnReport] = {}
    for column in BUILDING_COLUMNS:
        series = merge(series_of(partials, column.name), column.kind, grid)
        filled = fill(series.values, clock, grid.minutes, plan.default(column))
        values[column.name] = filled.values
        reports[column.name] = ColumnReport(series.readings, unusable[column.name], int(series.scaled.sum()), filled)
        warnings += reports[column.name].warnings(where, column.name, plan.default(column))
    limited = limit(values)
    values = limited.values
    warnings += limited.warnings(where)
    columns = {name: column_text(getattr(clock, name)) for name in CLOCK_COLUMNS}
    columns.update({name: column_text(column) for name, column in values.items()})
    files = {plan.energy_files[building]: csv_bytes(columns)}
    charger_files, cars, sessions = _charger_files(plan, building, partials, warnings)
    _say_documents(where, partials, warnings)
    return BuildingResult(
        parts=BuildingParts(
            name=building,
            energy_file=plan.energy_files[building],
            charger_files=plan.charger_files[building],
            most_solar_kwh=float(values[SOLAR.name].max()),
            most_demand_kwh={demand: float(values[demand].max()) for _, demand in DEMAND_DEVICES.values()},
        ),
        files=files | charger_files,
        entries=file_entries(files | charger_files),
        cars=cars,
        columns=reports,
        prices=_merged(partials, PRICE, price_grid(grid)),
        shared={c.name: found for c in _SHARED_COLUMNS if (found := _merged(partials, c, grid)) is not None},
        entry={
            "name": building,
            "collection": plan.buildings[building],
            "documents": sum(p.documents for p in partials),
            "oldest_document": _iso(min((p.first for p in partials if p.first is not None), default=None)),
            "newest_document": _iso(max((p.last for p in partials if p.last is not None), default=None)),
            "documents_without_timestamp": sum(p.unstamped for p in partials),
            "generated_documents_left_out": sum(p.generated for p in partials),
            "duplicate_documents": sum(p.duplicates for p in partials),
            **limited.entry(),
            "sessions": sessions,
            "columns": {name: report.entry(grid) for name, report in reports.items()},
        },
        warnings=warnings,
    )


def _iso(instant: int | None) -> str | None:
    return None if instant is None else iso_of_milliseconds(instant)


def _merged(partials: Sequence[WindowPartial], column: Column, grid: Grid) -> Series | None:
    """A column as measured; None where the grid has nothing of it."""
    series = merge(series_of(partials, column.name), column.kind, grid)
    return None if np.isnan(series.values).all() else series


def _say_documents(where: str, partials: Sequence[WindowPartial], warnings: list[str]) -> None:
    unstamped = sum(p.unstamped for p in partials)
    if unstamped:
        warnings.append(f"{where}: {unstamped} documents had no timestamp that can be read")
    per_mwh = sum(p.per_mwh for p in partials)
    if per_mwh:
        warnings.append(f"{where}: {per_mwh} prices were per MWh and were converted to per kWh")


def _charger_files(
    plan: Plan, building: str, partials: Sequence[WindowPartial], warnings: list[str]
) -> tuple[dict[str, bytes], list[str], int]:
    """Charger files by name, the cars in them, and how many sessions there were."""
    occupancy = Occupancy([p.plugs for p in partials if p.plugs], plan.grid, plan.zone)
    defaults = plan.request.defaults
    required = defaults.get(CHARGER_REQUIRED_SOC, REQUIRED_SOC)
    files: dict[str, bytes] = {}
    cars: set[str] = set()
    total = 0
    for charger, name in plan.charger_files[building].items():
        sessions = occupancy.sessions(charger)
        file = charger_file(
            sessions, plan.grid, plan.request.incoming_horizon_minutes, required, defaults.get(CHARGER_ARRIVAL_SOC)
        )
        if file.without_required_soc:
            warnings.append(
                f"Building {building!r}, charger {charger!r}: {file.without_required_soc} of {file.sessions} sessions"
                f" state no SOC to leave with: {required:g} %"
            )
        files[name] = csv_bytes(file.columns)
        cars.update(session.car for session in sessions)
        total += len(sessions)
    return files, sorted(cars), total
