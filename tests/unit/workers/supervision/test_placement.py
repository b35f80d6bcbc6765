"""Where a job may run."""

from dataclasses import replace
from typing import Any

import pytest

from workers.common.errors import InvalidInput, NotFound
from workers.common.nodes import NODE_LABEL
from workers.jobs.records import JobRecord, Reason, State
from workers.supervision.hosts import Host
from workers.supervision.placement import Placement, Waiting, adopt_on, find_target, place
from workers.supervision.supervisor_answers import hosts_answer
from workers.supervision.sweeper import Grace, Orphan, ownerless_containers


def host(name: str, address: str, **values: Any) -> Host:
    base = Host(
        name=name, address=address, node_id=f"node-{name}", hostname=name, resources={"CPU": 2.0, "memory": 8e9}
    )
    return replace(base, online=True, docker=True, **values)


HEAD = host("head", "10.0.0.1", head=True)
GPU = host(
    "big",
    "10.0.0.2",
    resources={"CPU": 8.0, "GPU": 2.0, "memory": 64e9, "gpu_node": 1.0, "host:big": 1.0},
    labels={"rack": "7", "ray.io/node-id": "node-big", "opeva.host": "big", "opeva_data": "yes"},
)
HOSTS = [HEAD, GPU]


def job(**values: Any) -> JobRecord:
    return JobRecord(job_id="j", job_name="n", image="i", submitted_at=1.0).change(**values)


@pytest.mark.parametrize(
    ("target", "name"),
    [("local", "head"), ("head", "head"), ("10.0.0.2", "big"), ("big", "big"), ("rack", "big")],
)
def test_a_target_is_a_name_an_address_local_or_the_name_of_a_label(target: str, name: str) -> None:
    assert [found.name for found in find_target(target, HOSTS)] == [name]
    placement = place(job(target_host=target), HOSTS)
    assert isinstance(placement, Placement)
    assert placement.options["label_selector"] == {NODE_LABEL: f"node-{name}"}


def test_a_target_that_is_a_resource_is_asked_of_ray_by_that_so_that_its_autoscaler_can_bring_one() -> None:
    assert find_target("gpu_node", HOSTS) == [GPU]
    assert place(job(target_host="gpu_node"), HOSTS) == Placement(
        {"num_cpus": 1.0, "resources": {"gpu_node": 0.001}}, None
    )
    without = place(job(target_host="gpu_node"), [HEAD, replace(GPU, docker=False, docker_error="Docker is down")])
    assert isinstance(without, Placement)
    assert without.options["label_selector"] == {NODE_LABEL: "!in(node-big)"}
    assert without.obstacle == Waiting(
        Reason.DOCKER_UNAVAILABLE, "No host for it has a Docker engine that answers. Docker is down"
    )


@pytest.mark.parametrize("target", ["nowhere", "CPU", "memory", "10.0.0.3", "host:big", "opeva.host"])
def test_an_unknown_target_is_not_found_and_the_hosts_are_named(target: str) -> None:
    with pytest.raises(NotFound, match="big, head"):
        find_target(target, HOSTS)


@pytest.mark.parametrize("target", ["", "a b", "../x", "x" * 300, None])
def test_a_target_that_can_be_no_host_is_refused(target: Any) -> None:
    with pytest.raises(InvalidInput):
        find_target(target, HOSTS)


def test_a_target_that_is_a_hosts_name_goes_there_though_others_have_a_tag_of_that_name() -> None:
    named = host("gpu_node", "10.0.0.9", resources={"CPU": 2.0, "memory": 8e9, "gpu_node": 1.0})
    for target in ("gpu_node", "10.0.0.9"):
        placement = place(job(target_host=target), [HEAD, GPU, named])
        assert isinstance(placement, Placement)
        assert placement.options == {"num_cpus": 1.0, "label_selector": {NODE_LABEL: "node-gpu_node"}}


def test_a_job_without_a_target_is_asked_of_ray_by_what_it_needs_alone() -> None:
    placement = place(job(cpus=0.5, gpus=1, memory=100), HOSTS)
    assert placement == Placement({"num_cpus": 0.5, "num_gpus": 1, "memory": 100}, None)


UNABLE = {
    "not asked yet": {"docker": None},
    "no engine": {"docker": False, "docker_error": "no socket"},
    "no folder": {"folder_error": "The shared folder is not at /data on host big"},
}


@pytest.mark.parametrize("state", UNABLE.values(), ids=UNABLE)
def test_a_host_where_no_job_can_run_is_avoided_and_one_that_joins_is_not(state: dict[str, Any]) -> None:
    placement = place(job(), [HEAD, replace(GPU, **state)])
    assert placement == Placement({"num_cpus": 1.0, "label_selector": {NODE_LABEL: "!in(node-big)"}}, None)


