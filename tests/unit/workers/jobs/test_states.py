"""The transitions of a job's state."""

from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.jobs.events import (
    Claimed,
    Exited,
    Failed,
    KeptWaiting,
    Missing,
    Note,
    OnHost,
    Running,
    SeenRunning,
    Stop,
    Trouble,
    Unreachable,
)
from workers.jobs.records import JobRecord, Reason, State
from workers.jobs.states import transition

AT = 1_000.0


def job(**values: Any) -> JobRecord:
    return JobRecord(job_id="j", job_name="n", image="i", submitted_at=1.0).change(**values)


def running(**values: Any) -> JobRecord:
    return job(state=State.RUNNING, claimed=True, host="h", started_at=900.0, container_id="c").change(**values)


ON_HOST: OnHost = {"event": "on_host", "at": AT, "host": "h", "node_id": "n", "address": "a"}
CLAIMED: Claimed = {"event": "claimed", "at": AT, "host": "h", "node_id": "n", "address": "a"}
RUNNING: Running = {
    "event": "running",
    "at": AT,
    "container_id": "c",
    "container_name": "cn",
    "attempt": 1,
    "started_at": 990.0,
    "gpus": ["0"],
}
SEEN_RUNNING: SeenRunning = {
    "event": "seen_running",
    "at": AT,
    "container_id": "c",
    "container_name": "cn",
    "started_at": 990.0,
    "gpus": ["0"],
}
STOP: Stop = {"event": "stop", "at": AT}
MISSING: Missing = {"event": "missing", "at": AT}


def exited(
    code: int,
    *,
    oom_killed: bool = False,
    timed_out: bool = False,
    started_at: float = 900.0,
    finished_at: float | None = 950.0,
) -> Exited:
    return {
        "event": "exited",
        "at": AT,
        "container_id": "c",
        "exit_code": code,
        "oom_killed": oom_killed,
        "started_at": started_at,
        "finished_at": finished_at,
        "log_bytes": 7,
        "log_complete": True,
        "timed_out": timed_out,
    }


def test_each_trouble_that_an_event_may_tell_is_a_reason_of_a_record() -> None:
    trouble, of_the_supervisor = get_args(get_type_hints(Failed)["reason"])
    assert trouble == Trouble
    assert {*get_args(Trouble), *get_args(of_the_supervisor)} <= set(Reason)


def test_a_job_goes_from_the_queue_to_its_end() -> None:
    record = job()
    for event, state in ((ON_HOST, State.LAUNCHING), (CLAIMED, State.LAUNCHING), (RUNNING, State.RUNNING)):
        record = transition(record, event)
        assert record.state is state
    assert (record.host, record.container_id, record.started_at, record.gpu_ids) == ("h", "c", 990.0, ("0",))
    record = transition(record, {**RUNNING, "gpus": []})
    assert record.gpu_ids == ("0",)
    record = transition(record, exited(0))
    assert (record.state, record.reason, record.exit_code, record.log_bytes) == (State.FINISHED, None, 0, 7)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (exited(3), Reason.NONZERO_EXIT),
        (exited(137), Reason.KILLED),
        (exited(143), Reason.KILLED),
        (exited(137, oom_killed=True), Reason.OOM_KILLED),
        (exited(0, timed_out=True), Reason.TIMEOUT),
        (exited(143, timed_out=True), Reason.TIMEOUT),
    ],
)
def test_an_end_that_nobody_asked_for_fails_with_its_reason_and_true_exit_code(event: Exited, reason: Reason) -> None:
    record = transition(running(timeout_s=5.0), event)
    assert (record.state, record.reason, record.exit_code) == (State.FAILED, reason, event["exit_code"])
    assert record.detail


@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_an_exit_during_a_stop_counts_as_stopped_and_keeps_its_exit_code(code: int) -> None:
    record = transition(transition(running(), STOP), exited(code))
    assert (record.state, record.reason, record.exit_code) == (State.STOPPED, Reason.USER_STOP, code)


