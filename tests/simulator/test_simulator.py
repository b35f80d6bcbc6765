"""What a simulation container promises to those who start, follow and stop it."""

import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from docker.models.containers import Container

from tests.simulator.conftest import RUN_DEADLINE_S, Outcome, SimulatorImage, outcome
from tests.simulator.tiny_dataset import BUILDING, PLUGGED_IN, ROWS

#: The first test of a fresh machine builds the image.
pytestmark = pytest.mark.timeout(1200)

#: From one row to the next.
STEPS = ROWS - 1
#: A step is about a millisecond: long enough to be caught running on any machine.
ENDLESS = 20_000


def newer(**simulator: Any) -> dict[str, Any]:
    """A config of the newer family on the tiny dataset."""
    return {
        "metadata": {"experiment_name": "tiny", "run_name": "newer"},
        "simulator": {"dataset_path": "/data/datasets/tiny/schema.json", **simulator},
        "training": {"seed": 5},
        "algorithm": {"name": "rbc"},
    }


def older(algorithm: str, **experiment: Any) -> dict[str, Any]:
    """A config of the older family, which names the dataset's folder."""
    return {
        "experiment": {"name": "tiny", "run_name": "older", "logging": {"log_level": "INFO"}, **experiment},
        "simulator": {"dataset_path": "/data/datasets/tiny", "export": {"mode": "none"}},
        "training": {"seed": 5},
        "algorithm": {"class": algorithm},
    }


