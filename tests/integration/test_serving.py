"""Serving through Ray Serve: streams, clients that leave, large bodies, replicas that die."""

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.harness import jobs
from scripts.harness.api import PATIENCE, Api, eventually
from scripts.stack import Stack

pytestmark = pytest.mark.usefixtures("busybox_image")

_REPLICA = "ServeReplica:opeva:api"
#: Says `first`, and `last` once the file `go` is there.
GATED = "echo first; until [ -e /data/jobs/*/results/go ]; do sleep 0.1; done; printf last"


@pytest.fixture
def gated(api: Api) -> Iterator[str]:
    """A running job that printed its first line."""
    job = jobs.submit(api, GATED)
    eventually(lambda: api.get(f"/logs/{job}").text, lambda text: text == "first\n")
    yield job
    jobs.stop_all(api)


def _go(stack: Stack, job: str) -> None:
    (stack.layout.results(job) / "go").touch()


def test_a_followed_log_arrives_while_its_job_runs_and_ends_with_it(api: Api, stack: Stack, gated: str) -> None:
    with api.get(f"/logs/{gated}?follow=true", stream=True, timeout=PATIENCE) as answer:
        pieces = answer.iter_content(chunk_size=None)
        assert next(pieces) == b"first\n"
        assert jobs.status(api, gated)["status"] == "running"
        _go(stack, gated)
        assert b"".join(pieces) == b"last"
    jobs.wait_for(api, gated, "finished")
    assert api.get(f"/logs/{gated}?tail=1").text == "last"


def test_a_log_of_events_goes_on_where_a_broken_connection_left_it(api: Api, stack: Stack, gated: str) -> None:
    with api.get(f"/logs/{gated}/events", stream=True, timeout=PATIENCE) as answer:
        lines = (line for line in answer.iter_lines(chunk_size=1) if line and not line.startswith(b":"))
        assert (next(lines), next(lines)) == (b"id: 6", b"data: first")
    _go(stack, gated)
    resumed = api.get(f"/logs/{gated}/events", headers={"Last-Event-ID": "6"}, timeout=PATIENCE)
    events = [line for line in resumed.text.splitlines() if line and not line.startswith(":")]
    assert events[:3] == ["id: 10", "data: last", "event: end"]
    assert json.loads(events[3].removeprefix("data: ")) == {"job_id": gated, "status": "finished"}


def test_many_followers_keep_nobody_waiting_and_leave_nothing_open(api: Api, stack: Stack, gated: str) -> None:
    def held() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in stack.pids(_REPLICA))

    api.json("/health")
    before = held()
    with ExitStack() as open_streams, ThreadPoolExecutor(50) as threads:

        def follow(number: int) -> requests.Response:
            path = f"/logs/{gated}/events" if number % 2 else f"/logs/{gated}?follow=true"
            return requests.get(f"{stack.api_url}{path}", stream=True, timeout=PATIENCE)

        answers = [open_streams.enter_context(answer) for answer in threads.map(follow, range(50))]
        assert {answer.status_code for answer in answers} == {200}
        assert {next(answer.iter_content(chunk_size=1)) for answer in answers} <= {b"f", b":", b"i"}
        assert api.json("/health") == {"status": "ok"}
        assert jobs.status(api, gated)["status"] == "running"
    # A few connections of the proxy and threads of the pool may stay for the next request.
    eventually(held, lambda count: count <= before + 10, what=f"the streams' end ({before} files were open before)")
    assert jobs.status(api, gated)["status"] == "running"


def test_a_client_that_leaves_during_its_submission_leaves_one_whole_job_or_none(api: Api, stack: Stack) -> None:
    stamp = f"left {time.time_ns()}"
    bodies = [jobs.request("echo whole", job_name=stamp, idempotency_key=f"{stamp} {n}") for n in range(6)]
    for body in bodies:
        content = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", stack.plan.ports.api), timeout=60) as connection:
            # Closed with a reset, as by a client that was killed.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head = f"POST /run-simulation HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content)
    # Sent again: the same job if there was one, a new one if there was none.
    made = {str(api.post("/run-simulation", json=body).json()["job_id"]) for body in bodies}
    assert len(made) == 6
    for job in made:
        jobs.wait_for(api, job, "finished")
        assert api.get(f"/logs/{job}").text == "whole\n"
    assert sorted(row["job_id"] for row in api.json("/jobs", q=stamp)) == sorted(made)