@pytest.mark.parametrize(
    ("hosts", "reason", "sentence"),
    [
        (
            [replace(HEAD, docker=False, docker_error="Docker on host head is not there"), replace(GPU, online=False)],
            Reason.DOCKER_UNAVAILABLE,
            "No host for it has a Docker engine that answers. Docker on host head is not there",
        ),
        (
            [replace(HEAD, docker=False, docker_error="no socket"), replace(GPU, folder_error="no folder on big")],
            Reason.STORAGE_UNAVAILABLE,
            "No host for it has both Docker and the head's shared folder. no socket; no folder on big",
        ),
        (
            [replace(HEAD, online=False, docker=False, lacking="no package"), replace(GPU, online=False)],
            Reason.DOCKER_UNAVAILABLE,
            "No host for it has a Docker engine that answers. no package",
        ),
        (
            [replace(HEAD, online=False), replace(GPU, online=False)],
            Reason.HOST_UNREACHABLE,
            "No host for it is reachable. The host head is not reachable; The host big is not reachable",
        ),
    ],
)
def test_what_no_host_has_is_said_and_ray_is_asked_even_so(hosts: list[Host], reason: Reason, sentence: str) -> None:
    placement = place(job(), hosts)
    assert isinstance(placement, Placement)
    assert placement.obstacle == Waiting(reason, sentence)
    pinned = [replace(hosts[0], online=True, docker=False, docker_error="no socket", lacking=None)]
    assert place(job(target_host="head"), pinned) == Waiting(
        Reason.DOCKER_UNAVAILABLE, "No host for it has a Docker engine that answers. no socket"
    )


def test_an_offline_target_is_waited_for() -> None:
    waiting = place(job(target_host="big"), [HEAD, replace(GPU, online=False)])
    assert isinstance(waiting, Waiting)
    assert waiting.reason is Reason.HOST_UNREACHABLE


def test_a_job_larger_than_every_host_is_asked_of_ray_and_told() -> None:
    placement = place(job(cpus=64), HOSTS)
    assert isinstance(placement, Placement)
    assert placement.obstacle is not None
    assert placement.obstacle.reason is Reason.UNSCHEDULABLE
    assert "64 CPUs" in placement.obstacle.detail


def test_an_adoption_goes_to_the_containers_host_and_takes_room_or_none() -> None:
    record = job(cpus=2, memory=10)
    label = {NODE_LABEL: "node-big"}
    assert adopt_on(record, GPU, take_room=True).options == {"num_cpus": 2, "memory": 10, "label_selector": label}
    assert adopt_on(record, GPU, take_room=False).options == {"num_cpus": 0, "label_selector": label}


def test_the_hosts_answer_counts_what_jobs_hold() -> None:
    jobs = [
        job(state=State.RUNNING, host="big", cpus=2, memory=5),
        job(state=State.UNKNOWN, host="big", cpus=1),
        job(state=State.QUEUED),
    ]
    answer = hosts_answer([GPU, HEAD], jobs)
    assert [entry["name"] for entry in answer["available_hosts"]] == ["head", "big"]
    big = answer["hosts"]["big"]
    assert (big["running"], big["used"], big["online"]) == (2, {"cpus": 3.0, "gpus": 0, "memory": 5}, True)
    assert big["active_job_ids"] == ["j", "j"]
    assert big["info"]["tags"] == ["gpu_node", "rack"]


def container(job_id: str = "j", attempt: int = 1) -> Any:
    return {"id": f"c-{job_id}-{attempt}", "job_id": job_id, "attempt": attempt}


@pytest.mark.parametrize(
    ("record", "orphan"),
    [
        (None, True),
        (job(state=State.FINISHED), True),
        (job(state=State.RUNNING, host="h", claimed=True), False),
        (job(state=State.RUNNING, host="h", claimed=True, attempt=2), True),
        (job(state=State.RUNNING, host="other", claimed=True), True),
        (job(state=State.UNKNOWN, host="h", claimed=True), False),
        (job(state=State.STOP_REQUESTED, host="h", claimed=True), False),
    ],
)
def test_a_container_is_nobodys_unless_a_job_that_has_not_ended_runs_in_it(
    record: JobRecord | None, orphan: bool
) -> None:
    assert bool(ownerless_containers([container()], "h", lambda _: record)) is orphan


def test_the_grace_period_starts_over_when_a_thing_was_somebodys_meanwhile() -> None:
    thing = Orphan("c", "why", "j")
    patient, eager = Grace(1000), Grace(0)
    assert patient.due("h", [thing]) == []
    assert eager.due("h", [thing]) == [thing]
    patient.seconds = 0
    assert patient.due("h", []) == []
    patient.seconds = 1000
    assert patient.due("h", [thing]) == []


def test_a_sentence_from_a_host_names_it_as_people_know_it() -> None:
    lab = replace(GPU, hostname="vm-17")
    assert lab.named("Docker on host vm-17 does not answer") == "Docker on host big does not answer"
    assert lab.named(None) is None
