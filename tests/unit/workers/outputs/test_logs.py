"""Logs are read whole, from their end, since a time and in chunks, without splitting characters or filling memory."""

import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.common.errors import InvalidInput, Unavailable
from workers.common.layout import Layout
from workers.outputs import logs
from workers.outputs.logs import ContainerLog, SimulationLog

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.logs(JOB).mkdir(parents=True)
    layout.record_folder(JOB).mkdir(parents=True)
    return layout


@pytest.fixture
def log(layout: Layout) -> ContainerLog:
    return ContainerLog(layout, JOB)


async def collect(blocks: AsyncIterator[bytes]) -> bytes:
    return b"".join([block async for block in blocks])


async def test_a_log_that_is_not_there_is_empty_and_one_that_is_comes_whole(layout: Layout, log: ContainerLog) -> None:
    assert await collect(logs.blocks(log)) == b""
    content = os.urandom(3 * logs.BLOCK + 17)
    layout.container_log(JOB).write_bytes(content)
    assert await collect(logs.blocks(log)) == content


async def test_a_log_that_grows_while_it_is_read_ends_where_it_ended_when_asked(
    layout: Layout, log: ContainerLog
) -> None:
    path = layout.container_log(JOB)
    path.write_bytes(b"x" * (logs.BLOCK + 1))
    got = b""
    async for block in logs.blocks(log):
        got += block
        with path.open("ab") as file:
            file.write(b"more")
    assert got == b"x" * (logs.BLOCK + 1)


async def test_links_and_pipes_in_place_of_a_log_are_not_read(layout: Layout, log: ContainerLog) -> None:
    path = layout.container_log(JOB)
    path.symlink_to("/etc/hostname")
    assert await collect(logs.blocks(log)) == b""
    path.unlink()
    os.mkfifo(path)
    assert await collect(logs.blocks(log)) == b""
    layout.logs(JOB).rename(layout.job(JOB) / "aside")
    layout.logs(JOB).symlink_to("/etc")
    assert await collect(logs.blocks(SimulationLog(layout, JOB))) == b""


@pytest.mark.parametrize("last_break", [True, False])
@pytest.mark.parametrize("lines", [0, 1, 2, 5, 6, 100])
async def test_the_tail_is_the_last_lines_whole_or_begun(
    layout: Layout, log: ContainerLog, lines: int, last_break: bool
) -> None:
    every = [b"first\n", b"\n", b"y" * (2 * logs.BLOCK) + b"\n", b"\n", b"last" + (b"\n" if last_break else b"")]
    layout.container_log(JOB).write_bytes(b"".join(every))
    assert await collect(logs.blocks(log, tail=lines)) == b"".join(every[len(every) - min(lines, 5) :])


async def test_two_gigabytes_pass_with_flat_memory(layout: Layout, log: ContainerLog) -> None:
    path = layout.container_log(JOB)
    with path.open("wb") as file:
        file.write(b"begin\n")
        file.truncate(2 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"line\n" * 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await collect(logs.blocks(log, tail=10)) == b"line\n" * 10
    size = 0
    async for block in logs.blocks(log):
        size += len(block)
    assert size == path.stat().st_size
    assert logs.chunk(log, tail_lines=3)["text"] == "line\n" * 3
    assert len(logs.chunk(log, tail_lines=30)["text"]) == logs.CHUNK_BYTES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


async def test_since_gives_what_was_written_at_that_time_or_later(layout: Layout, log: ContainerLog) -> None:
    layout.container_log(JOB).write_bytes(b"one\ntwo\nthree\nfour\n")
    os.utime(layout.container_log(JOB), (200.5, 200.5))
    index = b"100.0 0\ndamaged\n101.5 6\n200 14\n300 1"
    (layout.record_folder(JOB) / "container.times").write_bytes(index[: index.rindex(b"300")])
    for since, wanted in {
        50: b"one\ntwo\nthree\nfour\n",
        100: b"one\ntwo\nthree\nfour\n",
        101.9: b"two\nthree\nfour\n",
        150: b"four\n",
        200: b"four\n",
        201.5: b"",
        1e10: b"",
    }.items():
        assert await collect(logs.blocks(log, since=since)) == wanted, since
    assert await collect(logs.blocks(log, since=101.9, tail=1)) == b"four\n"
    assert await collect(logs.blocks(log, since=150, tail=9)) == b"four\n"


async def test_since_without_an_index_gives_all_unless_nothing_was_written_since(
    layout: Layout, log: ContainerLog
) -> None:
    layout.container_log(JOB).write_bytes(b"one\ntwo\n")
    os.utime(layout.container_log(JOB), (1000, 1000))
    assert await collect(logs.blocks(log, since=500)) == b"one\ntwo\n"
    assert await collect(logs.blocks(log, since=1001)) == b""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1764000000.5", 1764000000.5), ("2025-11-24T16:00:00Z", 1764000000), ("2025-11-24T17:00:00 01:00", 1764000000)],
)
def test_a_time_is_epoch_seconds_or_iso(text: str, seconds: float) -> None:
    assert logs.parse_since(text) == seconds


