"""Runs as MLflow has them: a real server, reached from real containers; and jobs that miss it."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from scripts.stack.plan import PROJECT
from scripts.stack.processes import Kept
from scripts.stack.stack import Stack
from tests.simulator.tiny_dataset import write_tiny_dataset
from workers.common.options import Options
from workers.jobs.mlflow_env import mlflow_environment
from workers.jobs.records import JobRecord

#: Minutes of building images and starting machines.
pytestmark = pytest.mark.long

PYTHON = PROJECT / ".venv-mlflow" / "bin" / "python"
EPISODES = 2
ANY = "0.0.0.0"  # noqa: S104 - containers call it by an address of this machine


@dataclass(frozen=True)
class MlflowServer:
    """A server at an address that containers reach."""

    url: str

    def call(self, path: str, **fields: Any) -> dict[str, Any]:
        """GET one path of its REST API."""
        answer = requests.get(f"{self.url}/api/2.0/mlflow/{path}", params=fields, timeout=60)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def run(self, run_id: str) -> dict[str, Any]:
        """A run: `info`, and under `data` its params, tags and last metrics by name."""
        run: dict[str, Any] = self.call("runs/get", run_id=run_id)["run"]
        data = {kind: {row["key"]: row["value"] for row in run["data"].get(kind, [])} for kind in run["data"]}
        return {**run, "data": {kind: rows for kind, rows in data.items() if kind in ("params", "tags", "metrics")}}


@pytest.fixture(scope="module")
def mlflow(running: SessionStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    subprocess.run([PROJECT / "scripts" / "setup-mlflow.sh"], check=True, timeout=1800)
    folder, port = tmp_path_factory.mktemp("mlflow"), _free_port()
    # fmt: off
    command = [
        str(PYTHON), "-m", "mlflow", "server", "--host", ANY, "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts",
    ]
    # fmt: on
    kept = Kept("mlflow", folder, f"{running.plan.mark}-mlflow")
    server = MlflowServer(f"http://{running.plan.node_ip}:{port}")
    environment = {"PATH": f"{PYTHON.parent}:{os.environ['PATH']}", "HOME": str(folder)}
    kept.start(command, environment, owner=os.getpid())
    try:
        eventually(
            lambda: requests.get(f"{server.url}/health", timeout=5).status_code == 200, what="MLflow", deadline=400
        )
        # Its first answer from the database takes longer than simulations wait for it.
        eventually(lambda: server.call("experiments/get-by-name", experiment_name="Default"), what="MLflow's database")
        yield server
    finally:
        kept.stop()


@pytest.fixture(scope="module")
def dataset(stack: Stack) -> str:
    """The path of a dataset of three days, as containers see it."""
    write_tiny_dataset(stack.plan.shared_root / "datasets" / "tiny-mlflow")
    return "/data/datasets/tiny-mlflow/schema.json"


def simulate(api: Api, dataset: str, uri: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Run a simulation that is to report to `uri`; the job and its last status."""
    config = {
        "metadata": {"experiment_name": "tiny community", "run_name": "two episodes"},
        "simulator": {"dataset_path": dataset, "episodes": EPISODES},
        "algorithm": {"name": "rbc", "hyperparameters": {"rate": 0.2}},
        "training": {"seed": 7},
    }
    variables = {"MLFLOW_TRACKING_URI": uri, **fields}
    body = {"config": config, "image": "opeva-simulator:latest", "job_name": "tracked", "env": variables}
    answer = api.post("/run-simulation", json=body)
    assert answer.status_code == 200, answer.text
    job = answer.json()["job_id"]
    return job, jobs.wait_for(api, job)


