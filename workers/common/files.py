"""Files that survive a crash, and reads that follow no links.

A durable write goes to a temporary file, is flushed to the disk and renamed over the target, and the folder is flushed
too: after a crash the target is the old file or the new one, never a mixture.
"""

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

from workers.common.errors import ErrorCode, NotFound, StorageFull, Unavailable

#: What an OS says when there is no room: the disk is full, or the quota is used up.
_FULL = {errno.ENOSPC, errno.EDQUOT}


def storage_error(error: OSError, path: Path) -> StorageFull | Unavailable:
    """The domain's error for an I/O error on the shared storage."""
    if error.errno in _FULL:
        return StorageFull(f"The shared storage is full: {path} could not be written")
    return Unavailable(f"The shared storage failed at {path}: {error.strerror or error}", ErrorCode.STORAGE_UNAVAILABLE)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, durable: bool = True, backup: bool = False, mode: int = 0o644) -> None:
    """Replace `path` by `content` at once; with `backup` the former file stays beside it as `<name>.bak`.

    Raises OSError; the target is untouched then.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if backup and path.exists():
            spare = path.with_name(f"{path.name}.bak")
            spare.unlink(missing_ok=True)
            os.link(path, spare)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def open_beneath(root: Path, relative: Path | str, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """A descriptor of `root/relative`, opened component by component without following any link.

    A container may have replaced a file or folder of its job by a link; such a path is refused.

    Raises:
        NotFound: it isn't there, or a component is a link or not what it should be.
    """
    parts = Path(relative).parts
    if not parts or Path(relative).is_absolute() or ".." in parts:
        raise NotFound(f"{relative} is not a file below {root}")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # A pipe opened for reading would wait for a writer.
        return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise NotFound(f"{relative} is not a file below {root}") from error
        raise
    finally:
        os.close(folder)


def open_regular(root: Path, relative: Path | str) -> int:
    """As `open_beneath`, for reading, and only if it is a regular file."""
    descriptor = open_beneath(root, relative)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFound(f"{relative} is not a regular file below {root}")
    return descriptor


def read_beneath(root: Path, relative: Path | str, limit: int = 64 << 20) -> bytes:
    """The content of a regular file below `root`, links not followed, at most `limit` bytes of it."""
    with os.fdopen(open_regular(root, relative), "rb") as file:
        return file.read(limit)


def remove_tree(path: Path) -> None:
    """Remove a folder and all below it; not being there is fine. Links are removed, not followed."""
    try:
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)
    except FileNotFoundError:
        # Somebody else removed it meanwhile, or it never was there.
        if path.exists():
            raise
