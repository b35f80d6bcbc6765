"""What nobody owns goes, what is somebody else's stays, and what was done is told."""

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from scripts.harness.api import eventually
from scripts.harness.images import BUSYBOX
from scripts.stack import Stack
from workers.common import names


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=60)
    yield client
    client.close()


def left_behind(engine: docker.DockerClient, cluster_id: str, job: str) -> Container:
    """A running container as a runner of that installation would have made it."""
    labels = {names.LABEL_CLUSTER: cluster_id, names.LABEL_JOB: job, names.LABEL_ATTEMPT: "1"}
    return engine.containers.run(BUSYBOX, ["sleep", "600"], detach=True, labels=labels, init=True)


def sweeps(stack: Stack, job: str) -> list[dict[str, Any]]:
    """What the log of sweeps says of a job's things."""
    path = stack.layout.sweep_log
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["job_id"] == job]


def test_containers_and_folders_of_no_job_are_removed_and_other_installations_are_left_alone(
    stack: Stack, engine: docker.DockerClient, busybox_image: str
) -> None:
    job, elsewhere = names.new_job_id(), names.new_job_id()
    ours = left_behind(engine, str(stack.cluster_id), job)
    theirs = left_behind(engine, "another installation", elsewhere)
    try:
        (stack.layout.job(job) / "logs").mkdir(parents=True)
        removed = eventually(lambda: sweeps(stack, job), lambda told: len(told) == 2, what="the sweep of both")
        assert {(entry["did"], entry["kind"]) for entry in removed} == {
            ("removed", "container"),
            ("removed", "folders"),
        }
        assert all("there is no" in entry["why"] for entry in removed)
        assert not stack.layout.job(job).exists()
        assert engine.containers.list(all=True, filters={"id": str(ours.id)}) == []
        theirs.reload()
        assert theirs.status == "running"
        assert sweeps(stack, elsewhere) == []
    finally:
        for label in (job, elsewhere):
            for container in engine.containers.list(all=True, filters={"label": f"{names.LABEL_JOB}={label}"}):
                container.remove(force=True)