@pytest.mark.parametrize("text", ["", "Invalid Date", "nan", "-1", "1e99"])
def test_another_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="since"):
        logs.parse_since(text)


def test_a_chunk_begins_with_the_last_lines_and_goes_on_where_it_ended(layout: Layout, log: ContainerLog) -> None:
    assert logs.chunk(log, 0, 200) == {
        "text": "",
        "next_offset": 0,
        "truncated": False,
        "available": False,
        "message": "There is no log yet.",
    }
    path = layout.container_log(JOB)
    path.write_bytes(b"".join(b"%d\n" % n for n in range(1000)))
    first = logs.chunk(log, 0, 2)
    assert first == {"text": "998\n999\n", "next_offset": 3890, "truncated": True, "available": True, "message": ""}
    with path.open("ab") as file:
        file.write(b"new\n")
    second = logs.chunk(log, first["next_offset"], 2)
    assert (second["text"], second["truncated"]) == ("new\n", False)
    third = logs.chunk(log, second["next_offset"], 2)
    assert (third["text"], third["next_offset"]) == ("", second["next_offset"])
    assert logs.chunk(log, 0, 5000)["truncated"] is False
    assert logs.chunk(log, 0, None, 4) == {**first, "text": "0\n1\n", "next_offset": 4}
    beyond = logs.chunk(log, 99_999)
    assert (beyond["text"], beyond["next_offset"]) == ("", 99_999)
    assert "3894 bytes" in beyond["message"]


@pytest.mark.parametrize(("offset", "tail", "size"), [(-1, None, 10), (0, -1, 10), (0, None, 0)])
def test_numbers_out_of_range_are_refused(log: ContainerLog, offset: int, tail: int | None, size: int) -> None:
    with pytest.raises(InvalidInput):
        logs.chunk(log, offset, tail, size)


@given(text=st.text(st.characters(exclude_categories=["Cs"])), size=st.integers(1, 9))
def test_chunks_of_any_size_put_together_are_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    log = written(tmp_path_factory, text.encode())
    got, offset = "", 0
    while (part := logs.chunk(log, offset, None, size))["next_offset"] > offset:
        got, offset = got + part["text"], part["next_offset"]
    assert got == text
    assert offset == len(text.encode())


@given(raw=st.binary(max_size=40), size=st.integers(1, 50))
def test_chunks_of_any_bytes_put_together_are_what_a_decoder_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, size: int
) -> None:
    log = written(tmp_path_factory, raw)
    got, offset = "", 0
    while (part := logs.chunk(log, offset, None, size, ended=True))["next_offset"] > offset:
        got, offset = got + part["text"], part["next_offset"]
    assert got == raw.decode("utf-8", "replace")
    assert offset == len(raw)


def written(factory: pytest.TempPathFactory, content: bytes) -> ContainerLog:
    layout = Layout(factory.getbasetemp() / "chunks")
    layout.logs(JOB).mkdir(parents=True, exist_ok=True)
    layout.container_log(JOB).write_bytes(content)
    return ContainerLog(layout, JOB)


