"""What a dataset request asks for, checked before anything is read or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput
from workers.datasets.measures.columns import CHARGER_ARRIVAL_SOC, CHARGER_REQUIRED_SOC, SETTABLE_DEFAULTS
from workers.datasets.measures.grid import DAY_MS, MINUTE_MS
from workers.datasets.measures.numbers import number
from workers.sites.instants import parse_instant

DEFAULT_PERIOD: Final = 60
DEFAULT_HORIZON_MINUTES: Final = 120
_DAY_MINUTES: Final = DAY_MS // MINUTE_MS
_MAX_DESCRIPTION: Final = 10_000
#: What `citylearn_configs` may hold beside CityLearn's own keys.
_OURS: Final = (
    "selected_buildings",
    "time_zone",
    "drop_generated",
    "incoming_horizon_minutes",
    "weather",
    "carbon_intensity",
    "defaults",
)
_SOC_DEFAULTS: Final = (CHARGER_REQUIRED_SOC, CHARGER_ARRIVAL_SOC)


@dataclass(frozen=True)
class DatasetRequest:
    """A request for a dataset.

    `period` in minutes; `from_ms` and `until_ms` are instants, None for all there is; `citylearn` holds CityLearn's own
    keys as they were sent. `weather` and `carbon_intensity` may name another dataset; the latter may be a number
    instead (kg of CO2 per kWh).
    """

    name: str
    site: str
    description: str
    period: int
    from_ms: int | None
    until_ms: int | None
    overwrite: bool
    validate: bool
    citylearn: dict[str, Any]
    selected_buildings: tuple[str, ...] | None
    time_zone: str | None
    drop_generated: bool
    incoming_horizon_minutes: int
    weather: str | None
    carbon_intensity: float | str | None
    defaults: dict[str, float]

    @property
    def period_ms(self) -> int:
        return self.period * MINUTE_MS


def parse_request(body: Mapping[str, Any]) -> DatasetRequest:
    """The request in a POST's body.

    Raises:
        InvalidInput: a field is missing or can't be meant; the sentence names it.
    """
    name = names.dataset_name(body.get("name"))
    site = names.site_name(body.get("site_id"))
    from_ms, until_ms = _window(body.get("from_ts"), body.get("until_ts"))
    config = _config(body)
    ours = {key: config.pop(key) for key in _OURS if key in config}
    return DatasetRequest(
        name=name,
        site=site,
        description=_text(body.get("description") or "", "description", _MAX_DESCRIPTION),
        period=_period(body.get("period")),
        from_ms=from_ms,
        until_ms=until_ms,
        overwrite=_flag(body.get("overwrite"), "overwrite"),
        validate=_flag(body.get("validate"), "validate"),
        citylearn=config,
        selected_buildings=_buildings(ours.get("selected_buildings")),
        time_zone=None if ours.get("time_zone") is None else zone_name(ours["time_zone"], "time_zone"),
        drop_generated=_flag(ours.get("drop_generated"), "drop_generated"),
        incoming_horizon_minutes=_horizon(ours.get("incoming_horizon_minutes")),
        weather=_other_dataset(ours.get("weather"), "weather"),
        carbon_intensity=_carbon(ours.get("carbon_intensity")),
        defaults=_defaults(ours.get("defaults")),
    )


def zone_name(value: object, what: str) -> str:
    """A time zone's name, such as Europe/Lisbon; `what` names the field in the error."""
    if isinstance(value, str):
        try:
            return ZoneInfo(value.strip()).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # Unknown, a path out of the zones' folder, or a folder: none is a zone.
            pass
    raise InvalidInput(
        f"{what} {value!r} is not a time zone; zones look like Europe/Lisbon", ErrorCode.INVALID_TIME_ZONE
    )


def _config(body: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: body[key] for key in ("citylearn_configs", "config") if body.get(key) is not None}
    for key, value in given.items():
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{key} must be an object")
    if len(given) == 2 and given["citylearn_configs"] != given["config"]:
        raise InvalidInput("citylearn_configs and config are two names of one thing: send one of them")
    return dict(next(iter(given.values()), {}))


def _period(value: object) -> int:
    if value is None:
        return DEFAULT_PERIOD
    minutes = number(value)
    if isinstance(value, bool) or minutes != minutes // 1 or minutes < 1 or _DAY_MINUTES % minutes:
        raise InvalidInput(
            f"period {value!r} must be a number of minutes that divides a day, such as 15, 30 or 60",
            ErrorCode.INVALID_PERIOD,
        )
    return int(minutes)


def _window(start: object, end: object) -> tuple[int | None, int | None]:
    from_ms, until_ms = _instant(start, "from_ts"), _instant(end, "until_ts")
    if from_ms is not None and until_ms is not None and from_ms >= until_ms:
        raise InvalidInput(f"from_ts {start} must be before until_ts {end}", ErrorCode.INVALID_WINDOW)
    return from_ms, until_ms


def _instant(value: object, what: str) -> int | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{what} {value!r} must be a text such as 2025-06-07T14:30:00Z", ErrorCode.INVALID_TIME)
    return round(parse_instant(value, what) * 1000)


def _flag(value: object, what: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} {value!r} must be true or false")
    return value


def _text(value: object, what: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise InvalidInput(f"{what} must be a text of at most {most} characters")
    return value


def _buildings(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise InvalidInput("selected_buildings must be a list of buildings' names")
    return tuple(dict.fromkeys(value)) or None


def _horizon(value: object) -> int:
    if value is None:
        return DEFAULT_HORIZON_MINUTES
    minutes = number(value)
    if isinstance(value, bool) or not 0 <= minutes <= 7 * _DAY_MINUTES:
        raise InvalidInput(f"incoming_horizon_minutes {value!r} must be a number of minutes from 0 to a week")
    return int(minutes)


def _other_dataset(value: object, what: str) -> str | None:
    if value is None:
        return None
    try:
        return names.dataset_name(value)
    except InvalidInput as error:
        raise InvalidInput(f"{what} must name a dataset: {error.detail}", error.code) from error


def _carbon(value: object) -> float | str | None:
    if value is None or isinstance(value, str):
        return _other_dataset(value, "carbon_intensity")
    intensity = number(value)
    if isinstance(value, bool) or not intensity >= 0:
        raise InvalidInput(f"carbon_intensity {value!r} must be a number (kg of CO2 per kWh) or name a dataset")
    return intensity


def _defaults(value: object) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput("defaults must be an object of columns and numbers")
    result = {}
    for column, given in value.items():
        if column not in SETTABLE_DEFAULTS:
            raise InvalidInput(
                f"defaults names {column!r}, which is no column; columns: {', '.join(SETTABLE_DEFAULTS)}"
            )
        result[column] = number(given)
        low, high = (0, 100) if column in _SOC_DEFAULTS else (-1e9, 1e9)
        if isinstance(given, bool) or not low <= result[column] <= high:
            raise InvalidInput(f"defaults.{column} {given!r} must be a number from {low:g} to {high:g}")
    return result
