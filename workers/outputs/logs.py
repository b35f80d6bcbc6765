"""Reading a job's logs: whole, from the last lines on, from a time on, in chunks. Memory stays flat whatever the size.

A log is opened anew for each block, without following links: it may not exist yet, be rewritten or replaced meanwhile,
a network file system shows what others wrote only then, and no descriptor outlives a reader that goes away.
"""

import asyncio
import codecs
import os
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any, Final, Protocol

from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.common.files import open_beneath, open_regular, storage_error
from workers.common.layout import Layout
from workers.host.log_index import TimeIndex
from workers.outputs import job_folder
from workers.sites.instants import parse_instant

BLOCK: Final = 256 << 10
#: A chunk's default and largest size in bytes.
CHUNK_BYTES: Final = 256 << 10
MAX_CHUNK_BYTES: Final = 8 << 20
#: Lines longer than this are handed on in pieces.
MAX_LINE: Final = 64 << 10


class Log(Protocol):
    """One log of a job."""

    @property
    def path(self) -> Path:
        """What errors call it."""

    def open(self) -> int | None:
        """A descriptor for reading, the caller's to close; None if there is no such log (yet). Raises OSError."""

    def offset_at(self, since: float, log: os.stat_result) -> int:
        """How long the log (`log`, as it is now) was at a time (epoch seconds), or less. Raises OSError."""


class ContainerLog:
    """The container's stdout and stderr."""

    def __init__(self, layout: Layout, job_id: str) -> None:
        self._layout = layout
        self.path = layout.container_log(job_id)
        self._times = TimeIndex(layout, job_id)

    def open(self) -> int | None:
        return _open(self._layout.jobs, self.path.relative_to(self._layout.jobs))

    def offset_at(self, since: float, log: os.stat_result) -> int:
        return self._times.offset_at(since, log)


class SimulationLog:
    """The simulation's own log, chosen when there is one and kept to from then on.

    It is `<job id>.log` if that has content, else the log named by the job's MLflow run id, else the newest `*.log`
    with content; never the container's log, which lies beside it.
    """

    def __init__(self, layout: Layout, job_id: str) -> None:
        self._layout = layout
        self._job_id = job_id
        self.path = layout.simulation_log(job_id)
        self._name: str | None = None

    def open(self) -> int | None:
        if self._name is None:
            self._name = self._choose()
        return None if self._name is None else _open(self._layout.jobs, f"{self._job_id}/logs/{self._name}")

    def offset_at(self, since: float, log: os.stat_result) -> int:
        # Nothing says when its lines were written.
        return log.st_size if log.st_mtime < since else 0

    def _choose(self) -> str | None:
        found = self._found()
        info = job_folder.merge_info(self._layout, self._job_id, {})
        for stem in (self._job_id, info.get("mlflow_run_id"), info.get("run_id")):
            if f"{stem}.log" in found:
                return f"{stem}.log"
        return max(found, key=lambda name: (found[name], name), default=None)

    def _found(self) -> dict[str, int]:
        """The logs that have content, each with the time of its last change (nanoseconds)."""
        try:
            folder = open_beneath(self._layout.jobs, f"{self._job_id}/logs", os.O_RDONLY | os.O_DIRECTORY)
        except (NotFound, FileNotFoundError):
            return {}
        found: dict[str, int] = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".log") and entry.name != "container.log":
                        status = entry.stat(follow_symlinks=False)
                        if entry.is_file(follow_symlinks=False) and status.st_size > 0:
                            found[entry.name] = status.st_mtime_ns
        finally:
            os.close(folder)
        return found


def read(log: Log, offset: int, size: int = BLOCK) -> bytes:
    """At most `size` bytes of a log from `offset` on; none if it is shorter or not there.

    Raises:
        Unavailable: the storage failed.
    """
    try:
        descriptor = log.open()
        if descriptor is None:
            return b""
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, log.path) from error


