"""Jobs for tests: scripts in a tiny container, submitted by the API and followed to where a test wants them."""

from collections.abc import Iterable
from typing import Any, Final

import docker
from docker.models.containers import Container

from scripts.harness.api import PATIENCE, Api, eventually
from scripts.harness.images import BUSYBOX
from workers.common import names

#: The arguments of the busybox image: the job's variable SCRIPT is what runs.
BUSYBOX_COMMAND: Final = ["sh", "-c", 'eval "$SCRIPT"']
#: Runs until it is stopped, and ends at once then.
SLEEP: Final = "trap 'exit 143' TERM; while :; do sleep 0.1; done"
ENDED: Final = ("finished", "failed", "stopped", "canceled")


def request(script: str = "echo hello", **fields: Any) -> dict[str, Any]:
    """The body of a submission whose container runs `script` with a shell. `fields` replace or add."""
    body: dict[str, Any] = {
        "config": {"metadata": {"experiment_name": "tests", "run_name": "script"}},
        "image": BUSYBOX,
        "resources": {"cpus": 0.2},
        "stop_grace_s": 2,
    }
    variables = {"SCRIPT": script, **fields.pop("env", {})}
    return {**body, "env": variables, **fields}


def submit(api: Api, script: str = "echo hello", **fields: Any) -> str:
    """Submit a job as `request` describes it; the job's id."""
    answer = api.post("/run-simulation", json=request(script, **fields))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


def status(api: Api, job: str) -> dict[str, Any]:
    """What `/status` says of a job."""
    answer: dict[str, Any] = api.json(f"/status/{job}")
    return answer


def wait_for(api: Api, job: str, states: str | Iterable[str] = ENDED, deadline: float = PATIENCE) -> dict[str, Any]:
    """The status of a job once its state is one of `states`.

    Fails at once when the job has ended otherwise: an ended job never changes.
    """
    wanted = {states} if isinstance(states, str) else set(states)

    def settled(seen: dict[str, Any]) -> bool:
        return seen["status"] in wanted or seen["status"] in ENDED

    seen = eventually(lambda: status(api, job), settled, what=f"job {job} in {sorted(wanted)}", deadline=deadline)
    assert seen["status"] in wanted, f"job {job} should be in {sorted(wanted)}: {seen}"
    return seen


def run(api: Api, script: str = "echo hello", **fields: Any) -> tuple[str, dict[str, Any]]:
    """Submit a job and wait for its end: its id and its last status."""
    job = submit(api, script, **fields)
    return job, wait_for(api, job)


def container_of(job: str, client: docker.DockerClient | None = None) -> Container | None:
    """The container that bears the job's id, on the default engine or the one of `client`."""
    docker_client = client or docker.from_env(timeout=60)
    try:
        found: list[Container] = docker_client.containers.list(
            all=True, filters={"label": f"{names.LABEL_JOB}={job}"}, ignore_removed=True
        )
        assert len(found) <= 1, f"job {job} has {len(found)} containers"
        return found[0] if found else None
    finally:
        if client is None:
            docker_client.close()


def stop_all(api: Api) -> None:
    """Stop whatever still runs or waits, so that the next test starts with an idle stack."""
    active = [job["job_id"] for job in api.json("/jobs") if job["status"] not in ENDED]
    for job in active:
        api.post(f"/stop/{job}")
    for job in active:
        wait_for(api, job)
