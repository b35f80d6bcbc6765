"""Records on the storage: what is written is read back, and what is damaged is rebuilt or told."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from workers.common.errors import NotFound, StorageFull
from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.jobs.record_files import TrackLines, load, write_record, write_track
from workers.jobs.records import JobRecord, Reason, State
from workers.outputs.job_folder import create
from workers.supervision.book import JobBook
from workers.supervision.feed import ChangeFeed


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.records.mkdir(parents=True)
    layout.jobs.mkdir()
    return layout


def make(**values: object) -> JobRecord:
    return JobRecord(job_id=new_job_id(), job_name="nome é", image="i:1", submitted_at=5.0).change(**values)


def keep(layout: Layout, *records: JobRecord) -> None:
    for record in records:
        write_record(layout, record)
        layout.job(record.job_id).mkdir()
    write_track(layout, records)


def test_what_was_written_is_read_back(layout: Layout) -> None:
    records = [make(), make(state=State.FAILED, reason=Reason.TIMEOUT, gpu_ids=("0", "1"), env={"A": "é\n"})]
    keep(layout, *records)
    loaded = load(layout)
    assert loaded.records == {record.job_id: record for record in records}
    assert loaded.notes == []


def test_a_record_of_a_newer_version_is_read_without_what_is_not_known(layout: Layout) -> None:
    record = make()
    keep(layout, record)
    path = layout.record(record.job_id)
    path.write_text(json.dumps({**record.to_dict(), "format": 2, "invented_later": 1, "reason": "invented_later"}))
    assert load(layout).records[record.job_id] == record


DAMAGE = [b"", b'{"a":', b"[]", b"null", b"\x00\x00\x00", b"\xff\xfe", b'{"job_id": 3}', b"{}", b'"text"']


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_record_is_moved_aside_and_rebuilt_from_the_map_of_all_jobs(layout: Layout, content: bytes) -> None:
    done = make(state=State.FINISHED, host="h", exit_code=0, started_at=6.0, finished_at=7.0, claimed=True)
    burning = make(state=State.RUNNING, host="h", started_at=6.0, container_id="c", claimed=True)
    untouched = make(state=State.RUNNING, host="h", started_at=6.0, claimed=True)
    keep(layout, done, burning, untouched)
    for record in (done, burning):
        layout.record(record.job_id).write_bytes(content)
    loaded = load(layout)
    assert loaded.records[untouched.job_id] == untouched
    rebuilt = loaded.records[done.job_id]
    assert (rebuilt.state, rebuilt.exit_code, rebuilt.finished_at) == (State.FINISHED, 0, 7.0)
    adopted = loaded.records[burning.job_id]
    assert (adopted.state, adopted.host, adopted.may_have_container) == (State.RUNNING, "h", True)
    aside = [p for p in layout.record_folder(done.job_id).iterdir() if ".corrupt-" in p.name]
    assert [p.read_bytes() for p in aside] == [content]
    assert len(loaded.notes) == 4


@pytest.mark.parametrize("content", [b"", b'{"a":', b"[]", b"null", b"\x00\x00", b'{"a": 1}', b"\xef\xbb\xbf{"])
def test_a_damaged_map_of_all_jobs_loses_no_job(layout: Layout, content: bytes) -> None:
    record = make()
    keep(layout, record)
    layout.job_track.write_bytes(content)
    assert load(layout).records == {record.job_id: record}
    assert not layout.job_track.exists()


def test_the_map_of_all_jobs_follows_each_record_and_forgets_removed_ones(layout: Layout) -> None:
    lines = TrackLines()
    first, second = make(), make(job_name='a "quoted" \n name')
    assert set(json.loads(lines.render([first, second]))) == {first.job_id, second.job_id}
    ended = first.change(state=State.FINISHED, exit_code=0)
    after = json.loads(lines.render([ended]))
    assert list(after) == [first.job_id]
    assert (after[first.job_id]["status"], after[first.job_id]["exit_code"]) == ("finished", 0)
    assert json.loads(lines.render([])) == {}


def test_a_byte_order_mark_is_no_damage(layout: Layout) -> None:
    record = make()
    keep(layout, record)
    path = layout.record(record.job_id)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(layout).records == {record.job_id: record}


def test_with_map_and_record_damaged_the_backup_of_the_map_tells(layout: Layout) -> None:
    record = make(state=State.FINISHED, host="h", exit_code=0, finished_at=7.0)
    keep(layout, record)
    write_track(layout, [record])
    layout.job_track.write_bytes(b"")
    layout.record(record.job_id).write_bytes(b"")
    assert load(layout).records[record.job_id].state is State.FINISHED


def test_with_all_else_damaged_the_jobs_own_folder_tells_that_it_existed(layout: Layout) -> None:
    record = make()
    keep(layout, record)
    layout.job_track.unlink()
    layout.record(record.job_id).unlink()
    layout.job_info(record.job_id).write_text(json.dumps({"job_id": record.job_id, "job_name": "n", "image": "i"}))
    rebuilt = load(layout).records[record.job_id]
    assert (rebuilt.state, rebuilt.host, rebuilt.may_have_container, rebuilt.job_name) == (
        State.UNKNOWN,
        None,
        True,
        "n",
    )


def test_a_submission_that_was_broken_off_before_its_record_is_no_job(layout: Layout) -> None:
    record = make()
    create(layout, record.job_id, "a: 1\n", {"job_id": record.job_id, "job_name": "n", "image": "i"})
    loaded = load(layout)
    assert (loaded.records, loaded.unfinished) == ({}, [record.job_id])
    write_record(layout, record)
    layout.record(record.job_id).write_bytes(b"")
    assert set(load(layout).records) == {record.job_id}


def test_a_folder_that_nothing_is_known_of_is_no_job(layout: Layout) -> None:
    layout.job(new_job_id()).mkdir()
    layout.record_folder(new_job_id()).mkdir()
    (layout.jobs / "not-a-job").mkdir()
    assert load(layout).records == {}


def test_a_storage_that_fails_is_not_an_empty_one(layout: Layout) -> None:
    record = make()
    keep(layout, record)
    path = layout.record(record.job_id)
    path.unlink()
    path.mkdir()  # Reading it fails with an I/O error that is not 'does not exist'.
    with pytest.raises(IsADirectoryError):
        load(layout)


async def test_a_change_is_on_the_disk_after_flush_and_in_the_map_soon(layout: Layout) -> None:
    book = JobBook(layout)
    book.journal.start()
    record = make()
    book.put(record)
    await book.flush(record.job_id)
    assert load(layout).records[record.job_id] == record
    book.apply(record.job_id, {"event": "stop", "at": 9.0})
    await book.journal.close(deadline_s=10)
    assert load(layout).records[record.job_id].state is State.CANCELED
    assert json.loads(layout.job_track.read_text())[record.job_id]["status"] == "canceled"


async def test_a_storage_that_fails_is_told_and_tried_again_and_nothing_is_lost(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = JobBook(layout)
    book.journal.start()
    full = True
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    record = make()
    book.put(record)
    with pytest.raises(StorageFull, match=str(layout.record(record.job_id))):
        await book.flush(record.job_id)
    assert isinstance(book.journal.fault, StorageFull)
    assert not layout.record(record.job_id).exists()
    assert list(layout.record_folder(record.job_id).iterdir()) == []
    full = False
    async with asyncio.timeout(30):
        while book.journal.fault is not None:
            await asyncio.sleep(0.05)
    assert load(layout).records[record.job_id] == record
    await book.journal.close(deadline_s=10)


async def test_the_feed_gives_each_changed_job_once_as_it_stands() -> None:
    feed = ChangeFeed()
    for key in ("a", "b", "a", "c"):
        feed.note(key)
    assert feed.after(0) == ["b", "a", "c"]
    assert feed.after(3) == ["c"]
    assert feed.after(4) == []
    assert not await feed.wait(4, 0.01)
    waiter = asyncio.create_task(feed.wait(4, 30))
    await asyncio.sleep(0)
    feed.note("d")
    assert await waiter


async def test_a_reader_of_another_epoch_starts_over_and_learns_of_removals(layout: Layout) -> None:
    first, second = make(), make()
    book = JobBook(layout, [first])
    start = book.changes("of another supervisor", 17)
    assert start["reset"]
    assert [data["job_id"] for data in start["records"]] == [first.job_id]
    book.put(second)
    book.remove(first.job_id)
    news = book.changes(start["epoch"], start["number"])
    assert not news["reset"]
    assert [data["job_id"] for data in news["records"]] == [second.job_id]
    assert news["removed"] == [first.job_id]
    with pytest.raises(NotFound):
        book.get(first.job_id)


def test_a_key_finds_its_job_until_the_job_is_removed(layout: Layout) -> None:
    record = make(idempotency_key="k")
    book = JobBook(layout, [record])
    assert book.by_key("k") == record
    asyncio.run(_remove(book, record.job_id))
    assert book.by_key("k") is None


async def _remove(book: JobBook, job_id: str) -> None:
    book.remove(job_id)
