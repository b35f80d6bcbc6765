"""`since` finds the first output of a second, whoever wrote the index, however often, and whatever broke off."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.common.layout import Layout
from workers.host.log_index import TimeIndex, TimeIndexWriter

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"


def _layout(root: Path) -> Layout:
    layout = Layout(root)
    layout.record_folder(JOB).mkdir(parents=True)
    return layout


def _status(size: int, written: float = 0.0) -> os.stat_result:
    return os.stat_result((0o100644, 1, 1, 1, 0, 0, size, 0, int(written), 0), {"st_mtime": written})


@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=20),
    starts=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40)), max_size=4),
)
def test_copies_that_break_off_and_start_again_leave_an_index_of_every_second(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], starts: list[tuple[int, int]]
) -> None:
    """Each copier starts somewhere before its predecessor's end, which may have broken off within an entry."""
    layout = _layout(tmp_path_factory.mktemp("shared"))
    seconds = [1000 + sum(gaps[: n + 1]) for n in range(len(gaps))]
    entries = [(second, 10 * n) for n, second in enumerate(seconds)]
    size = 10 * len(entries)
    index = TimeIndex(layout, JOB)
    reached = 0
    for length, torn in [*starts, (len(entries), 0)]:
        writer = TimeIndexWriter(layout, JOB, "container")
        first = max(0, min(reached, len(entries)) - 3)
        reached = first + length
        writer.add(entries[first:reached])
        writer.close()
        if torn and index.path.exists() and torn < index.path.stat().st_size:
            os.truncate(index.path, index.path.stat().st_size - torn)
            reached = 0
    writer = TimeIndexWriter(layout, JOB, "container")
    writer.add(entries)
    writer.close()
    for since in range(999, seconds[-1] + 3):
        wanted = next((10 * n for n, second in enumerate(seconds) if second >= since), size)
        assert index.offset_at(since, _status(size)) == wanted


def test_another_containers_index_makes_way(tmp_path: Path) -> None:
    layout = _layout(tmp_path)
    for container, entry in (("first", (2000, 500)), ("second", (1000, 0))):
        writer = TimeIndexWriter(layout, JOB, container)
        writer.add([entry])
        writer.sync()
        writer.close()
    assert TimeIndex(layout, JOB).path.read_bytes() == b"container second\n1000 0\n"


def test_what_the_storage_refuses_is_written_when_it_takes_it_and_until_then_more_is_given_not_less(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    folder = layout.record_folder(JOB)
    writer, index = TimeIndexWriter(layout, JOB, "container"), TimeIndex(layout, JOB)
    folder.mkdir(parents=True)
    writer.add([(1000, 0)])
    assert writer.sync()
    writer.close()
    away = folder.rename(tmp_path / "away")
    writer.add([(1005, 50)])
    writer.add([(1010, 100)])
    assert not writer.sync()
    away.rename(folder)
    assert index.offset_at(1005, _status(150, written=1010.5)) == 0
    assert index.offset_at(1011, _status(150, written=1010.5)) == 150
    assert writer.sync()
    assert [index.offset_at(since, _status(150, written=1010.5)) for since in (1005, 1006, 1010)] == [50, 100, 100]
