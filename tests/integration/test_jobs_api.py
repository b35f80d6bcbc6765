"""Jobs from submission to deletion, through the API of a real stack and in real containers.

Requests go to two replicas in turn, each with a copy of the records: what one has answered, the other may know a moment
later. So a test waits for what it expects to see.
"""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scripts.harness import jobs
from scripts.harness.api import PATIENCE, Api, eventually
from scripts.stack import Stack

pytestmark = pytest.mark.usefixtures("busybox_image")

#: Takes every CPU of the head, so that what else wants it waits.
EVERYTHING: dict[str, Any] = {"resources": {"cpus": 2}, "target_host": "local"}


@pytest.fixture
def busy(api: Api) -> Iterator[str]:
    """A running job that leaves no CPU of the head to others."""
    job = jobs.submit(api, jobs.SLEEP, **EVERYTHING)
    jobs.wait_for(api, job, "running")
    yield job
    jobs.stop_all(api)


def test_a_job_runs_its_snapshot_and_tells_how_it_went(api: Api) -> None:
    before = time.time()
    body = jobs.request("cat /data/jobs/*/config.yaml; exit 3", job_name="Édifício 1/ß", submitted_by="ana")
    submitted = api.post("/run-simulation", json=body).json()
    assert submitted["container_id"] is None
    job = submitted["job_id"]
    status = jobs.wait_for(api, job, "failed")
    assert (status["reason"], status["exit_code"], status["attempt"]) == ("nonzero_exit", 3, 1)
    times = [before, *(status[name] for name in ("submitted_at", "launching_at", "started_at", "finished_at"))]
    # Docker's clock and ours are read at slightly different moments.
    assert all(earlier <= later + 1 for earlier, later in itertools.pairwise(times))
    snapshot = api.get(f"/job-resolved-config/{job}").text
    assert "experiment_name: tests" in snapshot
    assert api.get(f"/logs/{job}").text == snapshot
    (row,) = eventually(lambda: api.json("/jobs", q=job, status="failed", submitted_by="ana"))
    assert (row["job_info"]["job_name"], row["job_info"]["experiment_name"]) == ("Édifício 1/ß", "tests")
    eventually(lambda: api.json(f"/job-info/{job}")["container_id"], lambda seen: seen == status["container_id"])


def test_progress_result_and_run_are_what_the_container_wrote(api: Api, stack: Stack) -> None:
    script = """cd /data/jobs/*
        echo '{"progress_pct": 50, "reward": NaN}' > progress/progress.json
        echo '{"mlflow_run_id": "r1", "status": "finished"}' > job_info.json
        echo own > logs/r1.log
        until [ -e results/go ]; do sleep 0.1; done
        echo '{"District": {"cost": NaN, "peak": 1e400, "carbon": 0.5}}' > results/result.json"""
    job = jobs.submit(api, script)
    seen = eventually(lambda: api.json(f"/progress/{job}"), lambda answer: answer["percent"] == 50)
    assert (seen["progress_pct"], seen["reward"]) == (50, None)
    assert api.json(f"/result/{job}")["status"] == "pending"
    info = eventually(lambda: api.json(f"/job-info/{job}"), lambda told: told["status"] == "running")
    assert info["mlflow_run_id"] == "r1"
    assert eventually(lambda: api.get(f"/file-logs/{job}").text) == "own\n"
    (stack.layout.results(job) / "go").touch()
    jobs.wait_for(api, job, "finished")
    assert api.json(f"/result/{job}") == {"District": {"carbon": 0.5}}
    eventually(lambda: api.json(f"/progress/{job}")["percent"], lambda percent: percent == 100)


def test_what_waits_is_listed_in_order_and_none_of_many_is_lost_or_ever_starts_once_stopped(
    api: Api, stack: Stack, busy: str
) -> None:
    def post(number: int) -> str:
        with Api(stack.api_url) as mine:
            return jobs.submit(mine, "echo ran", job_name=f"many {number}", **EVERYTHING)

    with ThreadPoolExecutor(10) as threads:
        made = list(threads.map(post, range(50)))
    assert len(set(made)) == 50
    waiting = eventually(lambda: api.json("/queue"), lambda queue: {entry["job_id"] for entry in queue} == set(made))
    assert [entry["position"] for entry in waiting] == list(range(1, 51))
    assert [entry["since"] for entry in waiting] == sorted(entry["since"] for entry in waiting)
    eventually(lambda: jobs.status(api, waiting[6]["job_id"])["queue_position"], lambda place: place == 7)
    eventually(
        lambda: api.json("/jobs", q="many ", status="queued"), lambda rows: {row["job_id"] for row in rows} == set(made)
    )
    eventually(stack.layout.job_track.read_text, lambda track: all(job in track for job in made), what="their tracking")
    with ThreadPoolExecutor(10) as threads:
        stopped = list(threads.map(lambda job: _post(stack, f"/stop/{job}"), made))
    assert {answer["status"] for answer in stopped} == {"canceled"}
    api.post(f"/stop/{busy}")
    jobs.wait_for(api, busy, "stopped")
    # Room is there again: another job gets it, none of those that were stopped.
    jobs.run(api, **EVERYTHING)
    for job in made:
        status = jobs.wait_for(api, job, "canceled")
        assert (status["reason"], status["started_at"]) == ("user_stop", None)
        assert api.get(f"/logs/{job}").text == ""


