"""The copy of the jobs that an API process keeps."""

from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from workers.common.answers import failure, success, value_of
from workers.common.errors import NotFound
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.common.options import Options
from workers.jobs.records import JobRecord, State
from workers.supervision.book import JobBook
from workers.supervision.client import JobsClient
from workers.supervision.supervisor_answers import hosts_answer

Change = tuple[int, JobRecord | str]


def record(at: float) -> JobRecord:
    return JobRecord(job_id=new_job_id(), job_name="n", image="i", submitted_at=at)


class Copy:
    """A client fed by hand from a book: what the way between two processes carries, without the way."""

    def __init__(self, tmp_path: Path, *records: JobRecord) -> None:
        self.book = JobBook(Layout(tmp_path), records)
        self.client = JobsClient(Options(shared_root=str(tmp_path), host_shared_root=str(tmp_path)))

    def catch_up(self) -> None:
        news = self.book.changes(self.client._epoch, self.client._number)
        self.client._take(
            {**news, "hosts": hosts_answer([], []), "hosts_settled": True, "cluster_id": "c", "storage": None}
        )


async def test_the_copy_holds_what_the_supervisor_holds_newest_first(tmp_path: Path) -> None:
    first, second = record(1.0), record(2.0)
    copy = Copy(tmp_path, first)
    copy.catch_up()
    copy.book.put(second)
    copy.catch_up()
    assert list(await copy.client.jobs()) == [second, first]
    assert await copy.client.queue() == [first, second]
    copy.book.remove(first.job_id)
    copy.catch_up()
    assert list(await copy.client.jobs()) == [second]


async def test_an_answer_that_the_feed_has_overtaken_changes_nothing(tmp_path: Path) -> None:
    job = record(1.0)
    copy = Copy(tmp_path)
    copy.catch_up()
    copy.book.put(job)
    late_answer = copy.book.with_change(job)
    copy.book.put(job.change(state=State.LAUNCHING))
    copy.catch_up()
    assert copy.client._keep(late_answer).state is State.LAUNCHING
    assert (await copy.client.get(job.job_id)).state is State.LAUNCHING


async def test_an_answer_ahead_of_the_feed_is_seen_at_once(tmp_path: Path) -> None:
    job = record(1.0)
    copy = Copy(tmp_path)
    copy.catch_up()
    copy.book.put(job)
    copy.client._keep(copy.book.with_change(job))
    assert (await copy.client.get(job.job_id)) == job


async def test_after_a_restart_of_the_supervisor_the_copy_is_made_anew(tmp_path: Path) -> None:
    gone, kept = record(1.0), record(2.0)
    copy = Copy(tmp_path, gone, kept)
    copy.catch_up()
    number = copy.client.number
    copy.book = JobBook(Layout(tmp_path), [kept.change(state=State.RUNNING)])
    copy.catch_up()
    assert [job.state for job in await copy.client.jobs()] == [State.RUNNING]
    changes = copy.client.changes(number)
    seen = {key if isinstance(key, str) else key.job_id async for _, key in _take(changes, 2)}
    assert seen == {gone.job_id, kept.job_id}


async def _take(changes: AsyncIterator[Change], count: int) -> AsyncIterator[Change]:
    async for change in changes:
        yield change
        count -= 1
        if count == 0:
            return


class Handle:
    """The supervisor's handle of Ray. It keeps each call and answers with a record."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> "Method":
        return Method(self, name, self._answer)


class Method:
    def __init__(self, handle: Handle, name: str, answer: dict[str, Any]) -> None:
        self._handle, self._name, self._answer = handle, name, answer

    def remote(self, *args: Any) -> "Method":
        self._handle.calls.append((self._name, *args))
        return self

    def future(self) -> Future[dict[str, Any]]:
        done: Future[dict[str, Any]] = Future()
        done.set_result(success(self._answer))
        return done


async def test_each_call_goes_to_the_method_of_the_supervisor_that_it_names(tmp_path: Path) -> None:
    job = record(1.0)
    copy = Copy(tmp_path, job)
    copy.catch_up()
    client, unknown = copy.client, new_job_id()
    handle = Handle(copy.book.with_change(job))
    client._supervisor = handle
    await client.get(unknown)
    assert await client.stop(job.job_id) == (job, None)
    await client.requeue(job.job_id, "ana")
    await client.health()
    await client.delete(job.job_id, force=True)
    new_id = handle.calls[2][2]
    assert handle.calls == [
        ("get", unknown),
        ("stop", job.job_id),
        ("requeue", job.job_id, new_id, "ana"),
        ("changes", client._epoch, -1, 0.0, None),
        ("delete", job.job_id, True),
    ]


def test_an_error_crosses_processes_as_plain_data_and_is_itself_again() -> None:
    assert value_of(success({"a": 1})) == {"a": 1}
    with pytest.raises(NotFound, match="no such job") as caught:
        value_of(failure(NotFound("no such job", "job_not_found")))
    assert caught.value.code == "job_not_found"
