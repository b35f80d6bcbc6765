"""Names that CityLearn knows, as of 3.0.2 and softcpsrecsimulator 1.7.0; one that it doesn't know stops it."""

from typing import Final

from workers.datasets.measures.columns import (
    BUILDING_COLUMNS,
    CARBON,
    CLOCK_COLUMNS,
    PRICE,
    PRICE_AHEAD_HOURS,
    WEATHER_AHEAD_HOURS,
    WEATHER_COLUMNS,
)

NET_CONSUMPTION: Final = "net_electricity_consumption"
#: Observations of each charger, and what CityLearn calls them once per charger.
CHARGER_OBSERVATIONS: Final = (
    "electric_vehicle_charger_connected_state",
    "connected_electric_vehicle_at_charger_battery_capacity",
    "connected_electric_vehicle_at_charger_departure_time",
    "connected_electric_vehicle_at_charger_required_soc_departure",
    "connected_electric_vehicle_at_charger_soc",
    "electric_vehicle_charger_incoming_state",
    "incoming_electric_vehicle_at_charger_estimated_arrival_time",
    "incoming_electric_vehicle_at_charger_estimated_soc_arrival",
)
OBSERVATIONS: Final = frozenset(
    {
        *CLOCK_COLUMNS,
        *(column.name for column in BUILDING_COLUMNS),
        *(column.name for column in WEATHER_COLUMNS),
        *(f"{c.name}_predicted_{n}" for c in WEATHER_COLUMNS for n, _ in enumerate(WEATHER_AHEAD_HOURS, 1)),
        PRICE.name,
        *(f"{PRICE.name}_predicted_{n}" for n in PRICE_AHEAD_HOURS),
        CARBON.name,
        *CHARGER_OBSERVATIONS,
        NET_CONSUMPTION,
        "cooling_storage_soc",
        "heating_storage_soc",
        "dhw_storage_soc",
        "electrical_storage_soc",
        "cooling_electricity_consumption",
        "heating_electricity_consumption",
        "dhw_electricity_consumption",
        "cooling_storage_electricity_consumption",
        "heating_storage_electricity_consumption",
        "dhw_storage_electricity_consumption",
        "electrical_storage_electricity_consumption",
        "cooling_device_efficiency",
        "heating_device_efficiency",
        "dhw_device_efficiency",
        "indoor_dry_bulb_temperature_cooling_set_point",
        "indoor_dry_bulb_temperature_heating_set_point",
        "indoor_dry_bulb_temperature_cooling_delta",
        "indoor_dry_bulb_temperature_heating_delta",
        "comfort_band",
        "occupant_count",
        "power_outage",
    }
)
#: Observations that a schema lists where neither the request nor the site does.
DEFAULT_OBSERVATIONS: Final = (
    "month",
    "hour",
    "day_type",
    "non_shiftable_load",
    "solar_generation",
    "electrical_storage_soc",
    NET_CONSUMPTION,
    PRICE.name,
    *(f"{PRICE.name}_predicted_{n}" for n in PRICE_AHEAD_HOURS),
    *CHARGER_OBSERVATIONS,
)

STORAGE_ACTION: Final = "electrical_storage"
COMBINED_DEVICE_ACTION: Final = "cooling_or_heating_device"
DEVICE_ACTIONS: Final = ("cooling_device", "heating_device")
ACTIONS: Final = frozenset(
    {
        "cooling_storage",
        "heating_storage",
        "dhw_storage",
        STORAGE_ACTION,
        "electric_vehicle_storage",
        COMBINED_DEVICE_ACTION,
        *DEVICE_ACTIONS,
    }
)
DEFAULT_ACTIONS: Final = (STORAGE_ACTION, "electric_vehicle_storage")

DEFAULT_REWARD: Final = "citylearn.reward_function.RewardFunction"
REWARDS: Final = frozenset(
    f"citylearn.reward_function.{name}"
    for name in (
        "RewardFunction",
        "MARL",
        "IndependentSACReward",
        "SolarPenaltyReward",
        "ComfortReward",
        "SolarPenaltyAndComfortReward",
        "Electric_Vehicles_Reward_Function",
    )
)
DEFAULT_AGENT: Final = "citylearn.agents.rbc.BasicBatteryRBC"
