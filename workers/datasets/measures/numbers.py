"""Numbers as producers store them: int, float, Decimal128 or text; NaN, null and anything else are none."""

import math
from typing import Any

import numpy as np
from bson.decimal128 import Decimal128

from workers.datasets.measures.arrays import Floats


def number(value: object) -> float:
    """A stored number; NaN for anything that is none."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    try:
        result = float(value)  # type: ignore[arg-type]  # whatever a document holds
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return result if math.isfinite(result) else math.nan


def numbers(values: list[Any]) -> Floats:
    """Stored numbers in bulk; NaN where there is none."""
    try:
        result = np.array(values, dtype=np.float64)
        if result.ndim == 1:
            result[~np.isfinite(result)] = np.nan
            return result
    except (TypeError, ValueError, OverflowError):
        # Texts that are no numbers, Decimal128, dicts: converted one by one below.
        pass
    return np.array([number(value) for value in values], dtype=np.float64)


def percent(value: object) -> float:
    """A SOC in percent, 0..100; NaN for none (null, -1) and for what can't be one."""
    result = number(value)
    return result if 0.0 <= result <= 100.0 else math.nan


def percent_of_fraction(value: object) -> float:
    """A SOC given as a fraction, in percent; one over 1 must be in percent already."""
    result = percent(value)
    return result * 100.0 if result <= 1.0 else result
