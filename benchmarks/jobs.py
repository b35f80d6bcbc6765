"""What a job costs beside what Docker alone, and Ray's own job API, take for the same.

    python -m benchmarks.jobs                everything (about five minutes on two cores)
    python -m benchmarks.jobs start batch    only these parts: start, batch, ray-jobs, list

It brings up a stack of its own and ends it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from scripts.harness.images import BUSYBOX, busybox_image
from scripts.harness.jobs import BUSYBOX_COMMAND, ENDED
from scripts.stack import Plan, Ports, Stack
from scripts.stack.ports import reserved_base
from workers.common.clock import Deadline
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.jobs.record_files import write_record
from workers.jobs.records import JobRecord, State

ROUNDS = 15
BATCH = 20
LISTED = 10_000
DEADLINE_S = 600.0


def main() -> None:
    """Measure the parts asked for and print them."""
    parts: dict[str, Callable[[Stack], None]] = {
        "start": start,
        "batch": batch,
        "ray-jobs": ray_jobs,
        "list": listing,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure; everything if none is named")
    chosen = parser.parse_args().parts or list(parts)
    busybox_image()
    with tempfile.TemporaryDirectory(prefix="opeva-bench-") as folder, reserved_base() as base:
        root = Path(folder) / "shared"
        if "list" in chosen:
            _write_ended_jobs(Layout(root))
        stack = Stack(
            Plan(
                run_dir=Path(folder) / "run",
                shared_root=root,
                ports=Ports.of(base),
                host_name="head",
                num_cpus=2,
                settings={"OPEVA_IMAGE_COMMANDS": json.dumps({BUSYBOX.split(":")[0]: BUSYBOX_COMMAND})},
                owner=os.getpid(),
            )
        )
        try:
            stack.up(say=lambda text: print(text, file=sys.stderr))
            for name in chosen:
                parts[name](stack)
        finally:
            stack.down(say=lambda text: None)


def start(stack: Stack) -> None:
    """From the request to the container's start, beside `docker run -d`; workers are warm."""
    for _ in range(3):
        _end(stack, _submit(stack, "true"))
    ours, bare = [], []
    for _ in range(ROUNDS):
        begun = time.time()
        job = _submit(stack, "true")
        ours.append(float(_end(stack, job)["started_at"]) - begun)
        begun = time.time()
        bare.append(_bare_start() - begun)
    mine, docker = statistics.median(ours), statistics.median(bare)
    print(f"start of a container, median of {ROUNDS}")
    print(f"  docker run -d                    {1000 * docker:7.0f} ms")
    print(
        f"  POST /run-simulation             {1000 * mine:7.0f} ms   {1000 * (mine - docker):+.0f} ms (wanted: < 100)"
    )


def batch(stack: Stack) -> None:
    """Twenty jobs of one second and one CPU on two CPUs, beside `xargs -P2 docker run`."""
    for job in [_submit(stack, "true") for _ in range(4)]:
        _end(stack, job)
    bare = _timed(_xargs)
    ours = _timed(lambda: [_end(stack, job) for job in [_submit(stack, "sleep 1") for _ in range(BATCH)]])
    print(f"{BATCH} jobs of one second, two at a time")
    print(f"  xargs -P2 docker run --rm        {bare:7.1f} s")
    print(f"  POST /run-simulation             {ours:7.1f} s    ratio {ours / bare:.2f} (wanted: < 1.2)")


def ray_jobs(stack: Stack) -> None:
    """The same twenty through the Ray Jobs API, as shell commands that run a container, and as drivers that do."""
    ours = _timed(lambda: [_end(stack, job) for job in [_submit(stack, "sleep 1") for _ in range(BATCH)]])
    shell = _timed(lambda: _through_ray_jobs(stack, "shell"))
    driver = _timed(lambda: _through_ray_jobs(stack, "driver"))
    print(f"{BATCH} jobs of one second, two at a time")
    print(f"  POST /run-simulation             {ours:7.1f} s")
    print(f"  Ray Jobs API, `docker run`       {shell:7.1f} s    ratio {shell / ours:.2f}")
    print(f"  Ray Jobs API, a Ray driver each  {driver:7.1f} s    ratio {driver / ours:.2f} (wanted: > 5)")


def _through_ray_jobs(stack: Stack, how: str) -> None:
    # In a process of its own: Ray's client reads the way to its token once, when it is imported.
    command = [sys.executable, "-m", "benchmarks.ray_jobs", stack.dashboard_url, str(BATCH), how]
    subprocess.run(command, env=stack.environment(), check=True, timeout=DEADLINE_S)


def listing(stack: Stack) -> None:
    """`GET /jobs` with ten thousand ended jobs: within the replica, and at the client."""
    inside, outside, count = [], [], 0
    with requests.Session() as session:
        for _ in range(20):
            begun = time.perf_counter()
            answer = session.get(f"{stack.api_url}/jobs", timeout=60)
            outside.append(time.perf_counter() - begun)
            inside.append(float(answer.headers["Server-Timing"].split("dur=")[1].split(",")[0]))
            count = len(answer.json())
    print(f"GET /jobs with {count} jobs, median of {len(inside)} (worst)")
    print(f"  in the replica                   {statistics.median(inside):7.1f} ms ({max(inside):.1f}; wanted: < 100)")
    print(f"  at the client                    {1000 * statistics.median(outside):7.1f} ms ({1000 * max(outside):.1f})")


def _write_ended_jobs(layout: Layout) -> None:
    layout.records.mkdir(parents=True)
    for number in range(LISTED):
        at = 1_700_000_000.0 + 60 * number
        job_id = new_job_id()
        record = JobRecord(job_id=job_id, job_name=f"job {number}", image=BUSYBOX, submitted_at=at)
        ended = record.change(
            state=State.FINISHED, started_at=at + 1, finished_at=at + 30, exit_code=0, host="head", claimed=True
        )
        write_record(layout, ended)


def _submit(stack: Stack, script: str) -> str:
    body = {
        "config": {"metadata": {"experiment_name": "benchmark", "run_name": script}},
        "image": BUSYBOX,
        "resources": {"cpus": 1},
        "env": {"SCRIPT": script},
    }
    answer = requests.post(f"{stack.api_url}/run-simulation", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["job_id"])


def _end(stack: Stack, job: str) -> dict[str, Any]:
    deadline = Deadline(DEADLINE_S)
    while True:
        status: dict[str, Any] = requests.get(f"{stack.api_url}/status/{job}", timeout=60).json()
        if status["status"] in ENDED:
            if status["status"] != "finished":
                raise RuntimeError(f"job {job} did not finish: {status}")
            return status
        _in_time(deadline, f"job {job}")
        time.sleep(0.02)


def _bare_start() -> float:
    """When a container of a bare `docker run -d` started, epoch seconds."""
    container = _docker("run", "-d", BUSYBOX, "true")
    started = _docker("inspect", "-f", "{{.State.StartedAt}}", container)
    _docker("rm", "-f", container)
    return datetime.fromisoformat(started[:26].rstrip("Z") + "+00:00").timestamp()


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout.strip()


def _xargs() -> None:
    command = ["xargs", "-P2", "-I{}", "docker", "run", "--rm", BUSYBOX, "sleep", "1"]
    numbers = "\n".join(map(str, range(BATCH)))
    subprocess.run(command, input=numbers, text=True, check=True, timeout=DEADLINE_S, capture_output=True)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _in_time(deadline: Deadline, what: str) -> None:
    if deadline.passed():
        raise TimeoutError(f"{what} did not end within {deadline.seconds:g} s")


if __name__ == "__main__":
    main()
