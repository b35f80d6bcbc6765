"""When what stands in container.log was written: the index that `since` is answered from.

Lines of `<epoch seconds> <offset>` under one that names the container, each saying that what stands from that offset on
was written in that second or later. It lies in the job's private folder, out of the container's reach.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Final

from workers.common.layout import Layout

logger = logging.getLogger(__name__)

#: There is an entry for each second in which there was output.
_STEP_S: Final = 1.0
_LONGEST_LINE: Final = 128

_Entry = tuple[float, int]


class TimeIndex:
    """The index of one job's container output, for reading."""

    def __init__(self, layout: Layout, job_id: str) -> None:
        self.path = layout.record_folder(job_id) / "container.times"

    def offset_at(self, since: float, log: os.stat_result) -> int:
        """How long the log `log` was at a time, or less. Raises OSError."""
        before, after = self._around(since)
        if before is None and after is None:
            # There is no index.
            return log.st_size if log.st_mtime < since else 0
        if before is None:
            return 0
        if since - before[0] < _STEP_S:
            return before[1]
        # What this entry stands for was written within its second: since then nothing was, up to the next entry.
        if after is not None:
            return after[1]
        # The storage may have refused the last entries.
        return log.st_size if log.st_mtime < since else before[1]

    def _around(self, since: float) -> tuple[_Entry | None, _Entry | None]:
        """The last entry not after `since`, and the one that follows it. Damaged entries are passed over."""
        before: _Entry | None = None
        try:
            with self.path.open("rb") as file:
                for line in file:
                    entry = _entry(line)
                    if entry is not None and entry[0] > since:
                        return before, entry
                    before = entry or before
        except FileNotFoundError:
            pass
        return before, None


class TimeIndexWriter:
    """The same index, for the copier of one container. Not for several threads.

    Writing what is there already changes nothing; the index of another container (an earlier attempt) makes way. A log
    does not wait for its index: what the storage refuses is kept and tried again.
    """

    def __init__(self, layout: Layout, job_id: str, container_id: str) -> None:
        """Opens nothing yet: storage that is away is met at the first entry."""
        self._path = TimeIndex(layout, job_id).path
        self._title = f"container {container_id}\n".encode()
        self._descriptor: int | None = None
        #: The last entry's second in the file.
        self._newest = -1.0
        #: Entries that are not known to be on the disk.
        self._unsaved: list[tuple[int, int]] = []

    def add(self, entries: Iterable[tuple[int, int]]) -> None:
        """Append those entries (second, offset in the log) that are newer than the last."""
        if entries := list(entries):
            self._unsaved += entries
            self._write(durable=False)

    def sync(self) -> bool:
        """Whether all that was added is on the disk now. If not, a copier that resumes must add it again."""
        if self._unsaved and self._write(durable=True):
            self._unsaved.clear()
        return not self._unsaved

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, *, durable: bool) -> bool:
        try:
            descriptor = self._open()
            fresh = [entry for entry in self._unsaved if entry[0] > self._newest]
            if fresh:
                text = b"".join(b"%d %d\n" % entry for entry in fresh)
                if os.write(descriptor, text) != len(text):
                    raise OSError("it took only a part")
                self._newest = fresh[-1][0]
            if durable:
                os.fsync(descriptor)
        except OSError as error:
            self.close()
            logger.info("%s was not written, which is tried again: %s", self._path, error)
            return False
        return True

    def _open(self) -> int:
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                self._newest = self._go_on(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _go_on(self, descriptor: int) -> float:
        """The last entry's second. What broke off while it was written is cut off."""
        size = os.fstat(descriptor).st_size
        if os.pread(descriptor, len(self._title), 0) != self._title:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, self._title)
            return -1.0
        start = max(0, size - _LONGEST_LINE)
        end = os.pread(descriptor, _LONGEST_LINE, start)
        whole = end[: end.rfind(b"\n") + 1]
        os.ftruncate(descriptor, start + len(whole))
        last = _entry(whole.splitlines()[-1])
        return -1.0 if last is None else last[0]


def _entry(line: bytes) -> _Entry | None:
    try:
        second, offset = line.split()
        return float(second), int(offset)
    except ValueError:
        return None
