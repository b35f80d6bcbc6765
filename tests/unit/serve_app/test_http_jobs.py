"""Jobs over HTTP: submission, the list, states, the stream of changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from serve_app.job_listing import Rows
from serve_app.job_views import row, status
from serve_app.models.hosts import Hosts
from serve_app.models.jobs import Deleted, JobChange, JobRow, JobStatus, Requeued, Stopped, Submitted, Waiting
from tests.harness.memory_client import Served
from workers.common.clock import Deadline
from workers.jobs.records import JobRecord, State

CONFIG = {"metadata": {"experiment_name": "e", "run_name": "r"}}


async def test_a_submission_answers_with_the_job_whether_the_config_is_given_or_named(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        await here.http.post("/experiment-configs/create", json={"file_name": "x.yaml", "config": CONFIG})
        for body in ({"config": CONFIG}, {"config_path": "x.yaml"}, {"config_path": "configs/x.yaml"}):
            answer = await here.http.post("/run-simulation", json=body)
            assert answer.status_code == 200
            job = Submitted.model_validate(answer.json())
            assert (job.status, job.job_name, job.container_id) == (State.QUEUED, "e-r", None)
            assert job.config_path == ("x.yaml" if "config_path" in body else None)
        assert len({job["job_id"] for job in (await here.http.get("/jobs")).json()}) == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, 400), ({"config": CONFIG, "config_path": "x.yaml"}, 400), ({"config_path": "absent.yaml"}, 404)],
)
async def test_a_submission_that_is_refused_leaves_no_job(tmp_path: Path, body: dict[str, Any], code: int) -> None:
    async with Served(tmp_path) as here:
        assert (await here.http.post("/run-simulation", json=body)).status_code == code
        assert here.jobs.records == {}
        assert list(tmp_path.rglob("*")) == []


async def test_a_submission_goes_on_when_its_client_goes_away(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        here.jobs.gate.clear()
        body = json.dumps({"config": CONFIG}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"POST /run-simulation HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        here.jobs.gate.set()
        await _until(lambda: len(here.jobs.records) == 1)
        assert reader is not None


async def _until(holds: Any) -> None:
    deadline = Deadline(60)
    while not holds():
        assert not deadline.passed()
        await asyncio.sleep(0.02)


async def test_who_submits_is_the_holder_of_the_token_unless_the_body_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("ana:t1\n")
    async with Served(tmp_path, auth=True, tokens_file=str(tmp_path / "tokens")) as here:
        headers = {"Authorization": "Bearer t1"}
        for body in ({"config": CONFIG}, {"config": CONFIG, "submitted_by": "rui"}):
            await here.http.post("/run-simulation", json=body, headers=headers)
        assert {record.submitted_by for record in here.jobs.records.values()} == {"ana", "rui"}


async def test_the_list_holds_every_job_newest_first_and_no_null_where_clients_expect_a_text(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        old = here.jobs.add(submitted_at=1.0)
        new = here.jobs.add(submitted_at=2.0, experiment_name="e", run_name="r")
        rows = (await here.http.get("/jobs")).json()
        assert [job["job_id"] for job in rows] == [new.job_id, old.job_id]
        assert rows[0]["submitted_at"] == 2.0
        assert TypeAdapter(list[JobRow]).validate_python(rows)
        for job in rows:
            texts = {name: value for name, value in job["job_info"].items() if name != "memory"}
            assert None not in texts.values()


async def test_the_list_can_be_filtered(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        a = here.jobs.add(job_name="Alpha", state=State.RUNNING, host="h1", submitted_by="ana")
        b = here.jobs.add(job_name="beta", experiment_name="Grid-alpha", host="h2", address="10.0.0.2")
        here.jobs.add(job_name="gamma", state=State.FAILED, submitted_by="ana")

        async def ids(query: str) -> set[str]:
            answer = await here.http.get(f"/jobs?{query}")
            assert answer.status_code == 200
            return {job["job_id"] for job in answer.json()}

        assert await ids("q=ALPHA") == {a.job_id, b.job_id}
        assert await ids(f"q={a.job_id[:8]}") == {a.job_id}
        assert await ids("status=queued,Running") == {a.job_id, b.job_id}
        assert await ids("host=10.0.0.2") == {b.job_id}
        assert await ids("host=h1&submitted_by=ana") == {a.job_id}
        assert await ids("submitted_by=nobody") == set()
        assert len(await ids("status=&host=&q=")) == 3


async def test_pages_follow_one_another_whatever_comes_and_goes_meanwhile(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        jobs = [here.jobs.add(submitted_at=float(n // 2)) for n in range(7)]
        seen: list[str] = []
        cursor = None
        while True:
            answer = await here.http.get("/jobs", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
            seen += [job["job_id"] for job in answer.json()]
            cursor = answer.headers.get("x-next-cursor")
            if cursor is None:
                break
            here.jobs.add(submitted_at=100.0)
            here.jobs.records.pop(seen[-1])
        assert sorted(seen) == sorted(job.job_id for job in jobs)


def test_the_json_of_a_job_is_made_again_only_when_it_changed() -> None:
    made: list[str] = []

    def make(record: JobRecord) -> dict[str, Any]:
        made.append(record.job_id)
        return row(record)

    rows = Rows(make)
    records = [JobRecord(job_id=str(n), job_name="n", image="i", submitted_at=1.0) for n in range(3)]
    first = rows.render(records, 3)
    assert rows.render(records, 3) == first
    assert made == ["0", "1", "2"]
    records[1] = records[1].change(state=State.RUNNING)
    assert [job["status"] for job in json.loads(rows.render(records, 3))] == ["queued", "running", "queued"]
    assert made == ["0", "1", "2", "1"]
    # Whatever was kept of jobs that are gone does not pile up.
    for n in range(1000):
        rows.render([JobRecord(job_id=f"x{n}", job_name="n", image="i", submitted_at=1.0)], 1)
    assert len(rows._kept) < 200


async def test_status_tells_times_durations_and_the_place_in_the_queue(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        here.jobs.add(submitted_at=1.0)
        second = here.jobs.add(submitted_at=2.0)
        answer = (await here.http.get(f"/status/{second.job_id}")).json()
        assert JobStatus.model_validate(answer).queue_position == 2
        assert (answer["status"], answer["started_at"], answer["running_s"]) == ("queued", None, None)
        assert answer["queued_s"] > 0
        queue = (await here.http.get("/queue")).json()
        assert [entry["position"] for entry in queue] == [1, 2]
        assert TypeAdapter(list[Waiting]).validate_python(queue)
        here.jobs.change(second.job_id, state=State.RUNNING, launching_at=5.0, started_at=6.0)
        here.jobs.change(second.job_id, state=State.FINISHED, finished_at=16.0, exit_code=0)
        ended = (await here.http.get(f"/status/{second.job_id}")).json()
        assert (ended["queued_s"], ended["running_s"], ended["queue_position"]) == (3.0, 10.0, None)


def test_a_job_that_never_ran_waited_until_it_was_given_up_and_clocks_that_differ_give_no_negative_times() -> None:
    canceled = JobRecord(job_id="x", job_name="n", image="i", submitted_at=1.0, state=State.CANCELED, finished_at=4.0)
    assert status(canceled, [], 9.0)["queued_s"] == 3.0
    early = canceled.change(launching_at=0.5, started_at=0.6, finished_at=0.4)
    assert (status(early, [], 9.0)["queued_s"], status(early, [], 9.0)["running_s"]) == (0.0, 0.0)


async def test_stop_requeue_and_delete_answer_as_documented(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add().job_id
        assert (await here.http.post(f"/jobs/{job}/requeue")).status_code == 409
        assert (await here.http.delete(f"/job/{job}")).status_code == 409
        for _ in range(2):
            stopped = Stopped.model_validate((await here.http.post(f"/stop/{job}")).json())
            assert stopped.status is State.CANCELED
        again = Requeued.model_validate((await here.http.post(f"/jobs/{job}/requeue")).json())
        assert again.requeued_from == job
        assert Deleted.model_validate((await here.http.delete(f"/job/{job}")).json()).job_id == job
        assert (await here.http.get(f"/status/{job}")).status_code == 404
        forced = await here.http.delete(f"/job/{again.job_id}?force=true")
        assert forced.status_code == 200


async def test_the_record_bears_what_the_container_tells_of_mlflow_and_no_inner_fields(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add().job_id
        told = {"mlflow_run_id": "r1", "status": "lies", "mlflow_score": float("nan")}
        here.layout.job_info(job).write_text(json.dumps(told))
        info = (await here.http.get(f"/job-info/{job}")).json()
        assert (info["mlflow_run_id"], info["status"]) == ("r1", "queued")
        assert not {"mlflow_score", "body_hash", "claimed", "format", "state"} & set(info)
        snapshot = await here.http.get(f"/job-resolved-config/{job}")
        assert snapshot.text == "metadata:\n  lr: 1e-4\n"


async def test_hosts_are_answered_as_documented(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        hosts = (await here.http.get("/hosts")).json()
        assert Hosts.model_validate(hosts).available_hosts[0].name == "head"


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream, comments as `{"": text}`."""
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield event
            event = {}
        else:
            name, _, value = line.partition(":")
            event[name] = f"{event[name]}\n{value[1:]}" if name in event else value[1:]


