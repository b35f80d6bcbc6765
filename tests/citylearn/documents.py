"""Documents of a small site in any of the three shapes, with cars that come and go."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

LISBON = ZoneInfo("Europe/Lisbon")
SHAPES = ("flat", "session dict", "nested")
#: Cars by charger: when they are plugged in, by the site's clock.
WORKDAY = {"AC1": ("anna", 9, 17), "AC2": ("11824", 8, 13)}
CHARGERS: dict[str, Any] = {"AC1": {"attributes": {"nominal_power": 7.4, "max_charging_power": 7.4}}}


def schema(*, chargers: bool) -> dict[str, Any]:
    """The site's schema."""
    return {
        "buildings": {
            "A": {
                "include": True,
                "electrical_storage": {"attributes": {"capacity": 6.4, "nominal_power": 5.0}},
                "pv": {"attributes": {"nominal_power": 4.0}},
                "chargers": CHARGERS if chargers else {},
            },
            "B": {"include": True},
        },
        "electric_vehicles_def": {"EV_1": {"user_ids": ["anna"], "battery": {"attributes": {"capacity": 40.0}}}},
    }


def site(start: datetime, days: int, shapes: Mapping[str, str], *, chargers: bool) -> dict[str, list[dict[str, Any]]]:
    """`days` days of documents every 15 minutes from `start`, for buildings A and B in the shape that each has."""
    return {
        f"building_{name}": [
            document(start + timedelta(minutes=15 * i), shape, chargers=chargers and name == "A")
            for i in range(96 * days)
        ]
        for name, shape in shapes.items()
    }


def document(moment: datetime, shape: str, *, chargers: bool) -> dict[str, Any]:
    """What a building says at a moment; the same in each shape."""
    local = moment.astimezone(LISBON)
    sun = max(0.0, math.sin((local.hour - 6) / 12 * math.pi))
    measured: dict[str, Any] = {
        "non_shiftable_load": round(0.3 + 0.2 * sun, 6) if local.hour % 7 else -0.05,
        "solar_generation": round(0.4 * sun, 6),
        "indoor_dry_bulb_temperature": 20.0 + sun,
        "cooling_demand": 0.1 if sun > 0.8 else 0.0,
        "heating_demand": 0.1 if local.hour < 6 else 0.0,
        "dhw_demand": 0.05,
    }
    price = round(0.1 + 0.01 * local.hour, 6)
    plugged = {c: user for c, (user, come, go) in WORKDAY.items() if chargers and come <= local.hour < go}
    if shape == "flat":
        sessions = [
            {
                "charger_id": charger,
                "user_id": plugged.get(charger, ""),
                "soc": 40 if charger in plugged else None,
                "flexibility": {"departure.time": f"{go:02}:00:00", "departure.soc": 80},
            }
            for charger, (_, _, go) in WORKDAY.items()
        ]
        return {
            "timestamp": moment,
            **measured,
            "electricity_pricing": price,
            "charging_sessions": sessions if chargers else [],
        }
    of_dicts: dict[str, Any] = {
        **measured,
        "charging_sessions": {c: {"power": 0, "electric_vehicle": plugged.get(c, "")} for c in WORKDAY if chargers},
        "electric_vehicles": {user: vehicle(local, WORKDAY[c][2]) for c, user in plugged.items()},
    }
    if shape == "session dict":
        return {"timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}", **of_dicts, "energy_price": price}
    prices = {"values": [round(price * 1000, 3)], "measurement_unit": "€/MWh"}
    return {"timestamp": int(moment.timestamp()), "observations": {**of_dicts, "energy_price": prices}}


def vehicle(local: datetime, leaves: int) -> dict[str, Any]:
    departure = local.replace(hour=leaves, minute=0).isoformat()
    return {
        "SoC": 0.4,
        "flexibility": {"estimated_soc_at_departure": 0.8, "estimated_time_at_departure": departure},
    }
