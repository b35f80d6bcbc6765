"""The shared storage fills up, becomes read-only, goes away or is damaged while jobs run."""

import json
import signal

import pytest

from scripts.harness.api import Api, eventually
from scripts.harness.jobs import container_of, request, status, wait_for
from scripts.harness.titles import SUPERVISOR
from scripts.stack import Stack
from scripts.stack.keeper import send
from tests.faults import kinds
from tests.faults.faults import kill_processes
from tests.faults.ledger import Ledger
from tests.faults.storage import fill, read_only, small_storage, without_the_root


def refusal(api: Api) -> tuple[int, str]:
    answer = api.post("/run-simulation", json=request())
    return answer.status_code, answer.json().get("code", "")


def test_with_the_storage_of_the_records_full_nothing_is_accepted_and_all_else_goes_on(
    stack: Stack, api: Api, ledger: Ledger
) -> None:
    before = ledger.submit(kinds.STEADY, followers=1)
    stopped = ledger.submit(kinds.STOPPED)
    ledger.running(before, stopped)
    with small_storage(stack.layout.records, "8m") as records:
        filler = fill(records)
        assert refusal(api) == (507, "storage_full")
        jobs = {job["job_id"] for job in api.json("/jobs")}
        assert {before, stopped} <= jobs
        assert jobs == {folder.name for folder in records.iterdir() if folder.is_dir()}, "something of a refused job"
        ledger.stop(stopped)
        wait_for(api, stopped, "stopped")
        assert api.get(f"/logs/{stopped}").content.endswith(b"300\n")
        # What was not written yet is said, as it would be forgotten with the supervisor.
        assert f"{stopped}/record.json" in api.post(f"/stop/{stopped}").json()["message"]
        filler.unlink()
        ledger.submit(kinds.QUICK)
        account = ledger.settle()
    assert account.problems == []
    eventually(stack.layout.record(stopped).read_text, lambda text: '"stopped"' in text)
    assert api.post(f"/stop/{stopped}").json()["message"] == f"Job {stopped} has ended: stopped"


def test_with_the_storage_of_the_records_read_only_nothing_is_accepted_and_all_else_goes_on(
    stack: Stack, api: Api, ledger: Ledger
) -> None:
    stopped = ledger.submit(kinds.STOPPED)
    ledger.running(stopped)
    with small_storage(stack.layout.records, "64m") as records:
        with read_only(records):
            assert refusal(api) == (503, "storage_unavailable")
            # A start reads; what it can't write it writes later.
            kill_processes(stack, SUPERVISOR)
            eventually(lambda: refusal(api), lambda seen: seen == (503, "storage_unavailable"))
            assert status(api, stopped)["status"] == "running"
            ledger.stop(stopped)
            wait_for(api, stopped, "stopped")
        assert ledger.settle().problems == []


def test_a_log_waits_for_room_and_is_whole_in_the_end(stack: Stack, api: Api, ledger: Ledger) -> None:
    with small_storage(stack.layout.jobs, "64m") as jobs:
        job = ledger.submit(kinds.BURSTS, followers=1)
        ledger.running(job)
        filler = fill(jobs)
        noted = eventually(lambda: status(api, job), lambda seen: seen["reason"] == "storage_full")
        assert noted["status"] == "running"
        filler.unlink()
        assert ledger.settle().problems == []


def test_a_root_that_goes_is_not_written_to_and_all_goes_on_when_it_is_back(
    stack: Stack, api: Api, ledger: Ledger
) -> None:
    running, stopped = ledger.submit(kinds.STOPPED, followers=1), ledger.submit(kinds.STUBBORN)
    ledger.running(running, stopped)
    with without_the_root(stack.layout.root):
        assert eventually(lambda: refusal(api), lambda seen: seen[0] == 503) == (503, "shared_root_missing")
        assert status(api, running)["status"] == "running"
        ledger.stop(stopped)
        eventually(lambda: container_of(stopped), lambda seen: seen is None or seen.status == "exited")
    wait_for(api, stopped, "stopped")
    eventually(stack.layout.record(stopped).read_text, lambda text: '"stopped"' in text)
    with without_the_root(stack.layout.root):
        # A supervisor that starts without the root neither makes a new installation nor sweeps what runs.
        kill_processes(stack, SUPERVISOR)
        eventually(lambda: refusal(api), lambda seen: seen == (503, "shared_root_missing"))
        assert container_of(running) is not None
    ledger.running(running)
    ledger.submit(kinds.QUICK)
    assert ledger.settle().problems == []


@pytest.mark.parametrize("damage", [pytest.param(b"", marks=pytest.mark.long), b'{"half'], ids=["empty", "cut"])
def test_damaged_records_are_rebuilt_with_jobs_running(stack: Stack, api: Api, ledger: Ledger, damage: bytes) -> None:
    jobs = [ledger.submit(kinds.STUBBORN), ledger.submit(kinds.STOPPED)]
    ledger.running(*jobs)
    ended = ledger.submit(kinds.QUICK)
    wait_for(api, ended)
    track = stack.layout.job_track
    states = {jobs[0]: "running", jobs[1]: "running", ended: "finished"}
    eventually(
        lambda: json.loads(track.read_text()),
        lambda told: all(told.get(job, {}).get("status") == state for job, state in states.items()),
        what="the map of all jobs",
    )
    pids = stack.pids(SUPERVISOR)
    send(pids, signal.SIGSTOP)
    for job in (*jobs, ended):
        stack.layout.record(job).write_bytes(damage)
    send(pids, signal.SIGKILL)
    ledger.running(jobs[1])
    assert ledger.settle().problems == []
    assert status(api, ended)["status"] == "finished"
