"""What the API's side of jobs promises (`serve_app.services.Jobs`): on the real client and on the one in memory.

The jobs ask for more CPUs than any host has, so they wait until somebody stops them: nothing runs.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from serve_app.services import Jobs
from workers.common.errors import Conflict, NotFound, OpevaError
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.jobs.records import JobRecord, Reason, State
from workers.jobs.request import JobRequest

#: A loaded machine, not a slow client, is what takes this long.
PATIENCE_S = 60.0


def request_for(name: str, **changes: Any) -> JobRequest:
    """A job that no host is large enough for."""
    request = JobRequest(
        config_text="metadata:\n  experiment_name: contract\n",
        config_path="contract.yaml",
        save_as=None,
        job_name=name,
        experiment_name="contract",
        run_name="r",
        image="busybox:contract",
        cpus=64.0,
        gpus=0,
        memory=None,
        timeout_s=None,
        stop_grace_s=1.0,
        env={"A": "1"},
        submitted_by="ana",
        body_hash=name,
    )
    return replace(request, **changes)


@contextmanager
def refused(kind: type[OpevaError], code: str) -> Iterator[None]:
    """The block is refused with this error."""
    with pytest.raises(kind) as caught:
        yield
    assert caught.value.code == code


async def news(jobs: Jobs, after: int, job_id: str) -> JobRecord | str:
    """The first change of a job after a number."""
    async with asyncio.timeout(PATIENCE_S):
        async for _, change in jobs.changes(after):
            if change == job_id or (isinstance(change, JobRecord) and change.job_id == job_id):
                return change
    raise AssertionError("the stream of changes ended")


class JobsContract:
    """A subclass gives the fixtures `jobs` (a client that was started) and `layout` (where its jobs' folders lie)."""

    async def test_a_submitted_job_is_there_at_once_as_it_was_asked_for(self, jobs: Jobs, layout: Layout) -> None:
        request = request_for("there at once")
        record = await jobs.submit(request)
        assert (record.state, record.attempt, record.may_have_container) == (State.QUEUED, 1, False)
        fields = ("job_name", "experiment_name", "run_name", "image", "config_path", "cpus", "env", "submitted_by")
        assert {name: getattr(record, name) for name in fields} == {name: getattr(request, name) for name in fields}
        assert layout.snapshot(record.job_id).read_text() == request.config_text
        assert layout.job_info(record.job_id).exists()
        assert (await jobs.get(record.job_id)).job_id == record.job_id
        assert jobs.known(record.job_id) is not None
        assert record.job_id in [one.job_id for one in await jobs.queue()]

    async def test_the_list_begins_with_the_newest_and_the_queue_with_the_oldest(self, jobs: Jobs) -> None:
        ids = [(await jobs.submit(request_for(f"in order {number}"))).job_id for number in range(3)]
        assert [one.job_id for one in await jobs.jobs() if one.job_id in ids] == ids[::-1]
        assert [one.job_id for one in await jobs.queue() if one.job_id in ids] == ids

    async def test_what_does_not_exist_is_not_found(self, jobs: Jobs) -> None:
        nobody = new_job_id()
        assert jobs.known(nobody) is None
        for call in (jobs.get(nobody), jobs.stop(nobody), jobs.requeue(nobody), jobs.delete(nobody, force=True)):
            with refused(NotFound, "job_not_found"):
                await call

    async def test_an_idempotency_key_gives_one_job_and_is_refused_for_another_body(self, jobs: Jobs) -> None:
        key = new_job_id()
        first = await jobs.submit(request_for("once", idempotency_key=key))
        assert (await jobs.submit(request_for("once", idempotency_key=key))).job_id == first.job_id
        with refused(Conflict, "idempotency_key_reused"):
            await jobs.submit(request_for("another", idempotency_key=key))

    async def test_a_waiting_job_that_is_stopped_is_canceled_for_good(self, jobs: Jobs) -> None:
        job_id = (await jobs.submit(request_for("stopped"))).job_id
        for _ in range(2):
            record, unwritten = await jobs.stop(job_id)
            assert (record.state, record.reason, unwritten) == (State.CANCELED, Reason.USER_STOP, None)
            assert record.finished_at is not None
        assert (await jobs.get(job_id)).state is State.CANCELED
        assert job_id not in [one.job_id for one in await jobs.queue()]

    async def test_only_an_ended_job_is_requeued_and_that_makes_a_new_one_of_the_same(
        self, jobs: Jobs, layout: Layout
    ) -> None:
        old = await jobs.submit(request_for("again"))
        with refused(Conflict, "job_active"):
            await jobs.requeue(old.job_id)
        await jobs.stop(old.job_id)
        new = await jobs.requeue(old.job_id, "ben")
        assert new.job_id != old.job_id
        assert (new.requeued_from, new.state, new.submitted_by) == (old.job_id, State.QUEUED, "ben")
        fields = ("job_name", "experiment_name", "run_name", "image", "config_path", "cpus", "env", "stop_grace_s")
        assert {name: getattr(new, name) for name in fields} == {name: getattr(old, name) for name in fields}
        assert layout.snapshot(new.job_id).read_text() == layout.snapshot(old.job_id).read_text()
        assert (await jobs.requeue(old.job_id)).submitted_by == "ana"

    async def test_a_job_that_has_not_ended_is_deleted_only_by_force_and_nothing_is_left(
        self, jobs: Jobs, layout: Layout
    ) -> None:
        job_id = (await jobs.submit(request_for("deleted"))).job_id
        with refused(Conflict, "job_active"):
            await jobs.delete(job_id, force=False)
        assert jobs.known(job_id) is not None
        await jobs.delete(job_id, force=True)
        assert jobs.known(job_id) is None
        assert job_id not in [one.job_id for one in await jobs.jobs()]
        assert not layout.job(job_id).exists()
        assert not layout.record_folder(job_id).exists()
        with refused(NotFound, "job_not_found"):
            await jobs.get(job_id)

    async def test_each_change_is_in_the_stream_a_removal_as_the_jobs_id(self, jobs: Jobs) -> None:
        start = jobs.number
        job_id = (await jobs.submit(request_for("in the stream"))).job_id
        assert await jobs.wait_change(start, PATIENCE_S)
        assert isinstance(await news(jobs, start, job_id), JobRecord)
        seen = jobs.number
        await jobs.stop(job_id)
        changed = await news(jobs, seen, job_id)
        assert isinstance(changed, JobRecord)
        assert changed.state is State.CANCELED
        seen = jobs.number
        await jobs.delete(job_id, force=False)
        assert await news(jobs, seen, job_id) == job_id

    async def test_the_hosts_are_told_as_a_list_and_by_name(self, jobs: Jobs) -> None:
        hosts = await jobs.hosts()
        assert {host["name"]: host["node_id"] for host in hosts["available_hosts"]} == {
            name: host["node_id"] for name, host in hosts["hosts"].items()
        }
        for host in hosts["available_hosts"]:
            assert set(host["resources"]) == set(host["used"]) == {"cpus", "gpus", "memory"}

    async def test_its_health_names_the_installation(self, jobs: Jobs) -> None:
        health = await jobs.health()
        assert (bool(health.cluster_id), health.storage) == (True, None)
        assert health.latency_ms >= 0
