"""The checks of the settings: the declarations of the options, as a model that pydantic validates."""

import json
from collections.abc import Callable
from dataclasses import Field as DataclassField
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, create_model
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers.common.setting import Facts, Form, factory_of, facts_of, settings_of

#: What the variables begin with; the rest is a setting's name in capitals.
PREFIX: Final = "OPEVA_"


class Values(BaseSettings):
    """The values of the settings by their flat names, from arguments and, where those lack one, the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True)


def model_of(*kinds: type[Any]) -> type[Values]:
    """A model with each setting that the classes of options declare."""
    declared: dict[str, Any] = {}
    for kind in kinds:
        hints = get_type_hints(kind)
        for option in settings_of(kind):
            if option.name in declared:
                raise TypeError(f"The setting {option.name} is declared twice")
            declared[option.name] = _field(option, hints[option.name])
    return create_model("SettingValues", __base__=Values, **declared)


def _field(option: "DataclassField[Any]", hint: Any) -> tuple[Any, Any]:
    facts = facts_of(option)
    checked = _checked(hint, facts)
    factory = factory_of(option)
    if factory is not None:
        return Annotated[checked, _if_unset(factory)], Field(default_factory=factory)
    if option.default == "":
        return Annotated[checked, _if_unset(str)], Field(default="")
    return checked, Field(default=option.default)


def _checked(hint: Any, facts: Facts) -> Any:
    """The type with the checks and the readings of texts that belong to it."""
    if type(None) in get_args(hint):
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return Annotated[_checked(inner, facts) | None, BeforeValidator(_none_if_blank)]
    if get_origin(hint) is tuple:
        items = GenericAlias(tuple, (_scalar(get_args(hint)[0], facts), ...))
        return Annotated[items, NoDecode, BeforeValidator(_words if facts.form is Form.WORDS else _list)]
    if get_origin(hint) is dict:
        value = _checked(get_args(hint)[1], facts)
        return Annotated[GenericAlias(dict, (str, value)), NoDecode, BeforeValidator(_map)]
    return _scalar(hint, facts)


def _scalar(hint: Any, facts: Facts) -> Any:
    if hint is float:
        return Annotated[float, Field(gt=facts.above, ge=facts.at_least, allow_inf_nan=False)]
    if hint is int:
        return Annotated[int, Field(gt=facts.above, ge=facts.at_least)]
    if hint is str:
        length = None if facts.at_least is None else int(facts.at_least)
        text = Annotated[str, Field(min_length=length)]
        return Annotated[text, AfterValidator(_PATHS[facts.form])] if facts.form in _PATHS else text
    return hint


def _blank(value: object) -> bool:
    """An empty variable means that the value is not set."""
    return isinstance(value, str) and not value.strip()


def _none_if_blank(value: object) -> object:
    return None if _blank(value) else value


def _if_unset(make: Callable[[], Any]) -> BeforeValidator:
    """What is not set is what `make` makes."""
    return BeforeValidator(lambda value: make() if value is None or _blank(value) else value)


def _list(value: object) -> object:
    """A comma-separated or JSON text as a list; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _words(value: object) -> object:
    """An argument list: a JSON list, or words separated by spaces."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return value.split()
    return _list(value)


def _map(value: object) -> object:
    """A JSON text as a map; anything else as it is."""
    return json.loads(value) if isinstance(value, str) else value


def _absolute(path: str) -> str:
    """A path without the slash at its end; an empty one stays, where that means that the value is not set."""
    if not path:
        return path
    if not Path(path).is_absolute():
        raise ValueError("it must be an absolute path")
    return path.rstrip("/") or "/"


def _below_root(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("it must be a path below the shared root")
    return path.strip("/")


_PATHS: Final = {Form.ABSOLUTE_PATH: _absolute, Form.PATH_BELOW_ROOT: _below_root}
