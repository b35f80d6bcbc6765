"""Documents as producers write them, in each of the shapes that occur."""

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from bson.decimal128 import Decimal128

from scripts.sample_sites.options import SampleOptions, Shape, StampForm
from scripts.sample_sites.sessions import Session

Document = dict[str, Any]

_PRICE: Final = "electricity_pricing"


class Producer:
    """Writes documents. `zone` is the local clock of the site's people."""

    def __init__(self, options: SampleOptions, zone: ZoneInfo) -> None:
        self._options = options
        self._zone = zone
        self._source = None if options.source_time_zone is None else ZoneInfo(options.source_time_zone)

    def document(
        self, instant: int, row: Mapping[str, float], plugged: Mapping[str, Session | None], random: Random
    ) -> Document:
        """One reading; `plugged` has every charger of the building, with the car that is there."""
        stamp = self.stamp(instant, random.choice(self._options.stamps))
        values = {name: self._number(value, random) for name, value in row.items()}
        shape = random.choice(self._options.shapes)
        if shape is Shape.FLAT:
            document: Document = {"timestamp": stamp, **values, "generated": 0}
            if plugged:
                document["charging_sessions"] = [
                    self._listed(charger, plugged[charger], instant) for charger in plugged
                ]
            return document
        if plugged:
            values |= _by_charger(plugged, instant)
        if shape is Shape.SESSION_DICT:
            return {"timestamp": stamp, **values}
        document = {"timestamp": stamp}
        if _PRICE in row:
            del values[_PRICE]
            document["energy_price"] = {"measurement_unit": "EUR/MWh", "values": [round(row[_PRICE] * 1000, 6)]}
        return document | {"observations": values}

    def stamp(self, instant: int, form: StampForm) -> Any:
        """A timestamp as a producer writes it. An hour that its clock shows twice is written with its offset."""
        moment = datetime.fromtimestamp(instant, UTC)
        if form is StampForm.SECONDS:
            return instant
        if form is StampForm.MILLISECONDS:
            return instant * 1000
        if form is StampForm.TEXT:
            return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
        local = moment.astimezone(self._source or UTC)
        twice = local.utcoffset() != local.replace(fold=not local.fold).utcoffset()
        if form is StampForm.OFFSET or twice:
            return moment.astimezone(self._zone).isoformat()
        clock = local.replace(tzinfo=UTC)
        return clock if form is StampForm.DATE else f"{clock:%Y-%m-%d %H:%M:%S}"

    def _listed(self, charger: str, session: Session | None, instant: int) -> Document:
        if session is None:
            return {"charger_id": charger, "soc": -1, "power": 0.0, "user_id": "", "flexibility": None}
        return {
            "charger_id": charger,
            "soc": session.soc(instant),
            "power": session.power(instant),
            "user_id": session.user,
            "flexibility": {
                "arrival.time": self._clock(session.arrival),
                "arrival.soc": session.arrival_soc,
                "departure.time": self._clock(session.departure),
                "departure.soc": session.required_soc,
            },
        }

    def _clock(self, instant: int) -> str:
        return f"{datetime.fromtimestamp(instant, UTC).astimezone(self._zone):%H:%M:%S}"

    def _number(self, value: float, random: Random) -> Any:
        if not self._options.odd_numbers or random.random() >= self._options.odd_numbers:
            return value
        return random.choice((str(value), Decimal128(str(value))))


def _by_charger(plugged: Mapping[str, Session | None], instant: int) -> Document:
    chargers: Document = {}
    vehicles: Document = {}
    for charger, session in plugged.items():
        chargers[charger] = {
            "power": 0.0 if session is None else session.power(instant),
            "electric_vehicle": "" if session is None else session.user,
        }
        if session is not None:
            vehicles[session.user] = {
                "SoC": round(session.soc(instant) / 100, 4),
                "flexibility": {
                    "estimated_soc_at_departure": session.required_soc / 100,
                    "estimated_time_at_departure": _utc(session.departure),
                    "estimated_soc_at_arrival": session.arrival_soc / 100,
                    "estimated_time_at_arrival": _utc(session.arrival),
                    "charger": charger,
                    "mode": "charging" if session.power(instant) else "idle",
                },
            }
    return {"charging_sessions": chargers, "electric_vehicles": vehicles}


def _utc(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%S}Z"