def span(log: Log, tail: int | None = None, since: float | None = None) -> tuple[int, int]:
    """Where in a log the wanted part begins, and the log's length; `(0, 0)` if it is not there.

    Args:
        tail: only the last so many lines.
        since: only what was written in this second (epoch seconds) or later, begun lines included. Where nothing says
            when its lines were written, that is all of it, unless its last change is older.

    Raises:
        Unavailable: the storage failed.
    """
    try:
        descriptor = log.open()
        if descriptor is None:
            return 0, 0
        try:
            status = os.fstat(descriptor)
            start = 0
            if since is not None:
                start = log.offset_at(since, status)
                start = min(_line_start(descriptor, start), status.st_size)
            if tail is not None:
                start = max(start, tail_offset(descriptor, tail, status.st_size, start))
            return start, status.st_size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, log.path) from error


async def blocks(log: Log, tail: int | None = None, since: float | None = None) -> AsyncIterator[bytes]:
    """A log as it is now, in blocks; what is written meanwhile is not waited for. `tail` and `since` as for `span`.

    Raises:
        Unavailable: the storage failed.
    """
    offset, end = await asyncio.to_thread(span, log, tail, since)
    while offset < end:
        block = await asyncio.to_thread(read, log, offset, min(BLOCK, end - offset))
        if not block:
            return
        offset += len(block)
        yield block


def tail_offset(descriptor: int, lines: int, end: int, floor: int = 0) -> int:
    """Where the last `lines` lines before `end` begin, looking no further back than `floor`; reads backwards.

    A last line without its line break counts as a line.
    """
    if lines <= 0:
        return end
    position = end
    missing = lines
    if end > floor and os.pread(descriptor, 1, end - 1) == b"\n":
        # The last line's own break begins no line.
        position -= 1
    while position > floor:
        size = min(BLOCK, position - floor)
        position -= size
        block = os.pread(descriptor, size, position)
        count = block.count(b"\n")
        if count >= missing:
            index = len(block)
            for _ in range(missing):
                index = block.rfind(b"\n", 0, index)
            return position + index + 1
        missing -= count
    return floor


def chunk(
    log: Log,
    offset: int = 0,
    tail_lines: int | None = None,
    max_bytes: int = CHUNK_BYTES,
    ended: bool = False,
) -> dict[str, Any]:
    """A part of a log as text, for readers that poll.

    From `offset` on, at most `max_bytes` bytes (one character at least), and never a part of a character: bytes that
    may yet become one wait for the next chunk, unless the job has `ended`. Invalid bytes become U+FFFD. With
    `tail_lines`, a reader that begins (offset 0) gets only the last lines.

    Returns `text`, `next_offset` (where to go on), `truncated` (something between `offset` and the log's end is not in
    `text`), `available` (there is a log) and `message` (a sentence, or empty).

    Raises:
        InvalidInput: a number is out of range.
        Unavailable: the storage failed.
    """
    if offset < 0:
        raise InvalidInput("`offset` must not be negative")
    if tail_lines is not None and tail_lines < 0:
        raise InvalidInput("`tail_lines` must not be negative")
    if max_bytes < 1:
        raise InvalidInput("`max_bytes` must be at least 1")
    try:
        descriptor = log.open()
        if descriptor is None:
            return _chunk("", offset, available=False, message="There is no log yet.")
        try:
            return _read_chunk(descriptor, offset, tail_lines, min(max_bytes, MAX_CHUNK_BYTES), ended)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, log.path) from error