def _post(stack: Stack, path: str, **fields: Any) -> dict[str, Any]:
    with Api(stack.api_url) as mine:
        answer = mine.post(path, **fields)
        return {"answered": answer.status_code, **answer.json()}


def test_an_idempotency_key_makes_one_job_of_many_requests(api: Api, stack: Stack) -> None:
    body = jobs.request("echo once", idempotency_key=f"key {time.time()}")
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: _post(stack, "/run-simulation", json=body), range(20)))
    assert {answer["answered"] for answer in answers} == {200}
    assert len({answer["job_id"] for answer in answers}) == 1
    other = _post(stack, "/run-simulation", json={**body, "job_name": "another"})
    assert (other["answered"], answers[0]["job_id"] in other["detail"]) == (409, True)
    jobs.wait_for(api, answers[0]["job_id"], "finished")
    again = _post(stack, "/run-simulation", json=body)
    assert (again["job_id"], again["status"]) == (answers[0]["job_id"], "finished")


@pytest.mark.parametrize(
    ("trap", "exit_code"),
    [("trap 'exit 143' TERM", 143), ("trap '' TERM", 137)],
    ids=["heeds TERM", "ignores TERM"],
)
def test_a_stop_ends_what_runs_and_asking_again_changes_nothing(api: Api, trap: str, exit_code: int) -> None:
    job = jobs.submit(api, f"{trap}; echo up; while :; do sleep 0.1; done", stop_grace_s=1, target_host="local")
    eventually(lambda: api.get(f"/logs/{job}").text)
    assert api.post(f"/stop/{job}").json()["status"] == "stop_requested"
    status = jobs.wait_for(api, job, "stopped")
    assert (status["reason"], status["exit_code"]) == ("user_stop", exit_code)
    assert api.post(f"/stop/{job}").json()["status"] == "stopped"
    assert jobs.status(api, job) == status
    eventually(lambda: jobs.container_of(job) is None, what="the container's removal")


def test_a_requeued_job_runs_the_same_snapshot_though_the_config_changed_since(api: Api) -> None:
    name = f"requeue-{time.time_ns()}.yaml"
    config = {"metadata": {"experiment_name": "first"}}
    api.post("/experiment-configs/create", json={"file_name": name, "config": config})
    body = jobs.request("cat /data/jobs/*/config.yaml", config_path=name)
    del body["config"]
    job = api.post("/run-simulation", json=body).json()["job_id"]
    jobs.wait_for(api, job, "finished")
    api.put(f"/experiment-configs/{name}", json={"config": {"metadata": {"experiment_name": "second"}}})
    answer = api.post(f"/jobs/{job}/requeue").json()
    assert (answer["requeued_from"], answer["config_path"]) == (job, name)
    assert answer["job_id"] != job
    jobs.wait_for(api, answer["job_id"], "finished")
    assert api.get(f"/logs/{answer['job_id']}").text == api.get(f"/logs/{job}").text
    assert "first" in api.get(f"/logs/{job}").text
    assert api.delete(f"/experiment-configs/{name}").status_code == 200


def test_a_deleted_job_leaves_nothing_and_an_active_one_must_be_forced(api: Api, stack: Stack) -> None:
    # Files of root, in a folder that others may not enter.
    job = jobs.submit(api, f"mkdir -m 700 /data/jobs/*/results/mine; echo up; {jobs.SLEEP}", target_host="local")
    eventually(lambda: api.get(f"/logs/{job}").text)
    assert api.delete(f"/job/{job}").status_code == 409
    jobs.wait_for(api, job, "running")
    assert api.delete(f"/job/{job}", params={"force": True}).status_code == 200
    for path in (f"/status/{job}", f"/logs/{job}", f"/result/{job}", f"/job-info/{job}"):
        _refused(api, "GET", path)
    _refused(api, "DELETE", f"/job/{job}")
    assert jobs.container_of(job) is None
    assert not stack.layout.job(job).exists()
    assert not stack.layout.record_folder(job).exists()
    eventually(lambda: api.json("/jobs", q=job), lambda rows: rows == [])
    eventually(lambda: job not in stack.layout.job_track.read_text(), what="the job's absence from job_track.json")


def _refused(api: Api, method: str, path: str) -> None:
    """Wait until both replicas know that the job is gone."""
    eventually(lambda: api.request(method, path).status_code, lambda code: code == 404, what=f"404 of {path}")


def test_changes_of_a_job_are_streamed_in_their_order(api: Api, stack: Stack) -> None:
    seen: list[dict[str, Any]] = []
    connected = threading.Event()

    def listen() -> None:
        with Api(stack.api_url) as mine, mine.get("/jobs/events", stream=True, timeout=PATIENCE) as answer:
            for line in answer.iter_lines(chunk_size=1):
                connected.set()
                if line.startswith(b"data: "):
                    seen.append(json.loads(line[6:]))
                    if seen[-1]["status"] in jobs.ENDED:
                        return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert connected.wait(PATIENCE)
    job, status = jobs.run(api, "echo x")
    listener.join(PATIENCE)
    assert not listener.is_alive()
    order = [change["status"] for change in seen if change["job_id"] == job]
    assert order[-1] == status["status"] == "finished"
    stages = ["queued", "launching", "running", "finished"]
    # A change that is followed by another at once may be seen only as the later one.
    assert order == sorted(order, key=stages.index)
