"""A whole host, its engine or its Ray node goes away and comes back."""

import threading

import pytest

from scripts.harness.api import Api, eventually
from scripts.harness.jobs import status, wait_for
from scripts.stack import Stack
from scripts.stack.worker_node import WorkerNode
from tests.faults import kinds
from tests.faults.faults import cut_off, kill_node, pause_engine, restart_head
from tests.faults.ledger import Ledger


def over_there(ledger: Ledger, host: WorkerNode) -> list[str]:
    """Jobs that run on the second host, followed."""
    jobs = [
        ledger.submit(kind, followers=1, target_host=host.name)
        for kind in (kinds.STEADY, kinds.BURSTS, kinds.STOPPED, kinds.STUBBORN)
    ]
    ledger.running(*jobs)
    return jobs


def test_a_killed_ray_node_leaves_its_jobs_running_and_they_are_adopted(
    second_host: WorkerNode, ledger_of_both: Ledger
) -> None:
    over_there(ledger_of_both, second_host)
    kill_node(second_host)
    assert ledger_of_both.settle().problems == []


def test_jobs_of_a_host_that_is_cut_off_are_unknown_and_then_right_again(
    stack: Stack, api: Api, second_host: WorkerNode, ledger_of_both: Ledger
) -> None:
    jobs = over_there(ledger_of_both, second_host)
    unknown: list[str] = []

    def watch() -> None:
        with Api(api.base) as own:
            unknown.append(wait_for(own, jobs[2], "unknown")["reason"])
            # It can't be stopped now, and is said to be on its way.
            own.post(f"/stop/{jobs[3]}")
            unknown.append(
                eventually(lambda: status(own, jobs[3]), lambda seen: seen["reason"] == "stop_failed")["status"]
            )

    watcher = threading.Thread(target=watch)
    watcher.start()
    ledger_of_both.entries[jobs[3]].stopped = True
    cut_off(stack, second_host)
    watcher.join(240)
    assert unknown == ["host_unreachable", "stop_requested"]
    wait_for(api, jobs[2], "running")
    assert ledger_of_both.settle().problems == []


def test_a_killed_engine_is_told_truthfully_and_the_host_works_again(
    second_host: WorkerNode, ledger_of_both: Ledger
) -> None:
    jobs = over_there(ledger_of_both, second_host)
    ledger_of_both.killed(*jobs)
    second_host.kill_engine()
    try:
        assert wait_for(ledger_of_both.api, jobs[2], "unknown")["reason"] == "docker_unavailable"
    finally:
        second_host.start_engine()
    after = ledger_of_both.submit(kinds.FAILING, target_host=second_host.name)
    account = ledger_of_both.settle()
    assert account.problems == []
    assert status(ledger_of_both.api, after)["exit_code"] == 3


def test_an_engine_that_hangs_disturbs_no_job(second_host: WorkerNode, ledger_of_both: Ledger) -> None:
    over_there(ledger_of_both, second_host)
    pause_engine(second_host, 3.0)
    assert ledger_of_both.settle().problems == []


@pytest.mark.parametrize("kill", [True, pytest.param(False, marks=pytest.mark.long)], ids=["killed", "stopped"])
def test_after_the_end_of_all_of_ray_every_job_is_taken_up_where_it_stands(
    stack: Stack, api: Api, second_host: WorkerNode, ledger_of_both: Ledger, *, kill: bool
) -> None:
    here = [ledger_of_both.submit(kind, target_host="local") for kind in (kinds.STEADY, kinds.RAW, kinds.STOPPED)]
    there = over_there(ledger_of_both, second_host)
    full = ledger_of_both.submit(kinds.STEADY, resources={"cpus": 2}, target_host="local")
    gone = ledger_of_both.submit(kinds.STOPPED, resources={"cpus": 2}, target_host="local")
    ledger_of_both.running(*here)
    ledger_of_both.stop(gone)
    ledger_of_both.stop(there[3])
    restart_head(stack, second_host, kill=kill)
    for job in (here[2], there[2]):
        assert wait_for(api, job, "running")["attempt"] == 1
    assert ledger_of_both.settle().problems == []
    assert (status(api, full)["status"], status(api, gone)["status"]) == ("finished", "canceled")
