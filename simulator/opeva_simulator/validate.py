"""The proof of a dataset: CityLearn loads it and steps it to its end."""

from dataclasses import dataclass
from pathlib import Path

from citylearn.citylearn import CityLearnEnv

from opeva_simulator.agents import NoControl
from opeva_simulator.dataset import open_environment
from opeva_simulator.errors import DatasetError


@dataclass
class Verdict:
    """`steps` made; `connected_steps`, in how many rows of all chargers a car was plugged in; what failed."""

    ok: bool = False
    steps: int = 0
    connected_steps: int = 0
    error: str | None = None


def validate(folder: Path) -> Verdict:
    """Load and step the dataset in `folder` as one episode, unedited in all else."""
    verdict = Verdict()
    try:
        env = open_environment(folder, {"episode_time_steps": None}, interface="flat")
    except DatasetError as error:
        verdict.error = str(error)
        return verdict
    try:
        env.reset()
        actions = NoControl(env).actions()
        verdict.connected_steps += _connected(env)
        while not (env.terminated or env.truncated):
            env.step(actions)
            verdict.steps += 1
            verdict.connected_steps += _connected(env)
        verdict.ok = True
    except Exception as error:
        # Whatever CityLearn raises while stepping is the verdict on the rows that it has come to.
        verdict.error = f"CityLearn can't step past step {verdict.steps}: {type(error).__name__}: {error}"
    return verdict


def _connected(env: CityLearnEnv) -> int:
    return sum(
        charger.connected_electric_vehicle is not None
        for building in env.buildings
        for charger in building.electric_vehicle_chargers or []
    )
