"""How long it takes until the truth is told again, with twenty jobs running: after a SIGKILL of the job supervisor, and
after a power cut of the whole Ray head.

    python -m benchmarks.faults        about five minutes on two cores

It brings up a stack of its own and ends it.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import docker
import requests

from scripts.harness.api import Api, eventually
from scripts.harness.images import busybox_image
from scripts.harness.jobs import SLEEP, stop_all, submit, wait_for
from scripts.harness.session import SessionStack
from scripts.harness.titles import RUNNER, SUPERVISOR
from scripts.stack import Stack
from scripts.stack.keeper import send
from workers.common import names

JOBS = 20
DEADLINE_S = 900.0


def main() -> int:
    """Print the figures; 0 if no job was disturbed."""
    busybox_image()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, SessionStack(Path(folder), os.getpid()) as session:
        stack = session.stack
        with Api(stack.api_url) as api:
            jobs = [submit(api, SLEEP, resources={"cpus": 0.05}) for _ in range(JOBS)]
            for job in jobs:
                wait_for(api, job, "running", deadline=DEADLINE_S)
            _adopted(stack)
            before = _containers(session.cluster_id)
            print(f"{JOBS} jobs run")
            _supervisor(stack, api, jobs)
            _head(stack, api, jobs)
            undisturbed = _containers(session.cluster_id) == before and len(before) == JOBS
            print(f"  no container was touched           {undisturbed}")
            stop_all(api)
    return 0 if undisturbed else 1


def _supervisor(stack: Stack, api: Api, jobs: list[str]) -> None:
    epoch = _supervisor_pid(stack)
    killed = time.perf_counter()
    send(stack.pids(SUPERVISOR), signal.SIGKILL)
    first = _right(api, jobs) - killed
    eventually(lambda: _supervisor_pid(stack) != epoch and _deep(stack), deadline=DEADLINE_S)
    own = _right(api, jobs) - killed
    adopted = _adopted(stack) - killed
    print("SIGKILL of the job supervisor")
    print(f"  right states at the API after      {first:6.2f} s (wanted: < 5)")
    print(f"  and from the new supervisor        {own:6.2f} s (wanted: < 5)")
    print(f"  every job has its runner again     {adopted:6.2f} s")


def _head(stack: Stack, api: Api, jobs: list[str]) -> None:
    stack.ray.kill()
    begun = time.perf_counter()
    stack.up(say=lambda _: None)
    started = time.perf_counter()
    right = _right(api, jobs) - started
    adopted = _adopted(stack) - started
    print(f"SIGKILL of all of Ray; it and the app start in {started - begun:.0f} s, and from there on")
    print(f"  right states at the API after      {right:6.2f} s")
    print(f"  all {JOBS} adopted after               {adopted:6.2f} s (wanted: < 60)")


def _right(api: Api, jobs: list[str]) -> float:
    """When the API next says of every job that it runs."""
    wanted = set(jobs)

    def right() -> bool:
        listed = {job["job_id"]: job["status"] for job in api.json("/jobs")}
        return all(listed.get(job) == "running" for job in wanted)

    eventually(right, deadline=DEADLINE_S)
    return time.perf_counter()


def _adopted(stack: Stack) -> float:
    """When every job has a runner."""
    eventually(lambda: len(stack.pids(RUNNER)) >= JOBS, deadline=DEADLINE_S)
    return time.perf_counter()


def _supervisor_pid(stack: Stack) -> int | None:
    return next(iter(stack.pids(SUPERVISOR)), None)


def _deep(stack: Stack) -> bool:
    """Whether the supervisor itself answers."""
    answer = requests.get(f"{stack.api_url}/health", params={"deep": "true"}, timeout=60)
    return bool(answer.status_code == 200)


def _containers(cluster_id: str) -> set[tuple[str, str]]:
    """The ids of the installation's containers, with when each was started."""
    client = docker.from_env(timeout=60)
    try:
        found = client.containers.list(filters={"label": f"{names.LABEL_CLUSTER}={cluster_id}"})
        return {(str(one.id), str(one.attrs["State"]["StartedAt"])) for one in found}
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
