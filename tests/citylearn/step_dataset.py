"""Loads datasets in CityLearn, steps each to its end and says what happened, as a JSON list.

Run with the Python of an environment that holds CityLearn (or softcpsrecsimulator, which installs as `citylearn` too):
`python step_dataset.py FOLDER...`. It imports nothing of this product.
"""

import contextlib
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

from citylearn.citylearn import CityLearnEnv


def step(folder: Path) -> dict[str, object]:
    env = CityLearnEnv(str(folder / "schema.json"))
    charger_of = {c.charger_id: c for b in env.buildings for c in b.electric_vehicle_chargers or []}
    env.reset()
    steps, connected = 0, dict.fromkeys(charger_of, 0)
    finite = True
    while not (env.terminated or env.truncated):
        for charger_id, charger in charger_of.items():
            connected[charger_id] += charger.connected_electric_vehicle is not None
        actions = [[float(high) for high in space.high] for space in env.action_space]
        observations, rewards, *_ = env.step(actions)
        finite = finite and all(math.isfinite(v) for row in [*observations, rewards] for v in row_of(row))
        steps += 1
    kpis = env.evaluate()
    return {
        "rows": env.time_steps,
        "steps": steps,
        "finite": finite,
        "buildings": [b.name for b in env.buildings],
        "cars": [ev.name for ev in env.electric_vehicles],
        "connected_steps": {k: int(v) for k, v in connected.items()},
        "charged_kwh": {
            k: float(sum(max(float(v), 0.0) for v in c.electricity_consumption)) for k, c in charger_of.items()
        },
        "seconds_per_time_step": env.seconds_per_time_step,
        "dataset_seconds": [b.energy_simulation.dataset_seconds_per_time_step for b in env.buildings],
        "load_kwh": {b.name: float(sum(b.energy_simulation.non_shiftable_load)) for b in env.buildings},
        "solar_kwh": {b.name: float(sum(generation(b))) for b in env.buildings},
        "price_first": float(env.buildings[0].pricing.electricity_pricing[0]),
        "kpis": len(kpis),
    }


def generation(building: Any) -> Any:
    """What the building's PV makes of its file, in kWh per step; the last row is never stepped, but counts here."""
    return building.pv.get_generation(building.energy_simulation.solar_generation)


def row_of(value: object) -> list[float]:
    return [float(v) for v in value] if isinstance(value, list | tuple) else [float(value)]  # type: ignore[arg-type]


def main(folders: list[str]) -> list[dict[str, object]]:
    answers = []
    for folder in folders:
        # CityLearn prints notices; standard output is for the answers alone.
        with contextlib.redirect_stdout(io.StringIO()) as notices:
            answer = step(Path(folder))
        answers.append({**answer, "notices": notices.getvalue()})
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:]), default=float))
