"""container.log on the shared storage, written by position, so that writing the same bytes twice changes nothing."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.common.errors import NotFound
from workers.common.files import open_beneath, write_atomic
from workers.common.layout import Layout
from workers.host.log_times import BEGINNING, Position

if TYPE_CHECKING:
    from workers.jobs.events import Trouble

logger = logging.getLogger(__name__)

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_NAME: Final = "container.log"


class StorageTroubleError(Exception):
    """The shared storage took no bytes. `detail` is a sentence."""

    def __init__(self, error: OSError, what: str) -> None:
        self.reason: Trouble = "storage_full" if error.errno in _FULL else "storage_unavailable"
        words = "is full" if error.errno in _FULL else f"fails ({error.strerror or error})"
        self.detail = f"The shared storage {words}: {what} waits, the container goes on"
        super().__init__(self.reason, self.detail)


class Checkpoint(NamedTuple):
    """`bytes` of the log are safely in the file, and they are the container's output up to `position`."""

    bytes: int
    position: Position


class LogWriter:
    """Writes the file of one job's container output. Not for several threads."""

    def __init__(self, layout: Layout, job_id: str) -> None:
        """Opens nothing yet: storage that is away is met at the first write."""
        self._layout = layout
        self._job_id = job_id
        self._descriptor: int | None = None
        self._size = 0

    def size(self) -> int:
        """Bytes in the file now; 0 before the first is written."""
        return self._size

    def put(self, offset: int, data: bytes, *, again: bool) -> None:
        """Make the file hold `data` at `offset`; with `again` they are written even if they seem to be there.

        Raises StorageTroubleError.
        """
        try:
            descriptor = self._open()
            if offset < self._size and not again and os.pread(descriptor, len(data), offset) == data:
                return
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                offset += written
                view = view[written:]
            self._size = max(self._size, offset)
        except OSError as error:
            self.close()
            raise StorageTroubleError(error, "the log's copy") from error

    def end_at(self, size: int) -> None:
        """Cut off what lies behind `size`, and flush the file to the disk. Raises StorageTroubleError."""
        try:
            descriptor = self._open()
            if self._size > size:
                os.ftruncate(descriptor, size)
                self._size = size
            os.fsync(descriptor)
        except OSError as error:
            self.close()
            raise StorageTroubleError(error, "the log's copy") from error

    def sync(self) -> None:
        """Flush the file to the disk. Raises StorageTroubleError."""
        try:
            os.fsync(self._open())
        except OSError as error:
            self.close()
            raise StorageTroubleError(error, "the log's copy") from error

    def replaced(self) -> bool:
        """Whether the file was moved, removed or cut meanwhile: the job's folder is its container's to change."""
        if self._descriptor is None:
            return False
        try:
            mine = os.fstat(self._descriptor)
            there = open_beneath(self._layout.root, self._path())
        except (NotFound, OSError):
            return True
        try:
            other = os.fstat(there)
        finally:
            os.close(there)
        return (mine.st_dev, mine.st_ino) != (other.st_dev, other.st_ino) or mine.st_size < self._size

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _path(self) -> str:
        return str(self._layout.container_log(self._job_id).relative_to(self._layout.root))

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        # The job's folder may be changed by its container: nothing in it is reached through a link.
        logs = self._layout.logs(self._job_id)
        try:
            job = open_beneath(self._layout.root, logs.parent.relative_to(self._layout.root), os.O_DIRECTORY)
        except NotFound as error:
            raise OSError(errno.ENOENT, str(error)) from error
        try:
            folder = _folder(job, logs.name)
        finally:
            os.close(job)
        try:
            self._descriptor = _regular(folder, _NAME)
        finally:
            os.close(folder)
        self._size = os.fstat(self._descriptor).st_size
        return self._descriptor


def _folder(parent: int, name: str) -> int:
    """The folder `name` in the folder `parent`, made if it is missing or is something else."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        os.unlink(name, dir_fd=parent)
    os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, flags, dir_fd=parent)


def _regular(folder: int, name: str) -> int:
    """The regular file `name` in `folder`, for reading and writing; anything else of that name is replaced."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o644, dir_fd=folder)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
    os.unlink(name, dir_fd=folder)
    return os.open(name, flags | os.O_EXCL, 0o644, dir_fd=folder)


class CheckpointFile:
    """The checkpoint beside the job's record. It saves reading a long log again and nothing depends on it: without one,
    or with one of another container, copying starts at the beginning and finds its bytes there already."""

    def __init__(self, layout: Layout, job_id: str, container_id: str) -> None:
        self._path = layout.record_folder(job_id) / "log_position.json"
        self._container_id = container_id

    def read(self) -> Checkpoint:
        try:
            content = json.loads(self._path.read_bytes())
            if content["container_id"] == self._container_id:
                return Checkpoint(
                    int(content["bytes"]),
                    Position(int(content["since"]), int(content["skip"]), int(content["frames"])),
                )
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is not readable, the log is copied from its beginning: %s", self._path, error)
        return Checkpoint(0, BEGINNING)

    def write(self, checkpoint: Checkpoint) -> None:
        content = {"container_id": self._container_id, "bytes": checkpoint.bytes, **checkpoint.position._asdict()}
        try:
            write_atomic(self._path, json.dumps(content).encode(), durable=False)
        except OSError as error:
            logger.info("%s was not written, resuming would read more again: %s", self._path, error)

    def remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.info("%s was not removed: %s", self._path, error)
