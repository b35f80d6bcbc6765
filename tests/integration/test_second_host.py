"""Jobs on a second host: an engine, a network and a Python environment of its own, and nothing of our code."""

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.images import BUSYBOX
from scripts.stack.worker_node import WorkerNode

#: Counts to ten, two numbers a second, and says so when it has.
COUNT = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.5; done; echo counted"
COUNTED = "".join(f"{number}\n" for number in range(1, 11)) + "counted\n"
#: Writes to its log until the test says, through a file in its folder, that it may end.
GATED = "n=0; until [ -e /data/jobs/*/results/go ]; do n=$((n+1)); echo $n; sleep 0.1; done; echo end"


def seen_of(api: Api, host: WorkerNode) -> dict[str, Any]:
    found: dict[str, Any] = api.json("/hosts")["hosts"].get(host.name, {})
    return found


@pytest.fixture
def host(second_host: WorkerNode, api: Api) -> Iterator[WorkerNode]:
    """The second host, whole again after a test, however that ended."""
    yield second_host
    second_host.mend()
    second_host.start_engine()
    second_host.start_ray()
    eventually(lambda: seen_of(api, second_host), lambda seen: seen.get("online") and seen.get("docker"))
    jobs.stop_all(api)


@pytest.mark.parametrize("by", ["name", "address"])
def test_a_job_goes_to_the_host_that_it_names(api: Api, host: WorkerNode, by: str) -> None:
    job = jobs.submit(api, COUNT, target_host=getattr(host, by))
    assert jobs.wait_for(api, job, "finished")["host"] == host.name
    assert api.get(f"/logs/{job}").text == COUNTED


def test_jobs_that_name_no_host_use_both(api: Api, host: WorkerNode) -> None:
    waiting = [jobs.submit(api, jobs.SLEEP, resources={"cpus": 1}) for _ in range(4)]
    used = {jobs.wait_for(api, job, "running")["host"] for job in waiting}
    assert used == {"head", host.name}


def test_an_image_that_the_host_lacks_is_a_reason_that_names_the_host(api: Api, host: WorkerNode) -> None:
    client = host.docker()
    try:
        client.images.remove(BUSYBOX, force=True)
        job = jobs.submit(api, COUNT, target_host=host.name)
        status = jobs.wait_for(api, job, "failed")
    finally:
        client.close()
        host.load(BUSYBOX)
    assert status["reason"] in ("image_not_found", "image_pull_failed")
    assert BUSYBOX in status["detail"]


def test_a_stop_reaches_the_other_hosts_container(api: Api, host: WorkerNode) -> None:
    job = jobs.submit(api, jobs.SLEEP, target_host=host.name)
    jobs.wait_for(api, job, "running")
    assert api.post(f"/stop/{job}").status_code == 200
    assert jobs.wait_for(api, job, "stopped")["exit_code"] == 143
    client = host.docker()
    try:
        eventually(lambda: jobs.container_of(job, client), lambda found: found is None)
    finally:
        client.close()


def test_a_cable_that_is_pulled_makes_a_job_unknown_and_nothing_is_lost_once_it_is_back(
    api: Api, host: WorkerNode
) -> None:
    job = jobs.submit(api, COUNT, target_host=host.name)
    jobs.wait_for(api, job, "running")
    host.cut()
    # The container counts to its end meanwhile.
    jobs.wait_for(api, job, "unknown")
    assert seen_of(api, host)["online"] is False
    host.mend()
    # Ray may have given the node up, which ends it there; a service would start it again.
    host.stop_ray()
    host.start_ray()
    assert jobs.wait_for(api, job, "finished")["exit_code"] == 0
    assert api.get(f"/logs/{job}").text == COUNTED


@pytest.mark.long
def test_a_node_of_ray_that_dies_leaves_its_jobs_running_and_they_are_taken_up_again(
    api: Api, host: WorkerNode
) -> None:
    job = jobs.submit(api, GATED, target_host=host.name)
    container = jobs.wait_for(api, job, "running")["container_id"]
    host.kill_ray()
    host.start_ray()
    eventually(lambda: seen_of(api, host), lambda seen: seen.get("online"))
    status = jobs.wait_for(api, job, "running")
    assert (status["container_id"], status["attempt"]) == (container, 1)
    results = host.stack.layout.results(job)
    results.mkdir(exist_ok=True)
    (results / "go").touch()
    jobs.wait_for(api, job, "finished")
    lines = api.get(f"/logs/{job}").text.splitlines()
    assert lines == [str(number) for number in range(1, len(lines))] + ["end"]


def test_a_host_without_its_engine_is_listed_as_such_refused_by_name_and_never_chosen(
    api: Api, host: WorkerNode
) -> None:
    host.stop_engine()
    eventually(lambda: seen_of(api, host), lambda seen: seen.get("docker") is False)
    assert seen_of(api, host)["online"] is True
    refusal = api.post("/run-simulation", json=jobs.request(target_host=host.name))
    assert (refusal.status_code, refusal.json()["code"]) == (503, "docker_unavailable")
    assert host.name in refusal.json()["detail"]
    # More than the head has room for at once.
    waiting = [jobs.submit(api, resources={"cpus": 1}) for _ in range(4)]
    assert {jobs.wait_for(api, job, "finished")["host"] for job in waiting} == {"head"}
    host.start_engine()
    eventually(lambda: seen_of(api, host), lambda seen: seen.get("docker"))
    assert jobs.run(api, target_host=host.name)[1]["host"] == host.name
