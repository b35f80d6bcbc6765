"""What is done about a job and its runner, from what is known of it."""

from dataclasses import replace
from typing import Any

import pytest

from workers.common.errors import StorageFull, Unavailable
from workers.jobs.events import Note, RunnerPlaced
from workers.jobs.records import JobRecord, Reason, State
from workers.supervision.decisions import (
    AfterLaunch,
    Errand,
    Leave,
    NoContainer,
    Sent,
    Stay,
    Step,
    TakeOver,
    Work,
    Writing,
    adoption,
    after_launch,
    engine_fault,
    for_the_book,
    launch_pause_s,
    lost,
    next_step,
    patience_s,
    unreachable,
    waiting_for_storage,
    while_waiting,
    while_working,
    writing,
)
from workers.supervision.hosts import Host
from workers.supervision.placement import Placement, Waiting, adopt_on, place

HOST = Host("lab", "10.0.0.2", "node-lab", "vm-17", {"CPU": 2.0, "memory": 8e9}, online=True, docker=True)
AWAY = replace(HOST, online=False)
NO_ENGINE = replace(HOST, docker=False, docker_error="no socket")
AGAIN = replace(HOST, node_id="node-new")


def job(**values: Any) -> JobRecord:
    return JobRecord(job_id="j", job_name="n", image="i", submitted_at=1.0).change(**values)


def running(**values: Any) -> JobRecord:
    return job(state=State.RUNNING, claimed=True, host="lab", container_id="c", started_at=5.0).change(**values)


FINISHED = running(state=State.FINISHED)


def container(state: str = "running", **values: Any) -> Any:
    return {"id": "c", "job_id": "j", "attempt": 1, "state": state, "started_at": 5.0, **values}


@pytest.mark.parametrize(
    ("record", "step"),
    [
        (None, Step.FORGET),
        (FINISHED, Step.CLOSE),
        (job(), Step.LAUNCH),
        (job(state=State.LAUNCHING, host="lab"), Step.LAUNCH),
        (job(state=State.LAUNCHING, host="lab", claimed=True), Step.ADOPT),
        (running(state=State.UNKNOWN), Step.ADOPT),
        (running(state=State.STOP_REQUESTED), Step.ADOPT),
    ],
)
def test_a_job_is_launched_only_while_no_container_can_exist(record: JobRecord | None, step: Step) -> None:
    assert next_step(record) is step


def test_nothing_is_launched_while_the_storage_can_not_be_written_and_the_reason_says_so() -> None:
    assert waiting_for_storage(None) is None
    assert waiting_for_storage(StorageFull("full")) == Waiting(Reason.STORAGE_FULL, "full")
    assert waiting_for_storage(Unavailable("gone", "shared_root_missing")) == Waiting(
        Reason.STORAGE_UNAVAILABLE, "gone"
    )


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (None, AfterLaunch.SETTLED),
        (FINISHED, AfterLaunch.SETTLED),
        (job(state=State.LAUNCHING, claimed=True), AfterLaunch.SETTLED),
        (job(state=State.LAUNCHING), AfterLaunch.NEW_ATTEMPT),
        (job(attempt=2), AfterLaunch.QUEUED_AGAIN),
    ],
)
def test_a_launch_that_came_to_nothing_is_repeated_only_as_a_new_attempt(
    after: JobRecord | None, outcome: AfterLaunch
) -> None:
    assert after_launch(job(), after) is outcome


def test_launches_that_come_to_nothing_are_repeated_less_and_less_often() -> None:
    assert [launch_pause_s(failures) for failures in (1, 2, 3, 6, 5000)] == [1.0, 2.0, 4.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("record", "host", "containers", "decision"),
    [
        (running(host=None), None, None, NoContainer.HOST_NOT_KNOWN),
        (running(), None, None, NoContainer.UNREACHABLE),
        (running(), AWAY, None, NoContainer.UNREACHABLE),
        (running(), HOST, None, NoContainer.UNREACHABLE),
        (running(), HOST, [], NoContainer.GONE),
        (running(), HOST, [container(job_id="another")], NoContainer.GONE),
        (running(started_at=None), HOST, [], NoContainer.LOOK_AGAIN),
        (running(), HOST, [container()], TakeOver(container(), Errand.ADOPT)),
        (running(), HOST, [container("paused")], TakeOver(container("paused"), Errand.ADOPT)),
        (running(), HOST, [container("restarting")], TakeOver(container("restarting"), Errand.ADOPT)),
        (running(), HOST, [container("exited")], TakeOver(container("exited"), Errand.CONCLUDE)),
    ],
)
def test_a_container_is_taken_over_where_it_is_and_never_given_up_while_nobody_can_say(
    record: JobRecord, host: Host | None, containers: list[Any] | None, decision: TakeOver | NoContainer
) -> None:
    assert adoption(record, host, containers) == decision


