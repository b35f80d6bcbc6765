"""The kinds of tables that a dataset has, and what the simulator would stop at in one: columns, values, rows.

What is said here of the simulator was tried on CityLearn 3.0.2 and softcpsrecsimulator 1.7.0.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from workers.datasets.measures.columns import (
    BUILDING_COLUMNS,
    CARBON,
    CHARGER_COLUMNS,
    CHARGER_EV,
    CHARGER_STATE,
    CLOCK_COLUMNS,
    COOLING,
    DHW,
    HEATING,
    LOAD,
    PRICE,
    PRICE_AHEAD_HOURS,
    SOLAR,
    WEATHER_AHEAD_HOURS,
    WEATHER_COLUMNS,
)

#: Tables are read in pieces, so that a long one costs no more memory than a short one.
_ROWS_AT_ONCE: Final = 100_000
_DEMANDS: Final = (LOAD.name, DHW.name, COOLING.name, HEATING.name)
_CHARGER_EXTRAS: Final = ("electric_vehicle_session_id", "electric_vehicle_current_soc")
_CAR_STATES: Final = (1, 2, 3)


@dataclass(frozen=True)
class Kind:
    """A kind of table: what it is called in sentences, and its columns."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    #: Whether the simulator passes over columns that it does not know; else it stops at them.
    others_pass: bool = False
    #: Columns that may hold any text.
    texts: tuple[str, ...] = ()
    #: Columns without which the simulator stops, or makes all that follows no number.
    never_blank: tuple[str, ...] = ()
    never_negative: tuple[str, ...] = ()
    #: Columns whose blanks mean something.
    often_blank: tuple[str, ...] = ()


BUILDING: Final = Kind(
    "a building",
    ("month", "hour", "day_type", BUILDING_COLUMNS[0].name, *_DEMANDS, SOLAR.name),
    (
        *(name for name in CLOCK_COLUMNS if name not in ("month", "hour", "day_type")),
        *(column.name for column in BUILDING_COLUMNS[1:3]),
        "seconds",
        "occupant_count",
        "indoor_dry_bulb_temperature_cooling_set_point",
        "indoor_dry_bulb_temperature_heating_set_point",
        "hvac_mode",
        "power_outage",
        "comfort_band",
    ),
    never_blank=(*CLOCK_COLUMNS, "seconds", "hvac_mode", *_DEMANDS, SOLAR.name),
    never_negative=_DEMANDS,
)
WEATHER: Final = Kind(
    "the weather",
    (
        *(column.name for column in WEATHER_COLUMNS),
        *(f"{c.name}_predicted_{n}" for c in WEATHER_COLUMNS for n, _ in enumerate(WEATHER_AHEAD_HOURS, 1)),
    ),
    never_blank=(WEATHER_COLUMNS[0].name,),
)
PRICING: Final = Kind("prices", (PRICE.name, *(f"{PRICE.name}_predicted_{n}" for n in PRICE_AHEAD_HOURS)))
CARBON_INTENSITY: Final = Kind("carbon intensity", (CARBON.name,))
CHARGER: Final = Kind(
    "a charger",
    CHARGER_COLUMNS,
    _CHARGER_EXTRAS,
    others_pass=True,
    texts=(CHARGER_EV, _CHARGER_EXTRAS[0]),
    never_blank=(CHARGER_STATE,),
    often_blank=(*CHARGER_COLUMNS[1:], *_CHARGER_EXTRAS),
)

#: Headers of CityLearn up to 2.0, simplified by `_simple`, and what they are called since 2.1.
_OLD: Final = {
    "month": "month",
    "hour": "hour",
    "day type": "day_type",
    "daylight savings status": "daylight_savings_status",
    "indoor temperature": "indoor_dry_bulb_temperature",
    "average unmet cooling setpoint difference": "average_unmet_cooling_setpoint_difference",
    "indoor relative humidity": "indoor_relative_humidity",
    "equipment electric power": LOAD.name,
    "dhw heating": DHW.name,
    "cooling load": COOLING.name,
    "heating load": HEATING.name,
    "solar generation": SOLAR.name,
    "occupant count": "occupant_count",
    "temperature set point": "indoor_dry_bulb_temperature_cooling_set_point",
    "hvac mode": "hvac_mode",
    "outdoor drybulb temperature": "outdoor_dry_bulb_temperature",
    "outdoor relative humidity": "outdoor_relative_humidity",
    "relative humidity": "outdoor_relative_humidity",
    "diffuse solar radiation": "diffuse_solar_irradiance",
    "direct solar radiation": "direct_solar_irradiance",
    "electricity pricing": PRICE.name,
    "kg_co2/kwh": CARBON.name,
}
_OLD_AHEAD: Final = re.compile(r"(?P<hours>\d+)h prediction (?P<of>.+)")
_AHEAD: Final = {
    PRICE.name: {str(h): n for n, h in (*enumerate(WEATHER_AHEAD_HOURS, 1), *enumerate(PRICE_AHEAD_HOURS, 1))},
    **{c.name: {str(h): n for n, h in enumerate(WEATHER_AHEAD_HOURS, 1)} for c in WEATHER_COLUMNS},
}


@dataclass
class Found:
    """What was found in a table."""

    rows: int = 0
    #: What the simulator stops at, a clause each, without the file's name.
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: The cars that it names.
    cars: set[str] = field(default_factory=set)


