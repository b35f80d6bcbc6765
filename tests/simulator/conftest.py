"""The simulator as jobs meet it: its real image, run with the shared root mounted as the product mounts it."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import Container

from tests.simulator.tiny_dataset import write_tiny_dataset

IMAGE = "opeva-simulator:latest"
RUN_DEADLINE_S = 120


@dataclass(frozen=True)
class Outcome:
    """How a container ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class SimulatorImage:
    """Runs containers of the image over a shared root."""

    client: docker.DockerClient
    root: Path

    def folder(self, job_id: str) -> Path:
        return self.root / "jobs" / job_id

    def submit(self, job_id: str, config: dict[str, Any]) -> None:
        """Make the job's folder with its config, as the product does before it starts a container."""
        self.folder(job_id).mkdir(parents=True)
        (self.folder(job_id) / "config.yaml").write_text(yaml.safe_dump(config))

    @contextlib.contextmanager
    def started(self, job_id: str) -> Iterator[Container]:
        """A running container of the job: the root read-only, other jobs masked, its own folder writable."""
        folder = self.folder(job_id)
        with self._container(
            ["--config", f"/data/jobs/{job_id}/config.yaml", "--job_id", job_id],
            volumes={
                str(self.root): {"bind": "/data", "mode": "ro"},
                str(folder): {"bind": f"/data/jobs/{job_id}", "mode": "rw"},
            },
            tmpfs={"/data/jobs": ""},
        ) as container:
            yield container

    def run(self, job_id: str, config: dict[str, Any]) -> Outcome:
        """Submit the job and run it to its end."""
        self.submit(job_id, config)
        with self.started(job_id) as container:
            return outcome(container)

    def validate(self, dataset: str) -> tuple[Outcome, dict[str, Any]]:
        """The verdict on a dataset, and how the container ended."""
        with self._container(
            ["--validate", f"/data/datasets/{dataset}"],
            volumes={str(self.root): {"bind": "/data", "mode": "ro"}},
        ) as container:
            ended = outcome(container)
        verdict: dict[str, Any] = json.loads(ended.stdout)
        return ended, verdict

    @contextlib.contextmanager
    def _container(self, command: list[str], **options: Any) -> Iterator[Container]:
        container = self.client.containers.run(IMAGE, command, detach=True, network_mode="none", **options)
        try:
            yield container
        finally:
            container.remove(force=True)


def outcome(container: Container) -> Outcome:
    """Wait for the container's end."""
    code = container.wait(timeout=RUN_DEADLINE_S)["StatusCode"]
    return Outcome(
        code=code,
        stdout=container.logs(stdout=True, stderr=False).decode(),
        stderr=container.logs(stdout=False, stderr=True).decode(),
    )


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built if what goes into it has changed."""
    done = subprocess.run(["scripts/build-image.sh", IMAGE], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return IMAGE


@pytest.fixture(scope="module")
def simulator(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorImage]:
    """The image over a shared root that holds the dataset `tiny`."""
    root = tmp_path_factory.mktemp("shared")
    write_tiny_dataset(root / "datasets" / "tiny")
    client = docker.from_env(timeout=RUN_DEADLINE_S)
    yield SimulatorImage(client, root)
    client.close()
