"""Logs over HTTP: as text, as events, in chunks; progress, results and exported series."""

import asyncio
import json
from pathlib import Path

import httpx

from serve_app.models.job_files import DataIndex, LogChunk, Progress
from tests.harness.memory_client import Served
from workers.common import names
from workers.common.clock import Deadline
from workers.jobs.records import State

#: Bytes that are no UTF-8, and a character that any block may be cut within.
ODD = b"ol\xc3\xa9 \xff\xfe\n"


def _write(here: Served, job: str, content: bytes, name: str = "container.log") -> None:
    with (here.layout.logs(job) / name).open("ab") as file:
        file.write(content)


async def test_a_log_is_all_that_there_is_so_far_and_ends_though_the_job_runs(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        assert (await here.http.get(f"/logs/{job}")).text == ""
        _write(here, job, b"one\ntwo\n" + ODD)
        answer = await here.http.get(f"/logs/{job}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.content.decode() == "one\ntwo\nolé \ufffd\ufffd\n"
        assert (await here.http.get(f"/logs/{job}?tail=2")).text.startswith("two\n")
        assert (await here.http.get(f"/logs/{job}?tail=0")).text == ""
        assert (await here.http.get(f"/logs/{job}?since=2000-01-01")).text.startswith("one\n")
        assert (await here.http.get(f"/logs/{job}?since=yesterday")).status_code == 400
        assert (await here.http.get(f"/logs/{names.new_job_id()}")).status_code == 404


async def test_a_followed_log_goes_on_to_the_last_byte_and_then_ends(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        async with here.http.stream("GET", f"/logs/{job}?follow=true") as answer:
            text = answer.aiter_text()
            _write(here, job, b"first\n")
            assert await anext(text) == "first\n"
            # The job's end is known before its last line is visible: shared storage lags.
            here.jobs.change(job, state=State.FINISHED, log_bytes=len(b"first\nlast\n"))
            await asyncio.sleep(0.3)
            _write(here, job, b"last\n")
            assert [piece async for piece in text] == ["last\n"]


async def test_following_an_ended_job_ends(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.FAILED, log_bytes=4).job_id
        _write(here, job, b"all\n")
        assert (await here.http.get(f"/logs/{job}?follow=true")).text == "all\n"
        canceled = here.jobs.add(state=State.CANCELED).job_id
        assert (await here.http.get(f"/logs/{canceled}?follow=true")).text == ""


async def test_the_simulations_own_log_is_found_at_both_addresses(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add().job_id
        _write(here, job, b"printed\n")
        assert (await here.http.get(f"/file-logs/{job}")).text == ""
        here.layout.job_info(job).write_text(json.dumps({"mlflow_run_id": "r1"}))
        _write(here, job, b"by run\n", "r1.log")
        for path in (f"/logs/file/{job}", f"/file-logs/{job}"):
            assert (await here.http.get(path)).text == "by run\n"
        _write(here, job, b"by id\n", f"{job}.log")
        for path in (f"/logs/file/{job}?tail=1", f"/file-logs/{job}"):
            assert (await here.http.get(path)).text == "by id\n"


async def _read_events(answer: httpx.Response, count: int | None = None) -> list[tuple[str, str, str]]:
    """Events as (name, id, data), until the stream ends or so many are there."""
    taken: list[tuple[str, str, str]] = []
    name, identity, data = "message", "", ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            identity = value
        elif field == "data":
            data = value
        elif not line and data:
            taken.append((name, identity, data))
            name, data = "message", ""
            if len(taken) == count:
                break
    return taken


async def test_a_log_as_events_can_be_resumed_where_it_broke_off(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        _write(here, job, b"one\n" + ODD)
        async with here.http.stream("GET", f"/logs/{job}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            (first,) = await _read_events(answer, 1)
            assert first == ("message", "4", "one")
        _write(here, job, b"three, unfinished")
        size = here.layout.container_log(job).stat().st_size
        here.jobs.change(job, state=State.FINISHED, log_bytes=size)
        resume = {"Last-Event-ID": first[1]}
        async with here.http.stream("GET", f"/logs/{job}/events", headers=resume) as answer:
            rest = await _read_events(answer)
        assert [data for _, _, data in rest[:2]] == ["olé \ufffd\ufffd", "three, unfinished"]
        assert rest[1][1] == str(size)
        assert rest[2][0] == "end"
        assert json.loads(rest[2][2]) == {"job_id": job, "status": "finished"}
        # Browsers come back after the end: they are told that there is nothing to come.
        over = await here.http.get(f"/logs/{job}/events", headers={"Last-Event-ID": str(size)})
        assert over.status_code == 204


async def test_a_silent_log_of_events_shows_that_it_lives(tmp_path: Path) -> None:
    async with Served(tmp_path, heartbeat_s=0.05) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        async with here.http.stream("GET", f"/logs/{job}/events") as answer:
            beats = 0
            async for line in answer.aiter_lines():
                beats += line.startswith(":")
                if beats == 3:
                    break


async def test_followers_that_leave_hold_nothing_and_too_many_are_told_so(tmp_path: Path) -> None:
    async with Served(tmp_path, max_follows=50) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        _write(here, job, b"x\n")

        def held() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        async def follow() -> httpx.Response:
            request = here.http.build_request("GET", f"/logs/{job}?follow=true", headers={"Connection": "close"})
            return await here.http.send(request, stream=True)

        await here.http.get("/health")
        before = held()
        streams = [await follow() for _ in range(50)]
        assert {answer.status_code for answer in streams} == {200}
        refused = await here.http.get(f"/logs/{job}/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_followers")
        assert (await here.http.get("/health")).status_code == 200
        for answer in streams:
            await answer.aclose()
        deadline = Deadline(60)
        while here.services.seats.taken > 0 or held() > before + 2:
            assert not deadline.passed(), (here.services.seats.taken, before, held())
            await asyncio.sleep(0.05)
        assert (await follow()).status_code == 200


async def test_a_log_comes_in_chunks_that_split_no_character(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.RUNNING).job_id
        nothing = LogChunk.model_validate((await here.http.get(f"/logs-chunk/{job}")).json())
        assert (nothing.available, nothing.text, nothing.next_offset) == (False, "", 0)
        _write(here, job, "aé\nb\n".encode())
        text, offset = "", 0
        for _ in range(6):
            part = (await here.http.get(f"/logs-chunk/{job}?offset={offset}&max_bytes=2")).json()
            text, offset = text + part["text"], part["next_offset"]
        assert (text, part["truncated"], part["available"]) == ("aé\nb\n", False, True)
        last = (await here.http.get(f"/logs-chunk/{job}?offset=0&tail_lines=1&max_bytes=262144")).json()
        assert (last["text"], last["truncated"]) == ("b\n", True)


async def test_progress_always_has_a_percentage(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add(state=State.RUNNING, started_at=1.0).job_id
        progress = (await here.http.get(f"/progress/{job}")).json()
        assert (progress["progress"], progress["percent"]) == ("No updates yet.", 0)
        here.layout.progress(job).write_text('{"progress_pct": 40, "reward": NaN}')
        progress = (await here.http.get(f"/progress/{job}")).json()
        assert (progress["percent"], progress["progress_pct"], progress["reward"]) == (40, 40, None)
        assert Progress.model_validate(progress).eta.available
        here.jobs.change(job, state=State.FINISHED)
        assert (await here.http.get(f"/progress/{job}")).json()["percent"] == 100


async def test_a_result_holds_no_null_and_no_number_that_json_lacks(tmp_path: Path) -> None:
    cases = [
        (State.RUNNING, None, "pending"),
        (State.RUNNING, '{"District": {', "pending"),
        (State.FINISHED, None, "unavailable"),
        (State.FINISHED, '{"District": {"a": NaN, "b": 1e400, "c": null, "d": 1}}', {"District": {"d": 1}}),
    ]
    async with Served(tmp_path) as here:
        for state, content, wanted in cases:
            job = here.jobs.add(state=state).job_id
            if content is not None:
                here.layout.result(job).write_text(content)
            answer = await here.http.get(f"/result/{job}")
            assert answer.status_code == 200
            assert "null" not in answer.text
            result = answer.json()
            assert (result if isinstance(wanted, dict) else result["status"]) == wanted


async def test_exported_series_are_listed_and_read_and_nothing_else_is(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        job = here.jobs.add().job_id
        session = here.layout.simulation_data(job) / "s1"
        session.mkdir(parents=True)
        (session / "a b.csv").write_text("x,y\n1,2\n")
        (session / "link").symlink_to("/etc/passwd")
        listed = (await here.http.post("/simulation-data/index", json={"job_id": job, "session": "latest"})).json()
        assert DataIndex.model_validate(listed).session == "s1"
        assert [entry["relative_path"] for entry in listed["files"]] == ["a b.csv"]

        async def read(path: str) -> httpx.Response:
            body = {"job_id": job, "session": "s1", "relative_path": path}
            return await here.http.post("/simulation-data/file", json=body)

        content = await read("a b.csv")
        assert (content.text, content.headers["content-type"]) == ("x,y\n1,2\n", "text/csv; charset=utf-8")
        assert (await read("link")).status_code == 404
        assert (await read("../../job_info.json")).status_code == 400
        body = {"job_id": "..", "session": "latest"}
        assert (await here.http.post("/simulation-data/index", json=body)).status_code == 400
