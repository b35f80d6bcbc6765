"""A dataset's columns with few points, for a plot."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from workers.common.errors import InvalidInput, NotFound
from workers.common.files import open_regular
from workers.datasets.file_names import MANIFEST_FILE
from workers.sites.instants import iso_of_milliseconds, parse_instant

DEFAULT_POINTS: Final = 500
MAX_POINTS: Final = 20_000
_MINUTE_MS: Final = 60_000


def preview(
    folder: Path, described: dict[str, Any], file: str | None, columns: Sequence[str] | None, points: int
) -> dict[str, Any]:
    """`points` at most of a CSV file: means of equal stretches of rows, and for texts the first of each.

    `described` is the dataset's manifest; `file` None is its first building's. The answer has the file's name, its
    `rows`, the first row of each stretch (`index`), their `timestamps` where the manifest knows the time, and `series`
    by column.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no CSV file, or has no such column.
    """
    name = file or _first_file(described)
    if not name.endswith(".csv"):
        raise InvalidInput(f"{name!r} is no CSV file", "not_a_table")
    try:
        with os.fdopen(open_regular(folder, name), "rb") as opened:
            table = pd.read_csv(opened)
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidInput(f"{name!r} can't be read as a table: {error}", "not_a_table") from error
    unknown = [column for column in columns or () if column not in table.columns]
    if unknown:
        raise InvalidInput(f"{name} has no column {unknown[0]!r}; it has {', '.join(table.columns)}", "unknown_column")
    starts = np.unique(np.linspace(0, len(table), min(points, len(table)), endpoint=False).astype(np.int64))
    return {
        "file": name,
        "rows": len(table),
        "index": starts.tolist(),
        "timestamps": _timestamps(described, len(table), starts.tolist()),
        "series": {column: _reduced(table[column], starts) for column in columns or table.columns},
    }


def _first_file(described: dict[str, Any]) -> str:
    files = [entry["name"] for entry in described.get("files", []) if entry["name"].endswith(".csv")]
    own = [name for name in files if name.lower().startswith("building")]
    if not files:
        raise NotFound("The dataset has no CSV file", "file_not_found")
    return str((own or files)[0])


def _reduced(values: "pd.Series[Any]", starts: "np.ndarray[Any, np.dtype[np.int64]]") -> list[Any]:
    if not len(starts):
        return []
    if not pd.api.types.is_numeric_dtype(values):
        firsts = values.iloc[starts]
        return [None if pd.isna(value) else value for value in firsts.tolist()]
    numbers = values.to_numpy(dtype=np.float64)
    known = np.isfinite(numbers)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    totals = np.add.reduceat(np.where(known, numbers, 0.0), starts)
    return [total / count if count else None for total, count in zip(totals.tolist(), counts.tolist(), strict=True)]


def _timestamps(described: dict[str, Any], rows: int, starts: list[int]) -> list[str] | None:
    """When each stretch begins; None where the manifest says nothing, or describes other files than this one."""
    begin, period = described.get("from_ts"), described.get("period")
    if not isinstance(begin, str) or not isinstance(period, int) or described.get("rows") != rows:
        return None
    first = round(parse_instant(begin, f"from_ts of {MANIFEST_FILE}") * 1000)
    return [iso_of_milliseconds(first + row * period * _MINUTE_MS) for row in starts]