def test_a_character_that_is_not_complete_yet_waits_and_at_the_end_is_replaced(
    layout: Layout, log: ContainerLog
) -> None:
    path = layout.container_log(JOB)
    path.write_bytes("aé€😀".encode()[:-1])
    assert logs.chunk(log)["text"] == "aé€"
    assert logs.chunk(log)["next_offset"] == 6
    assert logs.chunk(log, ended=True)["text"] == "aé€\ufffd"
    path.write_bytes("aé€😀".encode())
    assert logs.chunk(log, 6)["text"] == "😀"
    for within in (2, 4, 5):
        assert logs.chunk(log, within)["text"] == "aé€😀".encode()[within:].decode("utf-8", "ignore")
    path.write_bytes(b"\xff\xfe\x80ok")
    assert logs.chunk(log, 1)["text"] == "\ufffd\ufffdok"


async def test_lines_come_with_the_offset_to_go_on_from(layout: Layout, log: ContainerLog) -> None:
    content = b"one\n\ntwo \xc3\xa9\r\n\xff\n" + "é".encode() * logs.MAX_LINE + b"\nlast"

    async def source(size: int, start: int) -> AsyncIterator[bytes]:
        for begin in range(start, len(content), size):
            yield content[begin : begin + size]
            yield b""

    expected = content.decode("utf-8", "replace")
    for size in (7, 4096, len(content)):
        lines = [line async for line in logs.lines_with_offsets(source(size, 0))]
        texts = [(offset, text) for offset, text in lines if text is not None]
        assert [text for _, text in texts][:4] == ["one", "", "two é\r", "\ufffd"]
        assert "".join(text for _, text in texts) == expected.replace("\n", "")
        assert all(len(text.encode()) <= logs.MAX_LINE for _, text in texts)
        assert texts[-1] == (len(content), "last")
        assert any(text is None for _, text in lines)
        offsets = [offset for offset, _ in lines]
        assert offsets == sorted(offsets)
        for offset, _ in texts[:6]:
            rest = [text async for _, text in logs.lines_with_offsets(source(4096, offset), offset) if text is not None]
            assert "".join(rest) == content[offset:].decode("utf-8", "replace").replace("\n", "")


async def test_the_simulations_own_log_is_chosen_by_job_then_run_then_age(layout: Layout) -> None:
    async def chosen() -> bytes:
        return await collect(logs.blocks(SimulationLog(layout, JOB)))

    folder = layout.logs(JOB)
    layout.container_log(JOB).write_bytes(b"container")
    (folder / "notes.txt").write_bytes(b"notes")
    layout.simulation_log(JOB).touch()
    (folder / "link.log").symlink_to(folder / "notes.txt")
    assert await chosen() == b""
    for name, when in (("a.log", 2000), ("b.log", 3000), ("m1.log", 1000), ("empty.log", 4000)):
        (folder / name).write_bytes(b"" if name == "empty.log" else name.encode())
        os.utime(folder / name, (when, when))
    assert await chosen() == b"b.log"
    layout.job_info(JOB).write_text('{"mlflow_run_id": "../../m1"}')
    assert await chosen() == b"b.log"
    layout.job_info(JOB).write_text('{"mlflow_run_id": "m1"}')
    assert await chosen() == b"m1.log"
    layout.simulation_log(JOB).write_bytes(b"own")
    assert await chosen() == b"own"


async def test_a_reader_keeps_to_the_log_it_chose(layout: Layout) -> None:
    log = SimulationLog(layout, JOB)
    assert logs.read(log, 0) == b""
    (layout.logs(JOB) / "a.log").write_bytes(b"a.log")
    assert logs.read(log, 0) == b"a.log"
    layout.simulation_log(JOB).write_bytes(b"own")
    assert logs.read(log, 2) == b"log"


def test_a_failing_storage_is_told_with_the_logs_name(
    layout: Layout, log: ContainerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.container_log(JOB).write_bytes(b"x")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    for act in (lambda: logs.read(log, 0), lambda: logs.chunk(log)):
        with pytest.raises(Unavailable, match=r"container\.log"):
            act()
