"""A real building's hourly year, as readings at any cadence and for any dates."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from scripts.building_data import HOURS, BuildingYear, Series

_HOUR: Final = 3600
#: How much the parts of an hour differ from each other.
_UNEVEN: Final = 0.3


class Readings:
    """A building's columns at any instant. `zone` is the clock that the building's people live by."""

    def __init__(self, year: BuildingYear, zone: ZoneInfo, seed: str) -> None:
        self._year = year
        self._zone = zone
        self._seed = seed
        self._energy = _present(
            {
                "non_shiftable_load": year.load,
                "dhw_demand": year.dhw,
                "cooling_demand": year.cooling,
                "heating_demand": year.heating,
                "solar_generation": year.solar if year.pv_kw else None,
            }
        )
        self._levels = _present(
            {
                "indoor_dry_bulb_temperature": year.indoor_temperature,
                "indoor_relative_humidity": year.indoor_humidity,
                "electricity_pricing": year.price,
                "carbon_intensity": year.carbon,
                "outdoor_dry_bulb_temperature": year.weather.temperature,
                "outdoor_relative_humidity": year.weather.humidity,
                "diffuse_solar_irradiance": year.weather.diffuse_irradiance,
                "direct_solar_irradiance": year.weather.direct_irradiance,
            }
        )
        # CityLearn refuses hours that both heat and cool, which these buildings do: the larger stays.
        cooling, heating = self._energy.get("cooling_demand"), self._energy.get("heating_demand")
        if cooling is not None and heating is not None:
            pairs = list(zip(cooling, heating, strict=True))
            self._energy["cooling_demand"] = tuple(cold if cold >= warm else 0.0 for cold, warm in pairs)
            self._energy["heating_demand"] = tuple(0.0 if cold >= warm else warm for cold, warm in pairs)
        self._parts: tuple[int, list[float]] = (-1, [])

    def at(self, instant: int, cadence: int) -> dict[str, float]:
        """The reading at an instant (epoch seconds): kWh within `[instant, instant + cadence)`, levels at its start."""
        row: dict[str, float] = {}
        for name, series in self._energy.items():
            if cadence >= _HOUR:
                hours = range(instant, instant + cadence, _HOUR)
                value = sum(series[self._hour(hour)] for hour in hours)
            else:
                value = series[self._hour(instant)] * self._part(instant, cadence)
            row[name] = round(value, 6)
        hour = self._hour(instant)
        row.update((name, round(series[hour], 6)) for name, series in self._levels.items())
        return row

    def _hour(self, instant: int) -> int:
        """Which hour of the year stands for an instant: the same time of year, on the same day of the week."""
        clock = datetime.fromtimestamp(instant, UTC).astimezone(self._zone).replace(tzinfo=None)
        begin = self._year.start
        # The 29th of February has no like in these years.
        day = min(clock.day, 28) if clock.month == 2 else clock.day
        like = datetime(begin.year, clock.month, day, clock.hour)  # noqa: DTZ001 - a local clock
        shift = (clock.weekday() - like.weekday() + 3) % 7 - 3
        return int((like + timedelta(days=shift) - begin) / timedelta(hours=1)) % HOURS

    def _part(self, instant: int, cadence: int) -> float:
        """The share of its hour's energy that a reading has; those of an hour add up to 1."""
        hour = instant // _HOUR
        if self._parts[0] != hour:
            random = Random(f"{self._seed}/{hour}")  # noqa: S311 - sample data
            weights = [1 + random.uniform(-_UNEVEN, _UNEVEN) for _ in range(_HOUR // cadence)]
            self._parts = (hour, [weight / sum(weights) for weight in weights])
        return self._parts[1][instant % _HOUR // cadence]


def _present(series: dict[str, Series | None]) -> dict[str, Series]:
    """Those that the building has and that are not all zero."""
    return {name: values for name, values in series.items() if values is not None and any(values)}
