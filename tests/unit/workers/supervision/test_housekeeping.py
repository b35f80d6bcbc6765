"""What housekeeping does with what it finds; the finding and removing are stood in for."""

import json
from pathlib import Path
from typing import Any

import pytest

from workers.common import identity
from workers.common.clock import now
from workers.common.errors import OpevaError, StorageFull
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.common.options import Options
from workers.jobs.records import JobRecord, State
from workers.supervision.book import JobBook
from workers.supervision.hosts import Host
from workers.supervision.housekeeping import Housekeeping

DAY = 86_400.0


class Stage:
    """Everything around the housekeeping: one host with the containers that a test puts there."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.layout = Layout(root)
        identity.create(self.layout)
        self.book = JobBook(self.layout)
        self.containers: list[dict[str, Any]] = []
        self.swept: list[str] = []
        self.completed: list[str] = []
        self.forgotten: list[str] = []
        self.can_complete = True
        self.fault: OpevaError | None = None
        settings = Options(str(root), str(root), sweep_grace_s=0.0, **options)
        self.housekeeping = Housekeeping(
            self.book,
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            lambda: self.fault,
            settings,
            "c",
        )

    def all(self) -> list[Host]:
        return [Host("h", "10.0.0.1", "n", "h", online=True)]

    async def of(self, host: Host, *, fresh: bool) -> list[dict[str, Any]]:
        return list(self.containers)

    async def call(self, host: Host, timeout_s: float, method: Any, *args: Any) -> Any:
        self.swept += args[1]
        return {"removed": args[1], "error": None}

    async def complete(self, record: JobRecord, host: Host) -> bool:
        self.completed.append(record.job_id)
        return self.can_complete

    async def forget(self, record: JobRecord) -> None:
        self.forgotten.append(record.job_id)

    def job(self, **values: Any) -> JobRecord:
        record = JobRecord(job_id=new_job_id(), job_name="n", image="i", submitted_at=1.0).change(**values)
        self.book._keep(record)
        return record

    def container(self, job_id: str, state: str = "running") -> str:
        name = f"container of {job_id}"
        self.containers.append({"id": name, "job_id": job_id, "attempt": 1, "state": state})
        return name

    def log(self) -> list[str]:
        return [json.loads(line)["did"] for line in self.layout.sweep_log.read_text().splitlines()]


async def test_a_dry_run_tells_once_what_it_would_remove_and_removes_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, sweep_dry_run=True)
    stage.container(new_job_id())
    folder = stage.layout.job(new_job_id())
    folder.mkdir()
    for _ in range(3):
        await stage.housekeeping.sweep()
    assert stage.log() == ["would remove", "would remove"]
    assert stage.swept == []
    assert folder.exists()


async def test_an_ended_jobs_container_has_its_log_completed_before_it_is_removed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    job = stage.job(state=State.FINISHED, host="h", claimed=True)
    stage.container(job.job_id, "exited")
    await stage.housekeeping.sweep()
    assert (stage.completed, stage.swept, stage.log()) == ([job.job_id], [], ["completed and removed"])


async def test_a_log_that_can_not_be_completed_does_not_keep_its_container_for_ever(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.can_complete = False
    job = stage.job(state=State.FINISHED, host="h", claimed=True)
    container = stage.container(job.job_id, "exited")
    for _ in range(7):
        await stage.housekeeping.sweep()
        if stage.swept:
            break
    assert (len(stage.completed), stage.swept) == (5, [container])


async def test_a_container_is_kept_while_only_it_can_tell_of_its_jobs_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    job = stage.job(state=State.FINISHED, host="h", claimed=True)
    stage.container(job.job_id, "exited")
    stage.book.journal.mark(job.job_id)
    await stage.housekeeping.sweep()
    assert (stage.completed, stage.swept) == ([], [])


async def test_while_the_storage_fails_nothing_is_swept(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.container(new_job_id())
    stage.fault = StorageFull("full")
    assert await stage.housekeeping.round() is False
    assert stage.swept == []
    stage.fault = None
    assert await stage.housekeeping.round() is True
    assert len(stage.swept) == 1


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, 4),
        ({"retention_jobs": 3}, 3),
        ({"retention_days": 2.0}, 2),
        ({"retention_days": 2.0, "retention_jobs": 1}, 1),
    ],
)
async def test_ended_jobs_beyond_what_the_settings_keep_are_deleted_oldest_first(
    tmp_path: Path, options: dict[str, Any], kept: int
) -> None:
    stage = Stage(tmp_path, **options)
    ended = [stage.job(state=State.FINISHED, finished_at=now() - age * DAY) for age in (3.5, 2.5, 1.5, 0.5)]
    stage.job(state=State.RUNNING, host="h", claimed=True)
    await stage.housekeeping.retire_old_jobs()
    assert stage.forgotten == [record.job_id for record in ended[: 4 - kept]]
