"""A process of ours is killed while jobs run, wait, stop and are followed: nothing is lost, doubled or left."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.harness.api import Api, eventually
from scripts.harness.jobs import request, status, submit, wait_for
from scripts.harness.titles import AGENT, REPLICA, RUNNER, SUPERVISOR
from scripts.stack import Stack
from scripts.stack.keeper import send
from tests.faults import kinds
from tests.faults.faults import kill_database, kill_processes
from tests.faults.ledger import Ledger


def all_kinds_at_work(ledger: Ledger) -> list[str]:
    """Jobs that run (followed), one whose stop is under way, one that waits for room and one that waits to be stopped:
    the ids of the last two."""
    running = [ledger.submit(kind, followers=1) for kind in (kinds.STEADY, kinds.BURSTS, kinds.RAW, kinds.FAILING)]
    stopped = ledger.submit(kinds.STOPPED, followers=1)
    stubborn = ledger.submit(kinds.STUBBORN, stop_grace_s=3)
    waiting = [ledger.submit(kinds.QUICK, resources={"cpus": 2}) for _ in range(2)]
    ledger.running(*running[:3], stopped, stubborn)
    ledger.stop(stubborn)
    return waiting


@pytest.mark.parametrize("process", [SUPERVISOR, RUNNER, AGENT, REPLICA], ids=lambda name: name.split(":")[2])
def test_a_killed_process_loses_no_job_no_line_and_no_stop(stack: Stack, ledger: Ledger, process: str) -> None:
    waits, canceled = all_kinds_at_work(ledger)
    kill_processes(stack, process, most=1 if process == REPLICA else None)
    ledger.stop(canceled)
    late = ledger.submit(kinds.QUICK)
    kill_processes(stack, process, most=1 if process == REPLICA else None)
    account = ledger.settle()
    assert account.problems == []
    assert status(ledger.api, waits)["status"] == "finished"
    assert status(ledger.api, canceled)["status"] == "canceled"
    assert status(ledger.api, late)["status"] == "finished"


def test_the_next_job_finds_a_worker_process_also_after_replicas_were_killed(stack: Stack, api: Api) -> None:
    """Ray ends the idle workers of a driver that is gone, and a new one takes most of a second to start."""
    for replica in stack.pids(REPLICA):
        # The other one serves meanwhile.
        send([replica], signal.SIGKILL)
        eventually(lambda: len(stack.pids(REPLICA)), lambda there: there == 2, what="two replicas")
        eventually(lambda: api.get("/health").ok)
    wait_for(api, submit(api, "true"))
    # Ray ends workers that it does not keep after a second.
    time.sleep(4)
    waiting = set(stack.pids("ray::IDLE"))
    assert waiting
    job = submit(api, "sleep 3")
    runner = eventually(lambda: stack.pids(RUNNER), what="the job's runner")
    assert set(runner) <= waiting
    wait_for(api, job)


def test_a_job_whose_room_was_taken_meanwhile_is_adopted_without_and_hosts_tell(
    stack: Stack, api: Api, ledger: Ledger
) -> None:
    first = ledger.submit(kinds.STOPPED, followers=1, resources={"cpus": 2})
    ledger.running(first)
    second = ledger.submit(kinds.STOPPED, resources={"cpus": 2})
    eventually(lambda: status(api, second), lambda seen: seen["reason"] == "waiting_for_room")
    # Ray gives the room of a runner that is gone to the next job, though the container is still there.
    kill_processes(stack, RUNNER)
    ledger.running(first, second)
    used = api.json("/hosts")["hosts"]["head"]
    assert used["used"]["cpus"] == 4 > used["resources"]["cpus"]
    eventually(lambda: len(stack.pids(RUNNER)), lambda runners: runners == 2, what="a runner for each")
    assert ledger.settle().problems == []


def test_jobs_need_no_database(stack: Stack, ledger: Ledger) -> None:
    ledger.submit(kinds.STEADY)
    kill_database(stack)
    ledger.submit(kinds.FAILING)
    assert ledger.settle().problems == []


def test_parallel_submissions_with_one_key_give_one_job(stack: Stack, api: Api, ledger: Ledger) -> None:
    """Also while the supervisor is killed under them."""
    body = request("echo once", idempotency_key="the only one")

    def post(_: int) -> str:
        with Api(api.base) as own:
            answer = eventually(lambda: own.post("/run-simulation", json=body), lambda seen: seen.status_code < 500)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    with ThreadPoolExecutor(20) as threads:
        posts = [threads.submit(post, number) for number in range(20)]
        kill_processes(stack, SUPERVISOR)
        jobs = {post.result() for post in posts}
    assert len(jobs) == 1
    wait_for(api, jobs.pop())
    other = api.post("/run-simulation", json={**body, "job_name": "another"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