def test_why_a_host_says_nothing_tells_the_machine_from_its_engine() -> None:
    assert unreachable(running(), None).reason is Reason.HOST_UNREACHABLE
    assert unreachable(running(), AWAY) == Waiting(Reason.HOST_UNREACHABLE, "The host lab is not reachable")
    assert unreachable(running(), NO_ENGINE) == Waiting(
        Reason.DOCKER_UNAVAILABLE, "Docker does not answer on the host lab: no socket"
    )


def test_a_job_is_lost_only_after_the_deadline() -> None:
    assert lost(running(), 60.0, 60.0) is None
    assert lost(running(), 60.1, 60.0) == "The host lab could not be asked for 60 s"
    assert lost(running(host=None), 60.1, 60.0) == "The host of this job could not be asked for 60 s"


def test_only_a_launch_makes_a_container() -> None:
    assert {errand: errand.mode for errand in Errand} == {
        Errand.LAUNCH: "launch",
        Errand.ADOPT: "adopt",
        Errand.ADOPT_WITHOUT_ROOM: "adopt",
        Errand.CONCLUDE: "adopt",
        Errand.COMPLETE: "adopt",
    }


def test_an_adoption_is_looked_at_when_its_time_is_over_and_a_queued_job_again_and_again() -> None:
    assert patience_s(Errand.ADOPT, 1.0, 5.0) == 4.0
    assert 0 < patience_s(Errand.ADOPT, 9.0, 5.0) < 1
    assert (patience_s(Errand.LAUNCH, 0.5, 5.0), patience_s(Errand.LAUNCH, 2.0, 5.0)) == (1.0, 5.0)


def launched(record: JobRecord, hosts: list[Host]) -> Sent:
    placement = place(record, hosts)
    assert isinstance(placement, Placement)
    return Sent(record, placement, Errand.LAUNCH)


def waits(sent: Sent, record: JobRecord | None, hosts: list[Host], waited_s: float = 0.0) -> Stay | Leave:
    return while_waiting(sent, record, hosts, waited_s, adoption_wait_s=5.0)


def test_a_launch_waits_in_rays_queue_and_after_a_moment_says_for_what() -> None:
    sent = launched(job(), [HOST])
    assert waits(sent, job(), [HOST]) == Stay()
    stay = waits(sent, job(), [HOST], waited_s=1.0)
    assert isinstance(stay, Stay)
    assert stay.say is not None
    assert stay.say.reason is Reason.WAITING_FOR_ROOM


def test_a_launch_that_no_host_can_hold_says_so_at_once() -> None:
    large = job(cpus=64.0)
    for waited_s in (0.0, 60.0):
        stay = waits(launched(large, [HOST]), large, [HOST], waited_s)
        assert isinstance(stay, Stay)
        assert stay.say is not None
        assert stay.say.reason is Reason.UNSCHEDULABLE


def test_a_launch_waits_on_in_ray_while_every_host_is_away_and_says_so() -> None:
    stay = waits(launched(job(), [AWAY]), job(), [AWAY])
    assert isinstance(stay, Stay)
    assert stay.say is not None
    assert stay.say.reason is Reason.HOST_UNREACHABLE


@pytest.mark.parametrize(
    ("record", "hosts"),
    [
        (None, [HOST]),
        (job(state=State.CANCELED), [HOST]),
        (job(), [AWAY]),
        (job(), [NO_ENGINE]),
        # A second host without an engine is to be avoided from here on.
        (job(), [HOST, replace(NO_ENGINE, name="other", node_id="node-other")]),
    ],
)
def test_a_launch_is_taken_back_when_its_job_is_over_or_its_request_is_not_the_right_one_any_more(
    record: JobRecord | None, hosts: list[Host]
) -> None:
    assert waits(launched(job(), [HOST]), record, hosts) is Leave.MISPLACED


def test_an_adoption_without_a_place_in_time_does_without_room_where_its_host_is_there() -> None:
    sent = Sent(running(), adopt_on(running(), HOST, take_room=True), Errand.ADOPT)
    assert waits(sent, running(), [HOST], waited_s=4.9) == Stay()
    assert waits(sent, running(), [HOST], waited_s=5.0) is Leave.NO_ROOM
    assert waits(sent, running(), [AWAY], waited_s=5.0) is Leave.MISPLACED
    # The node that it waits for is that of the host as it was when it was sent.
    assert waits(sent, running(host="other"), [HOST], waited_s=5.0) is Leave.NO_ROOM


@pytest.mark.parametrize("errand", [Errand.ADOPT, Errand.ADOPT_WITHOUT_ROOM, Errand.CONCLUDE])
@pytest.mark.parametrize("waited_s", [0.0, 60.0])
@pytest.mark.parametrize("record", [None, FINISHED])
def test_no_second_runner_is_sent_for_a_job_that_is_over(
    errand: Errand, waited_s: float, record: JobRecord | None
) -> None:
    sent = Sent(running(), adopt_on(running(), HOST, take_room=errand is Errand.ADOPT), errand)
    assert waits(sent, record, [HOST], waited_s) is Leave.MISPLACED