@pytest.mark.parametrize("record", [job(), job(state=State.LAUNCHING, host="h")])
def test_a_job_stopped_before_a_container_was_allowed_is_canceled_at_once(record: JobRecord) -> None:
    assert transition(record, STOP).state is State.CANCELED


@pytest.mark.parametrize("record", [job(state=State.LAUNCHING, claimed=True), running(), running(state=State.UNKNOWN)])
def test_a_job_that_may_have_a_container_is_stopped_only_when_that_is_confirmed(record: JobRecord) -> None:
    asked = transition(record, STOP)
    assert asked.state is State.STOP_REQUESTED
    failed = transition(asked, {"event": "stop_failed", "at": AT, "detail": "no answer"})
    assert (failed.state, failed.reason, failed.detail) == (State.STOP_REQUESTED, Reason.STOP_FAILED, "no answer")
    assert transition(failed, RUNNING).state is State.STOP_REQUESTED


@pytest.mark.parametrize("record", [job(), running()])
def test_when_a_stop_was_asked_for_is_on_record(record: JobRecord) -> None:
    assert transition(record, STOP).stop_requested_at == AT


def test_a_claim_says_where_the_container_comes_to_be() -> None:
    record = transition(job(state=State.LAUNCHING, host="elsewhere", node_id="m", address="b"), CLAIMED)
    assert (record.claimed, record.host, record.node_id, record.address) == (True, "h", "n", "a")


def test_a_second_stop_changes_nothing() -> None:
    asked = transition(running(), STOP)
    assert transition(asked, {"event": "stop", "at": AT + 5}) is asked


def test_a_stop_with_nothing_left_to_stop_ends_by_whether_the_job_ever_ran() -> None:
    assert transition(transition(running(), STOP), MISSING).state is State.STOPPED
    never_ran = transition(job(state=State.LAUNCHING, claimed=True), STOP)
    assert transition(never_ran, MISSING).state is State.CANCELED
    assert transition(never_ran, {"event": "failed", "at": AT, "reason": "start_failed"}).state is State.CANCELED


def test_a_container_that_started_and_is_gone_is_lost_and_never_launched_again() -> None:
    record = transition(running(), MISSING)
    assert (record.state, record.reason) == (State.FAILED, Reason.CONTAINER_LOST)
    assert transition(running(), {"event": "relaunch", "at": AT}).state is State.RUNNING


def test_a_claimed_job_without_a_container_goes_back_to_the_queue_as_a_new_attempt() -> None:
    launching = transition(transition(job(), ON_HOST), CLAIMED)
    assert (launching.launching_at, launching.host, launching.node_id, launching.address) == (AT, "h", "n", "a")
    assert transition(launching, MISSING) == job(attempt=2)


def test_an_unreachable_host_makes_its_jobs_unknown_until_they_are_seen_again() -> None:
    away = transition(running(), {"event": "unreachable", "at": AT, "detail": "h is away"})
    assert (away.state, away.reason, away.unknown_since) == (State.UNKNOWN, Reason.HOST_UNREACHABLE, AT)
    again = transition(away, {"event": "unreachable", "at": AT + 9, "detail": "h is away"})
    assert again.unknown_since == AT
    back = transition(away, SEEN_RUNNING)
    assert (back.state, back.unknown_since, back.started_at) == (State.RUNNING, None, 900.0)
    assert transition(away, exited(0)).state is State.FINISHED
    lost = transition(away, {"event": "host_lost", "at": AT, "detail": "too long"})
    assert (lost.state, lost.reason) == (State.FAILED, Reason.HOST_LOST)


def test_an_unreachable_host_does_not_undo_a_stop() -> None:
    asked = transition(transition(running(), STOP), {"event": "unreachable", "at": AT, "detail": "h is away"})
    assert (asked.state, asked.reason, asked.unknown_since) == (State.STOP_REQUESTED, Reason.STOP_FAILED, AT)
    seen = transition(asked, SEEN_RUNNING)
    assert (seen.state, seen.unknown_since) == (State.STOP_REQUESTED, None)


def test_a_queued_job_is_not_touched_by_a_host_that_leaves() -> None:
    record = job()
    assert transition(record, {"event": "unreachable", "at": AT, "detail": "x"}) is record