def test_a_run_has_its_parameters_metrics_kpis_and_the_jobs_id_and_the_job_has_its_link(
    api: Api, mlflow: MlflowServer, dataset: str, image: str
) -> None:
    job, ended = simulate(api, dataset, mlflow.url, MLFLOW_UI_BASE_URL="https://mlflow.example.org/")
    assert ended["status"] == "finished"
    info = api.json(f"/job-info/{job}")
    run_id, experiment = info["mlflow_run_id"], info["mlflow_experiment_id"]
    assert info["mlflow_run_url"] == f"https://mlflow.example.org/#/experiments/{experiment}/runs/{run_id}"

    run = mlflow.run(run_id)
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "two episodes")
    named = mlflow.call("experiments/get-by-name", experiment_name="tiny community")["experiment"]
    assert named["experiment_id"] == experiment
    data = run["data"]
    assert (data["tags"]["opeva.job_id"], data["tags"]["opeva.job_name"]) == (job, "tracked")
    wanted = {"algorithm": "rbc", "dataset": "tiny-mlflow", "episodes": "2", "seed": "7", "hyperparameters.rate": "0.2"}
    assert {name: data["params"].get(name) for name in wanted} == wanted

    rewards = mlflow.call("metrics/get-history", run_id=run_id, metric_key="episode/reward")["metrics"]
    assert [row["step"] for row in rewards] == [1, 2]
    result = api.json(f"/result/{job}")
    kpis = {f"kpi/{name}/{kpi}": value for name, values in result.items() for kpi, value in values.items()}
    assert kpis
    assert {name: data["metrics"][name] for name in kpis} == pytest.approx(kpis)


def test_a_second_run_joins_the_experiment_of_the_first(
    api: Api, mlflow: MlflowServer, dataset: str, image: str
) -> None:
    told = [api.json(f"/job-info/{simulate(api, dataset, mlflow.url)[0]}") for _ in range(2)]
    assert told[0]["mlflow_experiment_id"] == told[1]["mlflow_experiment_id"]
    assert told[0]["mlflow_run_id"] != told[1]["mlflow_run_id"]
    assert told[0]["mlflow_run_url"].startswith(mlflow.url)


@pytest.mark.parametrize("trouble", ["refuses", "is silent", "is broken", "has no name"])
def test_a_server_that_is_down_is_told_once_and_fails_no_job(
    api: Api, running: SessionStack, dataset: str, image: str, trouble: str
) -> None:
    with socket.create_server(("", 0)) as listening:
        port = listening.getsockname()[1]
        if trouble == "refuses":
            listening.close()
        if trouble == "is broken":
            uri = f"http://{running.plan.node_ip}:{running.plan.ports.api}/no-such-service"
        else:
            uri = "http://mlflow.invalid:5000" if trouble == "has no name" else f"http://{running.plan.node_ip}:{port}"
        job, ended = simulate(api, dataset, uri)
    assert ended["status"] == "finished", ended
    assert "District" in api.json(f"/result/{job}")
    lines = api.get(f"/logs/{job}").text.splitlines()
    told = [line for line in lines if "WARNING" in line and "mlflow" in line.lower()]
    # A short run may end before a server that is silent, or a name server, has been given up on.
    assert len(told) in ((1,) if trouble in ("refuses", "is broken") else (0, 1)), told
    assert "mlflow_run_id" not in api.json(f"/job-info/{job}")


def test_mlflows_own_client_takes_experiment_run_name_and_tags_from_the_jobs_variables(
    mlflow: MlflowServer, tmp_path: Path
) -> None:
    """For simulators that report by MLflow's Python package."""
    record = JobRecord(
        job_id="8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a",
        job_name="a job",
        image="any:1",
        experiment_name="by variables",
        run_name="named by us",
        submitted_at=1.0,
    )
    options = Options(shared_root="/s", host_shared_root="/s", mlflow_tracking_uri=mlflow.url)
    code = "import mlflow\nwith mlflow.start_run() as run: print(run.info.run_id)"
    done = subprocess.run(
        [PYTHON, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **mlflow_environment(record, options)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = mlflow.run(done.stdout.split()[0])
    assert run["info"]["run_name"] == "named by us"
    assert run["data"]["tags"]["opeva.job_id"] == record.job_id
    named = mlflow.call("experiments/get-by-name", experiment_name="by variables")["experiment"]
    assert named["experiment_id"] == run["info"]["experiment_id"]


def test_jobs_are_told_where_mlflow_is(api: Api, busybox_image: str) -> None:
    job, _ = jobs.run(api, "env | grep ^MLFLOW | sort", job_name="told")
    told = dict(line.split("=", 1) for line in api.get(f"/logs/{job}").text.splitlines())
    assert told["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert told["MLFLOW_EXPERIMENT_NAME"] == "tests"
    tags = json.loads(told["MLFLOW_RUN_CONTEXT"])
    assert tags == {"opeva.job_id": job, "opeva.job_name": "told", "mlflow.runName": "script"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
