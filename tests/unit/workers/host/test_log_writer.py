"""container.log is written by position, safely inside the job's folder, and cut or moved files are noticed."""

import os
from pathlib import Path

import pytest

from workers.common.layout import Layout
from workers.host.log_times import BEGINNING, Position
from workers.host.log_writer import Checkpoint, CheckpointFile, LogWriter, StorageTroubleError

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "root")
    layout.job(JOB).mkdir(parents=True)
    layout.record_folder(JOB).mkdir(parents=True)
    return layout


def test_the_same_bytes_written_twice_are_there_once(layout: Layout) -> None:
    first, second = LogWriter(layout, JOB), LogWriter(layout, JOB)
    first.put(0, b"one\n", again=False)
    second.put(0, b"one\n", again=False)
    second.put(4, b"two\n", again=False)
    first.put(4, b"two\n", again=False)
    assert layout.container_log(JOB).read_bytes() == b"one\ntwo\n"


def test_wrong_bytes_are_replaced_and_what_is_too_much_is_cut_off(layout: Layout) -> None:
    layout.logs(JOB).mkdir()
    layout.container_log(JOB).write_bytes(b"one\n\0\0\0\0\0\0\0\0")
    log = LogWriter(layout, JOB)
    log.put(0, b"one\n", again=False)
    log.put(4, b"two\n", again=False)
    log.end_at(8)
    assert layout.container_log(JOB).read_bytes() == b"one\ntwo\n"
    assert log.size() == 8


def test_a_container_without_output_has_an_empty_log(layout: Layout) -> None:
    LogWriter(layout, JOB).end_at(0)
    assert layout.container_log(JOB).read_bytes() == b""


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_link_that_the_container_laid_is_replaced_not_followed(layout: Layout, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "container.log").write_bytes(b"precious")
    if what == "folder":
        layout.logs(JOB).symlink_to(outside)
    else:
        layout.logs(JOB).mkdir()
        layout.container_log(JOB).symlink_to(outside / "container.log")
    LogWriter(layout, JOB).put(0, b"one\n", again=False)
    assert (outside / "container.log").read_bytes() == b"precious"
    assert layout.container_log(JOB).read_bytes() == b"one\n"


def test_a_pipe_in_the_logs_place_is_replaced(layout: Layout) -> None:
    layout.logs(JOB).mkdir()
    os.mkfifo(layout.container_log(JOB))
    LogWriter(layout, JOB).put(0, b"one\n", again=False)
    assert layout.container_log(JOB).read_bytes() == b"one\n"


def test_a_log_that_was_moved_removed_or_cut_is_noticed(layout: Layout) -> None:
    log = LogWriter(layout, JOB)
    log.put(0, b"one\n", again=False)
    assert not log.replaced()
    os.truncate(layout.container_log(JOB), 0)
    assert log.replaced()
    layout.container_log(JOB).write_bytes(b"one\n")
    assert not log.replaced()
    layout.container_log(JOB).unlink()
    assert log.replaced()


def test_storage_that_is_away_is_a_reason_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageTroubleError, match="storage fails") as trouble:
        LogWriter(Layout(tmp_path), JOB).put(0, b"one\n", again=False)
    assert trouble.value.reason == "storage_unavailable"


def test_a_checkpoint_counts_for_its_own_container_only(layout: Layout) -> None:
    checkpoint = Checkpoint(100, Position(1_700_000_000, 3, 12))
    CheckpointFile(layout, JOB, "a").write(checkpoint)
    assert CheckpointFile(layout, JOB, "a").read() == checkpoint
    assert CheckpointFile(layout, JOB, "b").read() == Checkpoint(0, BEGINNING)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\0\0\0", b'{"container_id": "a", "bytes": null}'])
def test_a_broken_checkpoint_means_the_beginning(layout: Layout, content: bytes) -> None:
    (layout.record_folder(JOB) / "log_position.json").write_bytes(content)
    assert CheckpointFile(layout, JOB, "a").read() == Checkpoint(0, BEGINNING)
