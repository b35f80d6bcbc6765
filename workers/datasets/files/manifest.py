"""`manifest.json`: where a dataset comes from, what was measured and what was filled, and its files' checksums."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from workers.datasets.asked.request import DatasetRequest
from workers.datasets.measures.grid import Grid
from workers.datasets.steps.gaps import Filled, Rule
from workers.sites.instants import iso_of_milliseconds

FORMAT: Final = 1
_PACKAGE: Final = "opeva-backend"


@dataclass(frozen=True)
class ColumnReport:
    """How a column came about. `scaled` bins had readings, but fewer than their cadence promises."""

    readings: int
    unusable: int
    scaled: int
    filled: Filled

    def to_dict(self, grid: Grid) -> dict[str, Any]:
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


def window_of(grid: Grid) -> dict[str, Any]:
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


def file_entries(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Each file's name, size and SHA-256, by name."""
    return [
        {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]


def unique(warnings: Sequence[str]) -> list[str]:
    """Warnings in their order, each once."""
    return list(dict.fromkeys(warnings))