def test_why_a_job_waits_is_said_and_cleared_when_it_is_placed() -> None:
    waiting: KeptWaiting = {
        "event": "waiting",
        "at": AT,
        "reason": "unschedulable",
        "detail": "no host is large enough",
    }
    record = transition(job(), waiting)
    assert (record.state, record.reason) == (State.QUEUED, Reason.UNSCHEDULABLE)
    assert transition(record, waiting) is record
    assert transition(record, ON_HOST).reason is None
    assert transition(running(), waiting).state is State.RUNNING


def test_a_note_tells_of_a_running_job_and_is_cleared() -> None:
    noted = transition(running(), {"event": "note", "at": AT, "reason": "storage_full", "detail": "paused"})
    assert (noted.state, noted.reason, noted.detail) == (State.RUNNING, Reason.STORAGE_FULL, "paused")
    assert transition(noted, {"event": "note", "at": AT, "reason": None, "detail": None}).reason is None


def test_a_job_began_and_ended_when_its_container_did() -> None:
    record = transition(running(started_at=900.0), exited(0, started_at=920.0, finished_at=950.0))
    assert (record.started_at, record.finished_at) == (920.0, 950.0)
    # What the engine does not say of the end is taken from the event.
    assert transition(running(), exited(0, finished_at=None)).finished_at == AT


def test_an_end_is_never_before_its_start() -> None:
    record = transition(running(), exited(0, started_at=900.0, finished_at=899.999))
    assert record.started_at is not None
    assert record.finished_at is not None
    assert record.finished_at >= record.started_at


EVENTS = st.sampled_from(
    [
        ON_HOST,
        CLAIMED,
        RUNNING,
        STOP,
        MISSING,
        exited(0),
        exited(2),
        {"event": "failed", "at": AT, "reason": "start_failed", "detail": "d"},
        {"event": "note", "at": AT, "reason": "storage_full", "detail": "d"},
        {"event": "stop_failed", "at": AT, "detail": "d"},
        {"event": "unreachable", "at": AT, "detail": "d"},
        SEEN_RUNNING,
        {"event": "host_lost", "at": AT, "detail": "d"},
        {"event": "relaunch", "at": AT},
        {"event": "waiting", "at": AT, "reason": "unschedulable", "detail": "d"},
        {"event": "of a newer version", "at": AT},
    ]
)


@given(st.lists(EVENTS, max_size=25))
def test_whatever_comes_an_end_is_final_and_a_started_job_never_returns_to_the_queue(
    events: list[Any],
) -> None:
    record = job()
    for event in events:
        after = transition(record, event)
        if record.terminal:
            assert after is record
        if record.started_at is not None:
            assert after.state is not State.QUEUED
            assert after.attempt == record.attempt
        if after.terminal:
            assert after.finished_at is not None
        if after.state in (State.FAILED, State.STOPPED, State.CANCELED):
            assert after.reason is not None
        assert JobRecord.from_dict(after.to_dict()) == after
        record = after


def test_while_the_engine_is_away_nobody_says_that_a_job_runs() -> None:
    note: Note = {"event": "note", "at": AT, "reason": "docker_unavailable", "detail": "no answer"}
    away = transition(running(), note)
    assert (away.state, away.reason, away.unknown_since) == (State.UNKNOWN, Reason.DOCKER_UNAVAILABLE, AT)
    assert transition(away, {**note, "reason": None, "detail": ""}) == running()
    assert transition(away, exited(137)).reason is Reason.KILLED
    asked = transition(away, STOP)
    assert (asked.state, transition(asked, note)) == (State.STOP_REQUESTED, asked)


def test_what_made_a_job_unknown_is_taken_back_only_by_who_can_see_it() -> None:
    unreachable: Unreachable = {"event": "unreachable", "at": AT, "detail": "h is away"}
    away = transition(running(), unreachable)
    assert transition(away, {"event": "note", "at": AT, "reason": None, "detail": ""}) is away
    engine = transition(running(), {**unreachable, "reason": "docker_unavailable"})
    assert engine.reason is Reason.DOCKER_UNAVAILABLE
