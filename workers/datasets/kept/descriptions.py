"""What is said of a dataset that exists: its manifest, or what CityLearn's schema says where it has none.

Anybody may upload a dataset with any manifest, so a description is JSON, of which nothing is sure but what the folder
itself gives (`Facts`). What a caller needs of a description is read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from workers.datasets.file_names import MANIFEST_FILE
from workers.datasets.measures.grid import MINUTE_MS
from workers.sites.instants import parse_instant


class Facts(TypedDict):
    """What a dataset's folder itself gives. Made by `DatasetStore`."""

    name: str
    #: Its files together, in bytes.
    size: int
    #: ISO 8601 in UTC.
    created_at: str


class DatasetRow(Facts):
    """A dataset in the list; None where its description doesn't say. Made by `row_of`."""

    description: str
    site_id: str | None
    period: float | None
    from_ts: str | None
    until_ts: str | None
    rows: int | None
    chargers: int | None
    buildings: int | None


@dataclass(frozen=True)
class RowTimes:
    """The time of a dataset's rows: when the first one begins (ms since the epoch), and how long each is (ms)."""

    start_ms: int
    period_ms: int


def row_of(described: Mapping[str, Any], facts: Facts) -> DatasetRow:
    """A dataset's row in the list."""
    buildings = described.get("buildings")
    return {
        "name": facts["name"],
        "description": described.get("description") or "",
        "size": facts["size"],
        "created_at": facts["created_at"],
        "site_id": described.get("site_id"),
        "period": described.get("period"),
        "from_ts": described.get("from_ts"),
        "until_ts": described.get("until_ts"),
        "rows": described.get("rows"),
        "chargers": described.get("chargers"),
        "buildings": len(buildings) if isinstance(buildings, list) else buildings,
    }


def row_times(described: Mapping[str, Any], what: str = MANIFEST_FILE) -> RowTimes | None:
    """The time of a dataset's rows; None where its description doesn't say it.

    Raises:
        InvalidInput: its `from_ts` can't be read; `what` says whose it is.
    """
    begin, period = described.get("from_ts"), described.get("period")
    if not isinstance(begin, str) or not isinstance(period, int):
        return None
    return RowTimes(round(parse_instant(begin, f"from_ts of {what}") * 1000), period * MINUTE_MS)


def of_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What CityLearn's schema says of a dataset that has no manifest."""
    buildings = schema.get("buildings")
    buildings = buildings if isinstance(buildings, dict) else {}
    chargers = [
        b["chargers"] for b in buildings.values() if isinstance(b, dict) and isinstance(b.get("chargers"), dict)
    ]
    seconds, last = schema.get("seconds_per_time_step"), schema.get("simulation_end_time_step")
    return {
        "buildings": [{"name": name} for name in buildings],
        "chargers": sum(len(own) for own in chargers if isinstance(own, dict)),
        "period": seconds / 60 if isinstance(seconds, int | float) else None,
        "rows": last + 1 if isinstance(last, int) else None,
    }
