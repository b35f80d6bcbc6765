"""Files as bytes, the same for the same content: numbers to 9 decimals, line feeds, JSON with its keys in order."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from workers.datasets.measures.arrays import Floats, Instants

#: Finer than any meter, and coarse enough to hide in which order numbers were added.
DECIMALS: Final = 9


def number_text(value: float) -> str:
    """A number as files show it."""
    return repr(round(float(value), DECIMALS) + 0.0)


def column_text(values: Floats | Instants) -> list[str]:
    """A column as files show it; whole numbers stay whole numbers."""
    if np.issubdtype(values.dtype, np.integer):
        return list(map(str, values.tolist()))
    rounded = np.round(values, DECIMALS) + 0.0  # -0.0 + 0.0 is 0.0
    if len(rounded) and (rounded == rounded[0]).all():
        return [repr(float(rounded[0]))] * len(rounded)
    return list(map(repr, rounded.tolist()))


def csv_bytes(columns: Mapping[str, Sequence[str]]) -> bytes:
    """Columns of text, in their order, as CSV. No text may need quotes."""
    rows: Iterable[str] = map(",".join, zip(*columns.values(), strict=True))
    return "\n".join([",".join(columns), *rows, ""]).encode()


def json_bytes(value: Any) -> bytes:
    """A JSON file, in the order that keys have."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
