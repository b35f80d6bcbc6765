"""What a dataset will be: its time, its buildings, its files; decided once all windows are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.datasets.asked.devices import BuildingDevices
from workers.datasets.asked.request import DatasetRequest
from workers.datasets.asked.site_schema import Selection, SiteSchema
from workers.datasets.file_names import name_files
from workers.datasets.measures.columns import BUILDING_COLUMNS, MEASURED, Column
from workers.datasets.measures.grid import Grid
from workers.datasets.steps.clock_columns import LocalClock, steps_like_citylearn
from workers.datasets.steps.resample import held_bins
from workers.datasets.steps.windows import WindowPartial, series_of
from workers.sites.instants import iso_of_milliseconds

#: CityLearn needs two rows to see how far apart they are.
_FEWEST_ROWS: Final = 2


@dataclass(frozen=True)
class Plan:
    """What a dataset will be: its time, its buildings with their collections, and each one's files."""

    request: DatasetRequest
    site: SiteSchema
    zone: ZoneInfo
    grid: Grid
    buildings: dict[str, str]
    energy_files: dict[str, str]
    charger_files: dict[str, dict[str, str]]
    warnings: list[str]

    def default(self, column: Column) -> float:
        return self.request.defaults.get(column.name, column.default)


def make_plan(
    request: DatasetRequest,
    site: SiteSchema,
    selection: Selection,
    summaries: Mapping[str, Sequence[WindowPartial]],
    start_ms: int,
    end_ms: int,
) -> Plan:
    """The plan for `[start_ms, end_ms)` (the request's, or all there is), from each building's summaries.

    Raises:
        NotFound: there is nothing in that time, or in that time of a building that was selected by name.
        InvalidInput: what remains is too short for CityLearn, or files would have one name.
    """
    warnings = list(selection.warnings)
    asked = Grid.spanning(start_ms, end_ms, request.period_ms)
    extents = {b: _extent(summaries.get(b, ()), request.period_ms) for b in selection.buildings}
    if request.until_ms is None:
        # The last reading may stand for more time than the bin that it fell into.
        asked = Grid(
            asked.first,
            max((e[1] + 1 for e in extents.values() if e), default=asked.end) - asked.first,
            asked.period_ms,
        )
    extents = {b: _within(extent, asked) for b, extent in extents.items()}
    buildings = {}
    for building, collection in selection.buildings.items():
        if extents[building] is not None:
            buildings[building] = collection
            continue
        sentence = f"Building {building!r} of the site {request.site!r} has no readings {_time(asked)}"
        if selection.by_name:
            raise NotFound(sentence, ErrorCode.NO_DOCUMENTS)
        warnings.append(f"{sentence}: it is left out")
    if not buildings:
        raise NotFound(f"The site {request.site!r} has no readings {_time(asked)}", ErrorCode.NO_DOCUMENTS)
    zone = ZoneInfo(request.time_zone or site.time_zone)
    bounds = {building: extent for building, extent in extents.items() if extent is not None}
    grid = _steady_start(_common(asked, bounds, warnings), zone, warnings)
    if grid.bins < _FEWEST_ROWS:
        raise InvalidInput(
            f"Only {grid.bins} step of {request.period} minutes is left {_time(grid)}; CityLearn needs {_FEWEST_ROWS}",
            ErrorCode.WINDOW_TOO_SHORT,
        )
    chargers = {b: _chargers(b, site, summaries[b]) for b in buildings}
    energy_files, charger_files = name_files(buildings, chargers)
    return Plan(request, site, zone, grid, buildings, energy_files, charger_files, warnings)


def _time(grid: Grid) -> str:
    return f"from {iso_of_milliseconds(grid.start_ms)} until {iso_of_milliseconds(grid.end_ms)}"


def _extent(summaries: Sequence[WindowPartial], period_ms: int) -> tuple[int, int] | None:
    """The first and the last bin that a building's readings stand for; None without any.

    Prices, weather and carbon count only where there is nothing else: they may come once a day.
    """
    own = [series_of(summaries, column.name) for column in BUILDING_COLUMNS]
    own.append([s.plugs.presence for s in summaries if s.plugs])
    series = own if any(own) else [series_of(summaries, name) for name in MEASURED]
    held = [held_bins(partials, period_ms) for partials in series if partials]
    return (min(first for first, _ in held), max(last for _, last in held)) if held else None


def _within(extent: tuple[int, int] | None, asked: Grid) -> tuple[int, int] | None:
    """The part of an extent that lies in `asked`; None where nothing does."""
    if extent is None or extent[0] >= asked.end or extent[1] < asked.first:
        return None
    return max(extent[0], asked.first), min(extent[1], asked.end - 1)


def _common(asked: Grid, extents: Mapping[str, tuple[int, int]], warnings: list[str]) -> Grid:
    """The part of `asked` that all buildings have readings of, said where it is smaller."""
    latest = max(extents, key=lambda b: extents[b][0])
    earliest = min(extents, key=lambda b: extents[b][1])
    first, last = extents[latest][0], extents[earliest][1]
    grid = asked.clipped(first, last + 1)
    if not grid.bins:
        raise NotFound(
            f"Buildings {latest!r} and {earliest!r} have no time in common: the first begins at"
            f" {iso_of_milliseconds(first * asked.period_ms)}, the other ends at"
            f" {iso_of_milliseconds((last + 1) * asked.period_ms)}",
            ErrorCode.NO_DOCUMENTS,
        )
    if grid.first > asked.first:
        warnings.append(f"The dataset begins at {iso_of_milliseconds(grid.start_ms)}, with building {latest!r}")
    if grid.end < asked.end:
        warnings.append(f"The dataset ends at {iso_of_milliseconds(grid.end_ms)}, with building {earliest!r}")
    return grid


def _steady_start(grid: Grid, zone: ZoneInfo, warnings: list[str]) -> Grid:
    """`grid` without a first bin that the clock changes after: CityLearn would take that for the step."""
    while grid.bins >= _FEWEST_ROWS:
        start = grid.clipped(grid.first, grid.first + _FEWEST_ROWS)
        if steps_like_citylearn(LocalClock.of(start, zone), grid.minutes):
            break
        grid = grid.clipped(grid.first + 1, grid.end)
        warnings.append(
            f"The dataset begins one step later, at {iso_of_milliseconds(grid.start_ms)}: the clock of {zone.key}"
            " changes after the first step, and CityLearn would take that for the step's length"
        )
    return grid


def _chargers(building: str, site: SiteSchema, summaries: Sequence[WindowPartial]) -> list[str]:
    """All chargers of a building: those that documents name and those that the site's schema has."""
    definition = site.buildings.get(building)
    described = BuildingDevices(building, definition, []).chargers if isinstance(definition, Mapping) else {}
    return sorted({*described, *(charger for s in summaries if s.plugs for charger in s.plugs.chargers)})
