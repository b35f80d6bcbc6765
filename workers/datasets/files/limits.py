"""Values that CityLearn would stop at, made acceptable with as little change as can be, and counted.

- A step's `non_shiftable_load` below 0 is energy that went out: it moves to `solar_generation`, so that what the
  building takes from the grid stays the same.
- Demands below 0 become 0: no device can serve them.
- Of cooling and heating in one step the larger is kept, the other becomes 0.
"""

from dataclasses import dataclass

import numpy as np

from workers.datasets.files.manifest import LimitedSteps
from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import COOLING, DHW, HEATING, LOAD, SOLAR


@dataclass(frozen=True)
class Limited:
    """A building's energy columns that CityLearn takes, and how many steps were changed for which reason."""

    values: dict[str, Floats]
    exported_steps: int
    negative_demand_steps: int
    cooling_and_heating_steps: int

    def entry(self) -> LimitedSteps:
        return {
            "steps_with_load_below_zero": self.exported_steps,
            "steps_with_demand_below_zero": self.negative_demand_steps,
            "steps_with_cooling_and_heating": self.cooling_and_heating_steps,
        }

    def warnings(self, where: str) -> list[str]:
        found = []
        if self.exported_steps:
            found.append(
                f"{where}: {self.exported_steps} steps had a {LOAD.name} below 0, which CityLearn refuses: the surplus"
                f" was moved to {SOLAR.name}"
            )
        if self.negative_demand_steps:
            found.append(f"{where}: {self.negative_demand_steps} demands below 0 became 0: CityLearn refuses them")
        if self.cooling_and_heating_steps:
            found.append(
                f"{where}: {self.cooling_and_heating_steps} steps had cooling and heating: the larger was kept, since"
                " CityLearn refuses both"
            )
        return found


def limit(values: dict[str, Floats]) -> Limited:
    """A building's complete columns, by name, as CityLearn takes them."""
    result = dict(values)
    exported = np.minimum(values[LOAD.name], 0.0)
    result[LOAD.name] = values[LOAD.name] - exported
    result[SOLAR.name] = values[SOLAR.name] - exported
    negative = 0
    for column in (DHW, COOLING, HEATING):
        negative += int((values[column.name] < 0).sum())
        result[column.name] = np.maximum(values[column.name], 0.0)
    cooling, heating = result[COOLING.name], result[HEATING.name]
    both = (cooling > 0) & (heating > 0)
    result[COOLING.name] = np.where(both & (cooling < heating), 0.0, cooling)
    result[HEATING.name] = np.where(both & (cooling >= heating), 0.0, heating)
    return Limited(result, int((exported < 0).sum()), negative, int(both.sum()))