async def _take(answer: httpx.Response, count: int) -> list[dict[str, str]]:
    taken: list[dict[str, str]] = []
    async for event in _events(answer):
        if "" not in event:
            taken.append(event)
        if len(taken) == count:
            break
    return taken


async def test_changes_are_streamed_as_they_come_and_can_be_resumed(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add().job_id
        async with here.http.stream("GET", "/jobs/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            here.jobs.change(job, state=State.LAUNCHING)
            (event,) = await _take(answer, 1)
            assert event["event"] == "job"
            assert JobChange.model_validate_json(event["data"]).status is State.LAUNCHING
        here.jobs.change(job, state=State.RUNNING)
        other = here.jobs.add().job_id
        await here.http.delete(f"/job/{other}?force=true")
        resume = {"Last-Event-ID": event["id"]}
        async with here.http.stream("GET", "/jobs/events", headers=resume) as answer:
            first, second = await _take(answer, 2)
            assert (json.loads(first["data"])["job_id"], json.loads(first["data"])["status"]) == (job, "running")
            assert (second["event"], json.loads(second["data"])) == ("removed", {"job_id": other})
        # A position of another replica means nothing here: everything comes, as it stands.
        async with here.http.stream("GET", "/jobs/events", headers={"Last-Event-ID": "other-99"}) as answer:
            assert json.loads((await _take(answer, 1))[0]["data"])["job_id"] == job


async def test_a_silent_stream_of_changes_shows_that_it_lives(tmp_path: Path) -> None:
    async with Served(tmp_path, heartbeat_s=0.05) as here, here.http.stream("GET", "/jobs/events") as answer:
        comments = 0
        async for event in _events(answer):
            comments += "" in event
            if comments == 4:
                break
