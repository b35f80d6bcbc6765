"""What is done to storage: mounts over a folder or parts of it. Each is undone at the end of its context."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_storage(folder: Path, size: str) -> Iterator[Path]:
    """Have an empty storage of `size` in the place of `folder`."""
    _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder)
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def small_storage(folder: Path, size: str) -> Iterator[Path]:
    """Have `folder` lie on a storage of `size` of its own for a while, with what is in it. Nobody may be writing there
    at the begin and at the end."""
    spare = folder.with_name(f".{folder.name}.spare")
    spare.mkdir()
    try:
        with own_storage(spare, size):
            shutil.copytree(folder, spare, dirs_exist_ok=True, symlinks=True)
            _mount("--bind", spare, folder)
            try:
                yield folder
            finally:
                _unmount(folder)
                shutil.copytree(spare, folder, dirs_exist_ok=True, symlinks=True)
    finally:
        spare.rmdir()


def fill(folder: Path) -> Path:
    """Write until the storage of `folder` takes nothing more; the file that holds the room."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Have the storage of `folder` full."""
    filler = fill(folder)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Have a folder read-only for who comes to it now; what is open there stays writable."""
    spare = folder.with_name(f".{folder.name}.read-only")
    spare.mkdir()
    try:
        # A mount on which a file is open for writing can't be made read-only, so another one takes its place.
        _mount("--bind", folder, spare)
        try:
            _mount("-o", "remount,bind,ro", spare)
            _mount("--bind", spare, folder)
        finally:
            _unmount(spare)
        try:
            yield
        finally:
            _unmount(folder)
    finally:
        spare.rmdir()


@contextmanager
def without_the_root(root: Path) -> Iterator[None]:
    """Have the shared root empty, as where its mount is missing; nothing is written there meanwhile."""
    with own_storage(root, "1m"):
        yield
        assert list(root.iterdir()) == []


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=30)


def _unmount(folder: Path) -> None:
    # Lazily: somebody may have a file open there.
    subprocess.run(["umount", "-l", folder], check=True, timeout=30)