def look(path: Path, kind: Kind) -> Found:
    """Read a table as the simulator does, and say what it would stop at. Raises OSError."""
    found = Found()
    blanks: dict[str, int] = {}
    faulty: set[str] = set()
    try:
        with pd.read_csv(path, chunksize=_ROWS_AT_ONCE) as pieces:
            for piece in pieces:
                if not found.rows and (wrong := list(_header(piece, kind))):
                    found.faults += wrong
                    return found
                for column, fault in _values(piece, kind, found.rows, blanks):
                    if column not in faulty:
                        faulty.add(column)
                        found.faults.append(fault)
                if CHARGER_EV in piece.columns:
                    found.cars.update(map(str, piece[CHARGER_EV].dropna().unique()))
                found.rows += len(piece)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        found.faults.append(f"can't be read as a table: {str(error).strip()}")
        return found
    if blanks:
        said = ", ".join(f"{column} ({count})" for column, count in blanks.items())
        found.warnings.append(f"has blanks, which become observations that are no numbers: {said}")
    if kind is CHARGER and not found.faults:
        found.warnings += _order_of_charger(path)
    return found


def new_header(old: str) -> str | None:
    """What a header of CityLearn up to 2.0 is called since; None where it is none of those."""
    simple = _simple(old)
    if (ahead := _OLD_AHEAD.fullmatch(simple)) is not None:
        base = _OLD.get(ahead["of"], "")
        number = _AHEAD.get(base, {}).get(ahead["hours"])
        return None if number is None else f"{base}_predicted_{number}"
    new = _OLD.get(simple)
    return None if new == old else new


def _simple(header: str) -> str:
    """A header in small letters and without its unit."""
    return re.sub(r"\s+", " ", re.sub(r"\[.*\]\s*$", "", header)).strip().lower()


def _header(table: pd.DataFrame, kind: Kind) -> Iterator[str]:
    columns = [str(column) for column in table.columns]
    if len(columns) == 1 and ";" in columns[0]:
        yield "is separated by semicolons: separate its columns by commas, and write decimals with a point"
        return
    if not isinstance(table.index, pd.RangeIndex):
        yield "has rows with more fields than its header: take out the commas at their ends, or name all columns"
        return
    renamed = {old: new for old in columns if (new := new_header(old)) is not None}
    if renamed:
        yield "has headers of CityLearn 2.0: rename " + ", ".join(f"{old!r} to {new!r}" for old, new in renamed.items())
        columns = [renamed.get(column, column) for column in columns]
    missing = [name for name in kind.required if name not in columns]
    if missing:
        yield f"lacks {_columns(missing)}, which {kind.name} needs"
    others = [name for name in columns if name not in (*kind.required, *kind.optional)]
    if others and not kind.others_pass:
        yield f"has {_columns(others)}, which CityLearn does not know and stops at: take it out"


def _columns(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the column{'s' if len(names) > 1 else ''} {shown}{more}"


def _values(table: pd.DataFrame, kind: Kind, before: int, blanks: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Columns whose values the simulator stops at, with a clause that names the first one. Counts blanks."""
    numbers: dict[str, Any] = {}
    for column in (*kind.required, *kind.optional):
        if column not in table.columns or column in kind.texts:
            continue
        values = table[column]
        number = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
        numbers[column] = number
        blank = values.isna().to_numpy()
        if (at := _first(~blank & ~np.isfinite(number))) is not None:
            yield column, f"has {str(values.iloc[at])[:40]!r} as {column}, which is no number ({_row(before, at)})"
        elif column in kind.never_blank and (at := _first(blank)) is not None:
            yield column, f"has no {column} in {_row(before, at)}"
        elif column in kind.never_negative and (at := _first(number < 0)) is not None:
            yield column, f"has {number[at]:g} as {column}, which CityLearn refuses below 0 ({_row(before, at)})"
        elif blank.any() and column not in kind.often_blank:
            blanks[column] = blanks.get(column, 0) + int(blank.sum())
    if kind is BUILDING and (at := _first((numbers[COOLING.name] > 0) & (numbers[HEATING.name] > 0))) is not None:
        yield "", f"has {COOLING.name} and {HEATING.name} at once, which CityLearn refuses ({_row(before, at)})"
    if kind is CHARGER:
        state = numbers[CHARGER_STATE]
        written_whole = pd.api.types.is_integer_dtype(table[CHARGER_STATE])
        if (at := _first(~np.isin(state, _CAR_STATES))) is not None:
            yield CHARGER_STATE, f"has {state[at]:g} as {CHARGER_STATE}, which is 1, 2 or 3 ({_row(before, at)})"
        elif not written_whole and len(table):
            yield CHARGER_STATE, f"has a {CHARGER_STATE} like 1.0: write 1, 2 and 3, else CityLearn sees no car at all"


def _order_of_charger(path: Path) -> Iterator[str]:
    columns = tuple(pd.read_csv(path, nrows=0).columns)
    if columns != CHARGER_COLUMNS:
        yield "has columns in another order than softcpsrecsimulator 1.7.0 needs, or more of them; CityLearn takes it"


def _first(where: Any) -> int | None:
    places = np.flatnonzero(where)
    return int(places[0]) if len(places) else None


def _row(before: int, at: int) -> str:
    """A row as editors count lines: the header is line 1."""
    return f"line {before + at + 2}"