def test_a_large_body_is_taken_whole_announced_or_not(api: Api) -> None:
    text = "metadata: {experiment_name: large}\n" + "# é filler\n" * 200_000
    content = json.dumps({"file_name": "large.yaml", "yaml_content": text, "overwrite": True}).encode()
    pieces = (content[at : at + 65_536] for at in range(0, len(content), 65_536))
    for body in (content, pieces):
        assert api.post("/experiment-configs/create", data=body).status_code == 200
        answer = api.get("/experiment-configs/large.yaml", headers={"Accept": "text/yaml"})
        assert answer.content.decode() == text
    assert api.delete("/experiment-configs/large.yaml").status_code == 200


def test_replicas_that_are_killed_come_back_while_jobs_hold_every_cpu(api: Api, stack: Stack) -> None:
    everything: dict[str, Any] = {"resources": {"cpus": 2}, "target_host": "local"}
    running = jobs.submit(api, jobs.SLEEP, **everything)
    jobs.wait_for(api, running, "running")
    waiting = jobs.submit(api, "echo waited", **everything)
    try:
        replicas = set(stack.pids(_REPLICA))
        assert len(replicas) == 2
        for victims in (sorted(replicas)[:1], sorted(replicas)):
            for pid in victims:
                if pid in stack.pids(_REPLICA):
                    os.kill(pid, signal.SIGKILL)
            _comes_back(api, stack, victims)
            eventually(lambda: _state(api, running), lambda state: state == "running")
        eventually(lambda: _state(api, waiting), lambda state: state == "queued")
    finally:
        eventually(lambda: api.post(f"/stop/{running}").status_code == 200)
    eventually(lambda: _state(api, waiting), lambda state: state == "finished")
    # Several in a row: both replicas are there for what comes next.
    eventually(lambda: all(api.get("/health").status_code == 200 for _ in range(20)))


def _comes_back(api: Api, stack: Stack, victims: list[int]) -> None:
    eventually(lambda: not set(victims) & set(stack.pids(_REPLICA)), what="the replicas' end")
    eventually(lambda: api.get("/health").status_code == 200 and len(stack.pids(_REPLICA)) == 2, what="two replicas")


def _state(api: Api, job: str) -> str | None:
    """A job's state; None while the proxy has no replica to ask."""
    answer = api.get(f"/status/{job}")
    return str(answer.json()["status"]) if answer.status_code == 200 else None


@pytest.mark.long
def test_two_gigabytes_of_log_are_copied_and_followed_byte_for_byte_in_flat_memory(api: Api, stack: Stack) -> None:
    size = 2 << 30
    line = b"a line, one of many, from a simulation that has very much to say; and more\n"

    def memory() -> int:
        """The largest of the processes that a log passes through, kB."""
        pids = stack.pids(_REPLICA) + stack.pids("ray::simulation") + stack.pids("ray::JobSupervisor")
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return max(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses)

    job = jobs.submit(api, f"yes '{line.decode().strip()}' | head -c {size}")
    jobs.wait_for(api, job, ("running", "finished"))
    before, seen, slowest = memory(), 0, 0.0
    expected = line * (1 << 12)
    with api.get(f"/logs/{job}?follow=true", stream=True, timeout=600) as answer:
        for block in answer.iter_content(chunk_size=1 << 20):
            start = seen % len(line)
            assert block == (expected * (len(block) // len(expected) + 2))[start : start + len(block)], seen
            if seen >> 27 != (seen + len(block)) >> 27:
                begun = time.monotonic()
                assert api.json("/health") == {"status": "ok"}
                slowest = max(slowest, time.monotonic() - begun)
                assert memory() - before < 100_000
            seen += len(block)
    assert seen == size
    assert jobs.status(api, job)["status"] == "finished"
    assert stack.layout.container_log(job).stat().st_size == size
    print(f"/health answered within {slowest:.2f} s")
