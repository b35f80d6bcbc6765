"""The agents that a config can name: what each device is told to do at a step.

An action is a number within its bounds: the share of a battery's capacity, or of a charger's power, to charge
(positive) or discharge (negative) in the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from opeva_simulator.errors import ConfigError

if TYPE_CHECKING:
    from citylearn.citylearn import CityLearnEnv

#: One list for each of CityLearn's agents: one a building, or a single one for a central agent.
Actions = list[list[float]]

_STORAGES: Final = ("electrical_storage", "cooling_storage", "heating_storage", "dhw_storage")
_CHARGER: Final = "electric_vehicle_storage"


class Agent(Protocol):
    """Decides the actions of a step from the environment as it stands."""

    def actions(self) -> Actions: ...


class NoControl:
    """Leaves every device alone: batteries stay as they are and no car is charged."""

    def __init__(self, env: CityLearnEnv) -> None:
        self._actions: Actions = [[0.0] * len(names) for names in env.action_names]

    def actions(self) -> Actions:
        return self._actions


class RandomAgent:
    """Draws every action evenly from within its bounds."""

    def __init__(self, env: CityLearnEnv, seed: int | None) -> None:
        self._bounds = [(space.low, space.high) for space in env.action_space]
        self._generator = np.random.default_rng(seed)

    def actions(self) -> Actions:
        return [self._generator.uniform(low, high).tolist() for low, high in self._bounds]


class RuleBased:
    """Charges and discharges by the hour of the day (1..24), the same way every day.

    Hyperparameters: `charge_hours` and `discharge_hours` of the storages with their `rate` (share of the capacity per
    step), and `ev_charge_hours` with `ev_rate` (share of the charger's power); cars charge half as fast at other hours.
    """

    def __init__(self, env: CityLearnEnv, hyperparameters: dict[str, Any]) -> None:
        charge = _hours(hyperparameters, "charge_hours", range(10, 16))
        discharge = _hours(hyperparameters, "discharge_hours", range(18, 24))
        ev_charge = _hours(hyperparameters, "ev_charge_hours", [*range(1, 8), 23, 24])
        rate, ev_rate = _share(hyperparameters, "rate", 0.15), _share(hyperparameters, "ev_rate", 1.0)
        self._env = env
        self._by_hour: dict[int, Actions] = {}
        bounds = [(space.low, space.high) for space in env.action_space]
        for hour in range(1, 25):
            storage = rate if hour in charge else -rate if hour in discharge else 0.0
            car = ev_rate if hour in ev_charge else ev_rate / 2
            self._by_hour[hour] = [
                np.clip([_of(name, storage, car) for name in names], low, high).tolist()
                for names, (low, high) in zip(env.action_names, bounds, strict=True)
            ]

    def actions(self) -> Actions:
        building = self._env.buildings[0]
        # The hour from the data, not from the observations: a dataset may hide it from its agents.
        # Some data sets count the hours from 0.
        return self._by_hour[int(building.energy_simulation.hour[building.time_step]) or 24]


def _of(name: str, storage: float, car: float) -> float:
    """The action for the device that the action `name` controls; what is neither storage nor charger stays idle."""
    if name.startswith(_CHARGER):
        return car
    return storage if name in _STORAGES else 0.0


def _hours(hyperparameters: dict[str, Any], key: str, default: Any) -> set[int]:
    hours = hyperparameters.get(key, default)
    try:
        chosen = {int(hour) for hour in hours}
    except (TypeError, ValueError):
        chosen = {0}
    if not chosen <= set(range(1, 25)):
        raise ConfigError(f"algorithm.hyperparameters.{key} must be a list of hours from 1 to 24, not {hours!r}")
    return chosen


def _share(hyperparameters: dict[str, Any], key: str, default: float) -> float:
    value = hyperparameters.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"algorithm.hyperparameters.{key} must be a number from 0 to 1, not {value!r}")
    return float(value)


Maker = Callable[["CityLearnEnv", dict[str, Any], int | None], Agent]

_AGENTS: Final[dict[str, Maker]] = {
    "none": lambda env, _hyperparameters, _seed: NoControl(env),
    "baseline": lambda env, _hyperparameters, _seed: NoControl(env),
    "rbc": lambda env, hyperparameters, _seed: RuleBased(env, hyperparameters),
    "random": lambda env, _hyperparameters, seed: RandomAgent(env, seed),
}


def require_known(name: str) -> None:
    """Raise ConfigError for an agent that there isn't."""
    if name not in _AGENTS:
        raise ConfigError(f"algorithm.name {name!r} is no agent of this simulator: choose one of {', '.join(_AGENTS)}")


def make(name: str, env: CityLearnEnv, hyperparameters: dict[str, Any], seed: int | None) -> Agent:
    """The agent of that name for an environment that was reset. Raises ConfigError."""
    require_known(name)
    return _AGENTS[name](env, hyperparameters, seed)