async def lines_with_offsets(source: AsyncIterable[bytes], start: int = 0) -> AsyncIterator[tuple[int, str | None]]:
    """The lines of a log that comes in blocks from `start` on, each with the offset at which to go on after it.

    Line breaks are left out, invalid bytes become U+FFFD, lines over `MAX_LINE` come in pieces that split no
    character. An empty block (a heartbeat) gives None in place of a line.
    """
    offset = start
    pending = bytearray()
    async for block in source:
        if not block:
            yield offset, None
            continue
        pending += block
        begin = 0
        while True:
            end = pending.find(b"\n", begin)
            if end < 0 and len(pending) - begin <= MAX_LINE:
                break
            if end < 0 or end - begin > MAX_LINE:
                piece = _whole_characters(bytes(pending[begin : begin + MAX_LINE]))
                after = begin + len(piece)
            else:
                piece = bytes(pending[begin:end])
                after = end + 1
            offset += after - begin
            begin = after
            yield offset, piece.decode("utf-8", "replace")
        del pending[:begin]
    if pending:
        yield offset + len(pending), pending.decode("utf-8", "replace")


def parse_since(value: str) -> float:
    """A time as clients send it, epoch seconds or ISO 8601 (UTC unless it says otherwise), as epoch seconds.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        seconds = float(value)
    except ValueError:
        return parse_instant(value, "since")
    if not 0 <= seconds < 1e11:
        raise InvalidInput(f"since {value[:80]!r} is not a time in epoch seconds", ErrorCode.INVALID_TIME)
    return seconds


def _open(root: Path, relative: Path | str) -> int | None:
    try:
        return open_regular(root, relative)
    except (NotFound, FileNotFoundError):
        return None


def _chunk(
    text: str, next_offset: int, *, truncated: bool = False, available: bool = True, message: str = ""
) -> dict[str, Any]:
    return {
        "text": text,
        "next_offset": next_offset,
        "truncated": truncated,
        "available": available,
        "message": message,
    }


def _read_chunk(descriptor: int, offset: int, tail_lines: int | None, max_bytes: int, ended: bool) -> dict[str, Any]:
    size = os.fstat(descriptor).st_size
    if offset > size:
        return _chunk("", offset, message=f"The log has {size} bytes so far.")
    start = offset
    if tail_lines is not None and offset == 0:
        start = tail_offset(descriptor, tail_lines, size, max(0, size - max_bytes))
    start = _character_start(descriptor, start)
    for length in range(max_bytes, max_bytes + 4):
        # A part too small for its first character grows until it holds it.
        raw = os.pread(descriptor, length, start)
        complete = start + len(raw) >= size
        text, used = _decode(raw, final=ended and complete)
        if used or complete:
            break
    return _chunk(text, start + used, truncated=start > offset or not complete)


def _decode(raw: bytes, final: bool) -> tuple[str, int]:
    """The text of `raw` and how many of its bytes that took: a character's beginning at the end waits."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(raw, final)
    return text, len(raw) - len(decoder.getstate()[0])


def _whole_characters(raw: bytes) -> bytes:
    """`raw` without the beginning of a character at its end."""
    used = _decode(raw, final=False)[1]
    return raw[:used] if used else raw


def _character_start(descriptor: int, offset: int) -> int:
    """`offset`, or if it lies within a character, that character's end."""
    before = os.pread(descriptor, min(3, offset), max(0, offset - 3))
    around = before + os.pread(descriptor, 3, offset)
    for back in range(1, len(before) + 1):
        lead = around[len(before) - back]
        if lead & 0xC0 == 0x80:
            continue
        length = 2 if lead >> 5 == 0b110 else 3 if lead >> 4 == 0b1110 else 4 if lead >> 3 == 0b11110 else 1
        character = around[len(before) - back :][:length]
        if length > back and len(_decode(character, final=True)[0]) == 1 and len(character) == length:
            return offset - back + length
        break
    return offset


def _line_start(descriptor: int, offset: int) -> int:
    """Where the line that `offset` lies in begins, if that is near."""
    floor = max(0, offset - MAX_LINE)
    before = os.pread(descriptor, offset - floor, floor)
    found = before.rfind(b"\n")
    return floor + found + 1 if found >= 0 or floor == 0 else offset
