"""What the fields of a site's documents hold: numbers, states of charge, and the names of things.

Numbers are read as datasets read them, from texts too (`test_a_text_is_a_number_where_datasets_say_so`).
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

#: What items of a list are recognised by, so that one charger's readings are not taken for another's.
_IDENTITIES: Final = ("charger_id", "Charger Id", "id", "_id")
#: `id`, `user_id`, `Charger Id`, `chargerId`, and what session dicts call a car and a charger.
_NAMES: Final = re.compile(r"(.*[_ .-])?([iI][dD]|ID)|.*[a-z]I[dD]|electric_vehicle|charger|user")
#: `soc`, `SoC`, `departure.soc`, `estimated_soc_at_arrival`, `batterySoC`; not `socket`.
_SOC: Final = re.compile(r"(?i:(?<![a-z])soc(?![a-z]))|(?<=[a-z])S[oO][cC](?![a-z])")


@lru_cache(maxsize=4096)
def is_name(key: str) -> bool:
    """Whether a field says which thing is meant: its numbers are names, never averaged."""
    return _NAMES.fullmatch(key) is not None


@lru_cache(maxsize=4096)
def is_soc(key: str) -> bool:
    """Whether a field holds a state of charge, in percent or as a fraction."""
    return _SOC.search(key) is not None


def number(key: str, value: Any) -> float | None:
    """A field's value as a number.

    NaN where it is a number that says nothing: NaN, an infinity, a negative state of charge (-1 stands for none). None
    for what is no number, as names, dates and truth values are.
    """
    result = None if is_name(key) else _as_float(value)
    if result is not None and (not math.isfinite(result) or (result < 0 and is_soc(key))):
        return math.nan
    return result


def identities(items: Sequence[Any]) -> list[tuple[str, ...]]:
    """What the items of a list are told apart by: their name (see `names_itself`) where they bear one, which of equal
    names in this list, else their position."""
    seen: dict[str, int] = {}
    found: list[tuple[str, ...]] = []
    for position, item in enumerate(items):
        name = names_itself(item)
        if name is None:
            found.append(("position", str(position)))
        else:
            seen[name] = seen.get(name, 0) + 1
            found.append(("name", name, str(seen[name])))
    return found


def names_itself(item: Any) -> str | None:
    """The name that an item of a list bears, as a text: a `charger_id` or an `id` of any scalar type. The number 3 and
    the text `3` are one name: producers change between them."""
    if not isinstance(item, dict):
        return None
    for key in _IDENTITIES:
        name = item.get(key)
        if name is not None and not isinstance(name, dict | list):
            return _name_text(name)
    return None


def _name_text(name: Any) -> str:
    if isinstance(name, Decimal128):
        name = name.to_decimal()
        name = int(name) if name.is_finite() and name == name.to_integral_value() else name
    if isinstance(name, float) and name.is_integer():
        name = int(name)
    return str(name)


def _as_float(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, bool | datetime | DatetimeMS):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Decimal128):
        decimal = value.to_decimal()
        return math.nan if decimal.is_snan() else float(decimal)
    return None
