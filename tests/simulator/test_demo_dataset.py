"""The demo dataset, made from real buildings, and the configs that run on it."""

import json
import os
from pathlib import Path

import pytest
import yaml

from scripts.building_data import HOURS, citylearn_wheel, load_buildings
from scripts.demo_dataset import make_demo_dataset
from tests.simulator.conftest import SimulatorImage

CACHE = Path(os.environ.get("OPEVA_RUN_DIR", ".run")) / "cache"
#: The first test of a fresh machine builds the image.
pytestmark = pytest.mark.timeout(1200)

#: A month: what the example configs need at least.
DAYS = 31
CONFIGS = sorted(Path("configs").glob("*.yaml"))


def test_the_building_data_are_whole_years_in_the_units_that_they_claim() -> None:
    homes = load_buildings(citylearn_wheel(CACHE), 17)
    assert len(homes) == 17
    for home in homes:
        for series in (home.load, home.solar_per_kw, home.weather.temperature, home.price, home.carbon):
            assert series is not None
            assert len(series) == HOURS
        # kWh of a home in a year, and of a kW of PV in an hour.
        assert 5_000 < sum(home.load) < 20_000
        assert 0 < max(home.solar_per_kw) <= 1
        assert set(home.hour) == set(range(1, 25))
    # The clock that is claimed for the first row is the one that the data say.
    first = homes[0]
    assert (first.start.month, first.start.hour + 1, first.start.isoweekday()) == (
        first.month[0],
        first.hour[0],
        first.day_type[0],
    )


@pytest.fixture(scope="module")
def demo(simulator: SimulatorImage) -> SimulatorImage:
    make_demo_dataset(simulator.root, CACHE, days=DAYS, buildings=1)
    return simulator


def test_the_demo_dataset_is_stepped_to_its_end(demo: SimulatorImage) -> None:
    _, verdict = demo.validate("demo")
    assert verdict == {"ok": True, "steps": DAYS * 24 - 1, "connected_steps": 0, "error": None}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_the_example_configs_run_as_they_are(demo: SimulatorImage, config: Path) -> None:
    ended = demo.run(config.stem, yaml.safe_load(config.read_text()))
    assert ended.code == 0, ended.stdout
    result = json.loads((demo.folder(config.stem) / "results" / "result.json").read_text())
    assert set(result) == {"District", "Building_1"}


def test_a_demo_dataset_that_exists_is_left_as_it_is(demo: SimulatorImage) -> None:
    schema = demo.root / "datasets" / "demo" / "schema.json"
    before = schema.stat()
    make_demo_dataset(demo.root, CACHE, days=2)
    assert schema.stat() == before
    assert [path.name for path in schema.parent.parent.iterdir() if path.name.startswith(".")] == []
