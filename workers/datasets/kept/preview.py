"""A dataset's columns with few points, for a plot."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import pandas as pd

from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.common.files import open_regular
from workers.datasets.kept.descriptions import row_times
from workers.sites.instants import iso_of_milliseconds

DEFAULT_POINTS: Final = 500
MAX_POINTS: Final = 20_000


class Preview(TypedDict):
    """Columns of a file with few points. Made by `preview`."""

    file: str
    rows: int
    #: The first row of each stretch of rows, and when it begins, where the manifest knows the time.
    index: list[int]
    timestamps: list[str] | None
    #: By column: the mean of each stretch, or its first text.
    series: dict[str, list[Any]]


def preview(
    folder: Path, described: dict[str, Any], file: str | None, columns: Sequence[str] | None, points: int
) -> Preview:
    """`points` at most of a CSV file: means of equal stretches of rows, and for texts the first of each.

    `described` is the dataset's manifest; `file` None is its first building's.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no CSV file, or has no such column.
    """
    name = file or _first_file(described)
    if not name.endswith(".csv"):
        raise InvalidInput(f"{name!r} is no CSV file", ErrorCode.NOT_A_TABLE)
    try:
        with os.fdopen(open_regular(folder, name), "rb") as opened:
            table = pd.read_csv(opened)
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidInput(f"{name!r} can't be read as a table: {error}", ErrorCode.NOT_A_TABLE) from error
    unknown = [column for column in columns or () if column not in table.columns]
    if unknown:
        raise InvalidInput(
            f"{name} has no column {unknown[0]!r}; it has {', '.join(table.columns)}", ErrorCode.UNKNOWN_COLUMN
        )
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
        raise NotFound("The dataset has no CSV file", ErrorCode.FILE_NOT_FOUND)
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
    if described.get("rows") != rows:
        return None
    times = row_times(described)
    if times is None:
        return None
    return [iso_of_milliseconds(times.start_ms + row * times.period_ms) for row in starts]