def read_json(path: Path) -> Any:
    """The file's content; NaN and Infinity, which JSON doesn't have, fail."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


def wait_for(path: Path, container: Container) -> None:
    """Wait until the container has written `path`."""
    deadline = time.monotonic() + RUN_DEADLINE_S
    while not path.exists():
        container.reload()
        assert container.status in {"created", "running"}, container.logs().decode()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


class Finished(NamedTuple):
    """A job of two episodes that ran to its end, and each progress that a follower saw meanwhile."""

    folder: Path
    ended: Outcome
    seen: list[dict[str, Any]]


@pytest.fixture(scope="module")
def finished(simulator: SimulatorImage) -> Finished:
    folder = simulator.folder("finished")
    simulator.submit("finished", newer(episodes=2))
    (folder / "job_info.json").write_text(
        json.dumps({"job_id": "finished", "job_name": "mine", "target_host": "local"})
    )
    seen: list[dict[str, Any]] = []
    progress = folder / "progress" / "progress.json"
    with simulator.started("finished") as container:
        wait_for(progress, container)
        while container.status in {"created", "running"}:
            seen.append(read_json(progress))
            container.reload()
        ended = outcome(container)
    seen.append(read_json(progress))
    return Finished(folder, ended, seen)


def test_a_finished_run_ends_with_0_and_says_so(finished: Finished) -> None:
    assert finished.ended.code == 0, finished.ended
    assert finished.ended.stderr == ""
    assert finished.ended.stdout.splitlines()[-1].endswith("Finished")


def test_its_log_file_holds_what_it_printed(finished: Finished) -> None:
    assert (finished.folder / "logs" / "finished.log").read_text() == finished.ended.stdout


def test_progress_is_whole_whenever_it_is_read_and_only_grows_to_100(finished: Finished) -> None:
    percents = [progress["progress_pct"] for progress in finished.seen]
    assert percents == sorted(percents)
    last = finished.seen[-1]
    assert last.pop("timestamp")
    assert last == {
        "status": "finished",
        "episode": 2,
        "episode_total": 2,
        "step": STEPS,
        "step_total": STEPS,
        "global_step": 2 * STEPS,
        "global_step_total": 2 * STEPS,
        "progress_pct": 100.0,
    }


def test_progress_is_printed_about_every_5_percent(finished: Finished) -> None:
    assert sum(line.endswith(" %") for line in finished.ended.stdout.splitlines()) == 20


def test_result_has_kpis_of_the_district_and_of_each_building_with_null_for_undefined_ones(finished: Finished) -> None:
    result = read_json(finished.folder / "results" / "result.json")
    assert set(result) == {"District", BUILDING}
    assert result["District"]["cost_total"] > 0
    assert result[BUILDING]["discomfort_proportion"] is None


def test_time_series_of_each_episode_have_a_row_for_each_step(finished: Finished) -> None:
    (session,) = (finished.folder / "results" / "simulation_data").iterdir()
    for episode in (0, 1):
        for of in ("community", "pricing", "ev_1", "r-h-01", "r-h-01_battery", "r-h-01_AC_1"):
            path = session / f"exported_data_{of}_ep{episode}.csv"
            with path.open() as file:
                assert len(list(csv.DictReader(file))) == STEPS, path.name
    with (session / "exported_kpis.csv").open() as file:
        kpis = {row["KPI"]: row[BUILDING] for row in csv.DictReader(file)}
    # The rule-based agent did charge the cars.
    assert float(kpis["building_ev_total_charge_kwh"]) > 10


def test_job_info_keeps_what_was_there_and_gains_the_run(finished: Finished) -> None:
    info = read_json(finished.folder / "job_info.json")
    assert info["job_name"] == "mine"
    assert info["target_host"] == "local"
    assert info["run_name"] == "newer"
    assert len(info["run_id"]) == 32


def test_no_control_leaves_every_kpi_at_1(simulator: SimulatorImage) -> None:
    assert simulator.run("none", older("none")).code == 0
    district = read_json(simulator.folder("none") / "results" / "result.json")["District"]
    assert district["cost_total"] == pytest.approx(1)
    assert not (simulator.folder("none") / "results" / "simulation_data").exists()


def test_random_actions_repeat_with_the_seed(simulator: SimulatorImage) -> None:
    results = []
    for job_id in ("random-1", "random-2"):
        assert simulator.run(job_id, older("random")).code == 0
        results.append(read_json(simulator.folder(job_id) / "results" / "result.json"))
    assert results[0] == results[1]
    assert results[0]["District"]["cost_total"] != pytest.approx(1)


def test_an_episode_can_be_a_part_of_the_dataset(simulator: SimulatorImage) -> None:
    ended = simulator.run("part", newer(episodes=3, episode_time_steps=24, export={"mode": "none"}))
    assert ended.code == 0, ended
    progress = read_json(simulator.folder("part") / "progress" / "progress.json")
    assert progress["step_total"] == 23
    assert progress["global_step_total"] == 69


def test_sigterm_ends_the_run_with_143_and_says_that_it_was_stopped(simulator: SimulatorImage) -> None:
    folder = simulator.folder("stopped")
    simulator.submit("stopped", newer(episodes=ENDLESS, export={"mode": "none"}))
    with simulator.started("stopped") as container:
        wait_for(folder / "progress" / "progress.json", container)
        # KILL, after that long, would end it with 137.
        container.stop(timeout=60)
        assert outcome(container).code == 143
    assert read_json(folder / "progress" / "progress.json")["status"] == "stopped"
    assert "Stopped by SIGTERM" in (folder / "logs" / "stopped.log").read_text()
    assert not (folder / "results" / "result.json").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithm": {"name": "oracle"}}, "algorithm.name 'oracle' is no agent of this simulator"),
        ({"simulator": {"dataset_path": "datasets/tiny"}}, "simulator.dataset_path 'datasets/tiny' must be absolute"),
        ({"metadata": None}, "The config names no experiment"),
        ({"algorithm": {"name": "rbc", "hyperparameters": {"rate": "fast"}}}, "algorithm.hyperparameters.rate"),
    ],
)
def test_a_config_that_asks_for_the_impossible_ends_with_2_and_names_the_field(
    simulator: SimulatorImage, change: dict[str, Any], says: str
) -> None:
    job_id = f"bad-{next(iter(change))}-{len(says)}"
    ended = simulator.run(job_id, newer() | change)
    assert ended.code == 2
    assert says in ended.stdout
    assert "Traceback" not in ended.stdout
    assert says in (simulator.folder(job_id) / "logs" / f"{job_id}.log").read_text()


@pytest.fixture
def broken(simulator: SimulatorImage) -> str:
    """A dataset whose building has a column that CityLearn doesn't know."""
    folder = simulator.root / "datasets" / "broken"
    shutil.copytree(simulator.root / "datasets" / "tiny", folder)
    path = folder / "building.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{header},timestamp", *(f"{row},0" for row in rows)]))
    return folder.name


def test_a_broken_dataset_fails_the_run_and_the_verdict_with_what_citylearn_says(
    simulator: SimulatorImage, broken: str
) -> None:
    ended = simulator.run("broken", newer(dataset_path=f"/data/datasets/{broken}"))
    assert ended.code == 1
    assert f"CityLearn can't load the dataset /data/datasets/{broken}: TypeError" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert read_json(simulator.folder("broken") / "progress" / "progress.json")["status"] == "failed"
    ended, verdict = simulator.validate(broken)
    assert ended.code == 1
    assert not verdict["ok"]
    assert "timestamp" in verdict["error"]


def test_a_sound_dataset_is_stepped_to_its_end_and_its_plugged_in_cars_counted(simulator: SimulatorImage) -> None:
    ended, verdict = simulator.validate("tiny")
    assert ended.code == 0
    assert verdict == {"ok": True, "steps": STEPS, "connected_steps": 3 * len(PLUGGED_IN), "error": None}


def test_a_dataset_that_is_not_there_is_said_to_be_missing(simulator: SimulatorImage) -> None:
    ended, verdict = simulator.validate("nowhere")
    assert ended.code == 1
    assert verdict["error"] == "There is no dataset at /data/datasets/nowhere: schema.json is missing"
