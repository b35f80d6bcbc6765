"""Writes of the tracking that are cut off at any moment, on disks that are full, read-only or gone."""

import asyncio
import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.common import identity
from workers.common.errors import OpevaError, StorageFull, Unavailable
from workers.common.files import remove_tree
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.jobs.record_files import load, write_record, write_track
from workers.jobs.records import JobRecord, State
from workers.outputs.job_folder import create
from workers.supervision.book import JobBook
from workers.supervision.root_watch import RootWatch


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "root")
    identity.create(layout)
    return layout


def make(**values: object) -> JobRecord:
    return JobRecord(job_id=new_job_id(), job_name="n", image="i:1", submitted_at=5.0).change(**values)


def cut_at_each_step(work: Callable[[], object]) -> Iterator[int]:
    """Run `work` in a process that ends before its first change of the storage, then its second, and so on to the last.

    Ends as by a power cut: no handler and no cleaning up runs.
    """
    for step in range(1, 500):
        child = os.fork()
        if child == 0:
            _end_at(step)
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            assert step > 5, "the process was cut off at no step worth the name"
            return
        yield step
    raise AssertionError("it never came to its end")


#: Calls of the system that change something.
_CHANGING = frozenset(
    {"open", "mkdir", "rename", "replace", "link", "unlink", "fsync", "chmod", "fchmod", "write", "flush", "close"}
)


def _end_at(step: int) -> None:
    left = step

    def watch(frame: object, event: str, called: Any) -> None:
        nonlocal left
        if event == "c_call" and called.__name__ in _CHANGING:
            left -= 1
            if left == 0:
                os._exit(9)

    sys.setprofile(watch)


def test_a_record_whose_write_is_cut_off_is_the_former_or_the_new_one(layout: Layout) -> None:
    old = make()
    new = old.change(state=State.FINISHED, exit_code=0, finished_at=9.0)
    create(layout, old.job_id, "a: 1\n", {})
    write_record(layout, old)
    seen = []
    for _ in cut_at_each_step(lambda: write_record(layout, new)):
        loaded = load(layout)
        assert loaded.notes == []
        seen.append(loaded.records[old.job_id].state)
        # What was cut off leaves nothing behind.
        assert {path.name for path in layout.record_folder(old.job_id).iterdir()} == {"record.json", "config.yaml"}
        write_record(layout, old)
    assert set(seen) == {State.QUEUED, State.FINISHED}


def test_a_submission_that_is_cut_off_is_a_whole_job_or_none(layout: Layout) -> None:
    record = make()

    def submit() -> None:
        create(layout, record.job_id, "a: 1\n", {"job_id": record.job_id})
        write_record(layout, record)

    for _ in cut_at_each_step(submit):
        loaded = load(layout)
        assert loaded.notes == []
        if loaded.records:
            assert loaded.records == {record.job_id: record}
            assert layout.snapshot(record.job_id).read_text() == "a: 1\n"
        else:
            assert loaded.unfinished == [record.job_id] or not layout.record_folder(record.job_id).exists()
        for folder in (layout.record_folder(record.job_id), layout.job(record.job_id)):
            remove_tree(folder)


def test_a_map_of_all_jobs_whose_write_is_cut_off_is_still_one(layout: Layout) -> None:
    records = [make(), make()]
    for record in records:
        write_record(layout, record)
    write_track(layout, records[:1])
    for _ in cut_at_each_step(lambda: write_track(layout, records)):
        assert set(json.loads(layout.job_track.read_text())) in ({records[0].job_id}, {r.job_id for r in records})
        assert len(load(layout).records) == 2
        assert not list(layout.root.glob(".job_track.json.*"))
        write_track(layout, records[:1])


def test_a_record_cut_short_at_any_byte_loses_no_job(layout: Layout) -> None:
    record = make(state=State.FINISHED, host="h", exit_code=0, started_at=6.0, finished_at=7.0, claimed=True)
    write_record(layout, record)
    write_track(layout, [record])
    whole = layout.record(record.job_id).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        layout.record(record.job_id).write_bytes(whole[:length])
        rebuilt = load(layout).records[record.job_id]
        assert (rebuilt.state, rebuilt.exit_code, rebuilt.finished_at) == (State.FINISHED, 0, 7.0)


def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EROFS, Unavailable), (errno.EIO, Unavailable)],
)
async def test_a_change_on_a_storage_that_fails_is_in_memory_and_comes_to_the_disk_later(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OpevaError]
) -> None:
    record = make()
    write_record(layout, record)
    book = JobBook(layout, [record])
    book.journal.start()
    with monkeypatch.context() as patch:
        refusing(patch, number)
        assert book.apply(record.job_id, {"event": "stop", "at": 9.0}).state is State.CANCELED
        with pytest.raises(kind):
            await book.flush(record.job_id)
        assert book.journal.unwritten(record.job_id)
        assert isinstance(book.journal.fault, kind)
        assert load(layout).records[record.job_id].state is State.QUEUED
    await book.flush(record.job_id)
    assert load(layout).records[record.job_id].state is State.CANCELED
    assert book.journal.fault is None
    await book.journal.close(deadline_s=10)


async def test_a_storage_that_hangs_is_said_to_be_away_and_then_takes_what_waits(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make()
    write_record(layout, record)
    book = JobBook(layout, [record])
    book.journal.start()
    awake, real = threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (awake.wait(60), real(descriptor))[1])
    book.apply(record.job_id, {"event": "stop", "at": 9.0})
    with pytest.raises(Unavailable, match="has not taken"):
        await book.journal.flush(record.job_id, 0.2)
    assert book.journal.fault is not None
    awake.set()
    await book.flush(record.job_id)
    assert load(layout).records[record.job_id].state is State.CANCELED
    await book.journal.close(deadline_s=10)


async def test_a_root_that_is_not_the_installations_is_not_written_to(layout: Layout, tmp_path: Path) -> None:
    cluster_id = identity.read(layout)
    assert cluster_id is not None
    root = RootWatch(layout, cluster_id, 10.0)
    told: list[str | None] = []
    root.on_change = lambda: told.append(root.problem.code if root.problem else None)
    record = make()
    write_record(layout, record)
    book = JobBook(layout, [record], root.check)
    book.journal.start()
    away = tmp_path / "away"
    layout.root.rename(away)
    layout.root.mkdir()
    book.apply(record.job_id, {"event": "stop", "at": 9.0})
    with pytest.raises(Unavailable, match="is the shared folder mounted") as caught:
        await book.flush(record.job_id)
    assert caught.value.code == "shared_root_missing"
    with pytest.raises(Unavailable):
        await root.checked()
    assert list(layout.root.iterdir()) == []
    layout.root.rmdir()
    away.rename(layout.root)
    await root.checked()
    await book.flush(record.job_id)
    assert load(layout).records[record.job_id].state is State.CANCELED
    assert told == ["shared_root_missing", None]
    await book.journal.close(deadline_s=10)


async def test_another_installations_root_is_told_once_it_stays(layout: Layout) -> None:
    root = RootWatch(layout, "the former one", 10.0)
    seen = asyncio.Event()
    root.on_other = seen.set
    for _ in range(4):
        with pytest.raises(Unavailable, match="another installation"):
            await root.checked()
    assert not seen.is_set()
    with pytest.raises(Unavailable):
        await root.checked()
    assert seen.is_set()