@pytest.mark.parametrize("errand", [Errand.ADOPT_WITHOUT_ROOM, Errand.CONCLUDE])
def test_a_runner_that_takes_no_room_waits_only_for_the_node_that_its_host_has_now(errand: Errand) -> None:
    sent = Sent(running(), adopt_on(running(), HOST, take_room=False), errand)
    assert waits(sent, running(), [HOST], waited_s=60.0) == Stay()
    for hosts in ([AGAIN], [AWAY], []):
        assert waits(sent, running(), hosts) is Leave.MISPLACED
    assert waits(sent, None, [HOST]) is Leave.MISPLACED


@pytest.mark.parametrize(
    ("record", "host", "work"),
    [
        (None, None, Work.GIVE_UP),
        (running(), AGAIN, Work.GIVE_UP),
        (FINISHED, AGAIN, Work.GIVE_UP),
        (FINISHED, AWAY, Work.GO_ON),
        (running(), None, Work.UNREACHABLE),
        (running(), AWAY, Work.UNREACHABLE),
        (running(), NO_ENGINE, Work.UNREACHABLE),
        (running(), HOST, Work.GO_ON),
        (running(state=State.UNKNOWN, unknown_since=9.0), HOST, Work.LOOK),
    ],
)
def test_a_working_runner_goes_on_while_it_stands_where_its_host_is(
    record: JobRecord | None, host: Host | None, work: Work
) -> None:
    assert while_working(record, host, "node-lab") is work


PLACED: RunnerPlaced = {
    "event": "placed",
    "at": 6.0,
    "node_id": "node-lab",
    "hostname": "vm-17",
    "address": "10.0.0.2",
    "pid": 1,
}


def failed(reason: str) -> Any:
    return {"event": "failed", "at": 6.0, "reason": reason, "detail": "Docker on host vm-17 is away"}


def test_a_runners_host_gets_the_name_that_people_know_it_by() -> None:
    on_host = {"event": "on_host", "at": 6.0, "node_id": "node-lab", "address": "10.0.0.2"}
    assert for_the_book(PLACED, job(), [HOST]) == {**on_host, "host": "lab"}
    assert for_the_book(PLACED, job(), []) == {**on_host, "host": "vm-17"}
    note: Note = {"event": "note", "at": 6.0, "reason": None, "detail": "The host vm-17 fetches the image"}
    assert for_the_book(note, job(host="lab"), [HOST]) == {**note, "detail": "The host lab fetches the image"}
    refused = failed("start_failed")
    assert for_the_book(refused, job(host="lab"), [HOST]) == {**refused, "detail": "Docker on host lab is away"}


@pytest.mark.parametrize(
    ("reason", "record", "kind", "fault"),
    [
        ("docker_unavailable", job(host="lab"), "relaunch", "Docker on host lab is away"),
        ("storage_unavailable", job(host="lab"), "relaunch", None),
        ("image_not_found", job(host="lab"), "failed", None),
        # A container was allowed and never came to be.
        ("docker_unavailable", job(host="lab", claimed=True), "relaunch", "Docker on host lab is away"),
        ("docker_unavailable", running(), "failed", None),
    ],
)
def test_what_is_no_fault_of_a_job_that_never_started_sends_it_back_to_the_queue(
    reason: str, record: JobRecord, kind: str, fault: str | None
) -> None:
    event = for_the_book(failed(reason), record, [HOST])
    assert event is not None
    assert event["event"] == kind
    assert engine_fault(event) == fault


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ({"event": "running", "at": 6.0, "container_id": "c", "attempt": 1}, True),
        ({"event": "exited", "at": 6.0, "exit_code": 0}, True),
        ({"event": "missing", "at": 6.0, "detail": "It was removed", "started": True}, True),
        ({"event": "launching", "at": 6.0}, False),
        ({"event": "refused", "at": 6.0, "detail": "no", "answered": True}, False),
        ({"event": "exit_taken", "at": 6.0}, False),
    ],
)
def test_what_says_something_of_a_job_reaches_its_record_as_it_is(event: Any, kept: bool) -> None:
    assert for_the_book(event, running(), [HOST]) == (event if kept else None)


def test_an_end_is_on_the_disk_before_the_runner_removes_the_container() -> None:
    assert {kind for kind in ("exited", "failed", "missing") if writing(kind) is Writing.DONE} == {
        "exited",
        "failed",
        "missing",
    }
    assert writing("running") is Writing.TRIED
    assert {writing(kind) for kind in ("placed", "launching", "note", "refused")} == {Writing.LATER}
