"""The columns of a dataset: their names, what kind of quantity each is, and what stands where nothing was measured."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workers.datasets.measures.grid import HOUR_MS


class Kind(StrEnum):
    """How readings that fall into one bin are brought together."""

    #: An amount per reading, in kWh: readings of a bin are added.
    ENERGY = "energy"
    #: A level (a temperature, a price, a share): readings of a bin are averaged.
    INTENSIVE = "intensive"


@dataclass(frozen=True)
class Column:
    """A measured column: its name in documents and in files, its kind, and its default."""

    name: str
    kind: Kind
    default: float


CLOCK_COLUMNS: Final = ("month", "hour", "minutes", "day_type", "daylight_savings_status")

LOAD: Final = Column("non_shiftable_load", Kind.ENERGY, 0.0)
DHW: Final = Column("dhw_demand", Kind.ENERGY, 0.0)
COOLING: Final = Column("cooling_demand", Kind.ENERGY, 0.0)
HEATING: Final = Column("heating_demand", Kind.ENERGY, 0.0)
SOLAR: Final = Column("solar_generation", Kind.ENERGY, 0.0)
#: The measured columns of a building's file, in its order: °C, °C, %, and kWh per step.
BUILDING_COLUMNS: Final = (
    Column("indoor_dry_bulb_temperature", Kind.INTENSIVE, 20.0),
    Column("average_unmet_cooling_setpoint_difference", Kind.INTENSIVE, 0.0),
    Column("indoor_relative_humidity", Kind.INTENSIVE, 50.0),
    LOAD,
    DHW,
    COOLING,
    HEATING,
    SOLAR,
)

#: Per kWh. A site without any price gets this one, and a warning.
PRICE: Final = Column("electricity_pricing", Kind.INTENSIVE, 0.0)
#: kg of CO2 per kWh.
CARBON: Final = Column("carbon_intensity", Kind.INTENSIVE, 0.0)
#: °C, %, W/m² and W/m².
WEATHER_COLUMNS: Final = (
    Column("outdoor_dry_bulb_temperature", Kind.INTENSIVE, 20.0),
    Column("outdoor_relative_humidity", Kind.INTENSIVE, 50.0),
    Column("diffuse_solar_irradiance", Kind.INTENSIVE, 0.0),
    Column("direct_solar_irradiance", Kind.INTENSIVE, 0.0),
)

#: Every column that a document may carry a reading of.
MEASURED: Final = {c.name: c for c in (*BUILDING_COLUMNS, PRICE, CARBON, *WEATHER_COLUMNS)}

#: Hours ahead of `electricity_pricing_predicted_1` to `_3`.
PRICE_AHEAD_HOURS: Final = (1, 2, 3)
#: Prices are read so far past a dataset's end, where they exist.
PRICES_BEYOND_MS: Final = max(PRICE_AHEAD_HOURS) * HOUR_MS
#: Hours ahead of a weather column's `_predicted_1` to `_3`: CityLearn's own convention.
WEATHER_AHEAD_HOURS: Final = (6, 12, 24)

#: CityLearn's charger file, in the order that it needs.
CHARGER_STATE: Final = "electric_vehicle_charger_state"
CHARGER_EV: Final = "electric_vehicle_id"
CHARGER_DEPARTURE: Final = "electric_vehicle_departure_time"
CHARGER_REQUIRED_SOC: Final = "electric_vehicle_required_soc_departure"
CHARGER_ARRIVAL: Final = "electric_vehicle_estimated_arrival_time"
CHARGER_ARRIVAL_SOC: Final = "electric_vehicle_estimated_soc_arrival"
CHARGER_COLUMNS: Final = (
    CHARGER_STATE,
    CHARGER_EV,
    CHARGER_DEPARTURE,
    CHARGER_REQUIRED_SOC,
    CHARGER_ARRIVAL,
    CHARGER_ARRIVAL_SOC,
)

#: What a request's `defaults` may set: the measured columns, and the SOC (percent) that cars leave or come with.
SETTABLE_DEFAULTS: Final = (*MEASURED, CHARGER_REQUIRED_SOC, CHARGER_ARRIVAL_SOC)
#: The SOC, in percent, that a car must leave with where nobody said.
REQUIRED_SOC: Final = 80.0
