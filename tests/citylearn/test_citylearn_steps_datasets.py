"""Built datasets load in CityLearn and step to their end, unedited, in each environment that it comes in."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.citylearn.documents import SHAPES, schema, site
from tests.datasets_in_memory import build, numbers, texts, write
from tests.instants import utc
from workers.datasets.builds.assembly import Dataset
from workers.datasets.files.schema_names import ACTIONS, OBSERVATIONS
from workers.datasets.measures.columns import CHARGER_STATE

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {"CityLearn 3.0.2": ".venv-citylearn", "softcpsrecsimulator 1.7.0": ".venv-softcps"}
#: The day before each change of the clock, from local midnight.
SPRING, AUTUMN = utc("2025-03-29 00:00"), utc("2025-10-24 23:00")
#: The body that an existing client sends, with 21 observations.
CLIENT_OBSERVATIONS = (
    *("month", "day_type", "hour", "outdoor_dry_bulb_temperature", "outdoor_relative_humidity"),
    *("diffuse_solar_irradiance", "direct_solar_irradiance", "carbon_intensity", "indoor_dry_bulb_temperature"),
    *("average_unmet_cooling_setpoint_difference", "indoor_relative_humidity", "non_shiftable_load"),
    *("solar_generation", "dhw_storage_soc", "electrical_storage_soc", "electricity_pricing", "dhw_demand"),
    *("cooling_demand", "heating_demand", "electric_vehicle_soc", "power_outage"),
)
CLIENT: dict[str, Any] = {
    "random_seed": 2022,
    "root_directory": "",
    "central_agent": False,
    "simulation_start_time_step": 0,
    "simulation_end_time_step": 8759,
    "episode_time_steps": 1,
    "rolling_episode_split": False,
    "random_episode_split": False,
    "seconds_per_time_step": 3600,
    "observations": {n: {"active": False, "shared_in_central_agent": False} for n in CLIENT_OBSERVATIONS},
    "actions": {n: {"active": False} for n in ("electrical_storage", "electric_vehicle_storage")},
    "agent": {"type": "citylearn.agents.rbc.BasicBatteryRBC", "attributes": {}},
    "reward_function": {"type": "citylearn.reward_function.RewardFunction"},
}
EVERYTHING = {
    "central_agent": True,
    "observations": {name: {"active": True, "shared_in_central_agent": True} for name in OBSERVATIONS},
    "actions": {name: {"active": True} for name in ACTIONS},
    "carbon_intensity": 0.2,
}


@dataclass(frozen=True)
class Case:
    """A dataset to prove: three days around a change of the clock."""

    period: int
    chargers: bool
    shapes: tuple[str, str]
    autumn: bool
    config: Any = None

    @property
    def name(self) -> str:
        word = "cars" if self.chargers else "no-cars"
        return f"{self.period}-{word}-{'+'.join(self.shapes)}-{'october' if self.autumn else 'march'}".replace(" ", "-")

    def build(self) -> Dataset:
        start = AUTUMN if self.autumn else SPRING
        documents = site(start, 3, dict(zip("AB", self.shapes, strict=True)), chargers=self.chargers)
        end = start + timedelta(days=3)
        body = {
            "period": self.period,
            "from_ts": f"{start:%Y-%m-%d %H:%M:%S}",
            "until_ts": f"{end:%Y-%m-%d %H:%M:%S}",
            "citylearn_configs": self.config or {},
        }
        return build(documents, body, schema(chargers=self.chargers))


FOUR = [
    Case(60, chargers=True, shapes=("flat", "nested"), autumn=True),
    Case(15, chargers=True, shapes=("session dict", "flat"), autumn=False),
    Case(15, chargers=True, shapes=("nested", "session dict"), autumn=True, config=EVERYTHING),
    Case(60, chargers=False, shapes=("nested", "flat"), autumn=False, config=CLIENT),
]
ALL = [
    Case(period, chargers, (first, second), autumn, config)
    for period, chargers, first, second, autumn, config in product(
        (15, 60), (True, False), SHAPES, SHAPES[:1], (True, False), (None, EVERYTHING)
    )
]
Proof = Callable[[str, Case], tuple[Dataset, dict[str, Any]]]


def step(environment: str, folders: list[Path]) -> list[dict[str, Any]]:
    """What CityLearn says of datasets, having stepped each to its end."""
    command = [str(ROOT / ENVIRONMENTS[environment] / "bin/python"), str(Path(__file__).with_name("step_dataset.py"))]
    done = subprocess.run([*command, *map(str, folders)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """The dataset of one of the four cases, and what an environment says of it; each environment starts once."""
    datasets = {case.name: case.build() for case in FOUR}
    folders = {name: write(dataset, tmp_path_factory.mktemp("datasets") / name) for name, dataset in datasets.items()}
    answers: dict[str, dict[str, dict[str, Any]]] = {}

    def proof(environment: str, case: Case) -> tuple[Dataset, dict[str, Any]]:
        if environment not in answers:
            answers[environment] = dict(zip(folders, step(environment, list(folders.values())), strict=True))
        return datasets[case.name], answers[environment][case.name]

    return proof


def check(case: Case, dataset: Dataset, answer: dict[str, Any]) -> None:
    rows = dataset.manifest["rows"]
    assert (answer["rows"], answer["steps"]) == (rows, rows - 1)
    assert answer["finite"]
    assert answer["buildings"] == ["A", "B"]
    assert answer["kpis"] > 0
    # What CityLearn takes the step for is what it is; otherwise it would convert energy, and say so.
    assert answer["dataset_seconds"] == [case.period * 60.0] * 2
    assert answer["notices"] == ""
    for building in "AB":
        file = f"building_{building}.csv"
        load, sun = (sum(numbers(dataset, file, name)) for name in ("non_shiftable_load", "solar_generation"))
        assert answer["load_kwh"][building] == pytest.approx(load, rel=1e-5)
        assert answer["solar_kwh"][building] == pytest.approx(sun, rel=1e-5)
    assert answer["price_first"] == pytest.approx(numbers(dataset, "pricing.csv", "electricity_pricing")[0], rel=1e-6)
    if not case.chargers:
        assert answer["connected_steps"] == {}
        return
    assert len(answer["cars"]) == 2
    for charger in ("AC1", "AC2"):
        states = texts(dataset, f"{charger}.csv", CHARGER_STATE)
        assert answer["connected_steps"][charger] == states[:-1].count("1") > 0
        assert answer["charged_kwh"][charger] > 1.0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", FOUR, ids=lambda case: case.name)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_datasets_step_to_their_end_and_cars_take_energy(environment: str, case: Case, proofs: Proof) -> None:
    dataset, answer = proofs(environment, case)
    check(case, dataset, answer)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_all_combinations_step_to_their_end(environment: str, tmp_path: Path) -> None:
    datasets = [case.build() for case in ALL]
    folders = [write(dataset, tmp_path / str(number)) for number, dataset in enumerate(datasets)]
    for case, dataset, answer in zip(ALL, datasets, step(environment, folders), strict=True):
        check(case, dataset, answer)
