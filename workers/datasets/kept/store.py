"""The datasets of an installation as folders: listed, described, put in place and removed.

A dataset appears whole or not at all: it is made in a staging folder that no container sees, flushed to the disk and
renamed. One that is replaced changes places with its successor in one step where the storage can do that.
"""

import ctypes
import errno
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from workers.common import names
from workers.common.clock import iso
from workers.common.errors import Conflict, ErrorCode, NotFound
from workers.common.files import read_beneath, remove_tree, storage_error, sync_folder, write_atomic
from workers.common.layout import Layout
from workers.datasets.file_names import MANIFEST_FILE, SCHEMA_FILE
from workers.datasets.files.manifest import FileSize
from workers.datasets.files.writers import json_bytes
from workers.datasets.kept.descriptions import DatasetRow, Facts, of_schema, row_of

logger = logging.getLogger(__name__)

_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
#: What a storage says that can't exchange two names: older kernels, network file systems.
_NO_EXCHANGE: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
#: What a rename says where the target is a folder that is not empty.
_TAKEN: Final = {errno.ENOTEMPTY, errno.EEXIST}
_STAGING: Final = "builds"


class DatasetStore:
    """The folders below `datasets/`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def folder(self, name: object) -> Path:
        """The folder of a dataset that exists.

        Raises:
            InvalidInput: no such name is possible.
            NotFound: there is no such dataset.
        """
        folder = self._layout.dataset(names.dataset_name(name))
        if folder.is_symlink() or not folder.is_dir():
            raise NotFound(f"There is no dataset {name!r}", ErrorCode.DATASET_NOT_FOUND)
        return folder

    def exists(self, name: str) -> bool:
        """Whether anything bears the name of this dataset."""
        return os.path.lexists(self._layout.dataset(name))

    def list(self) -> list[DatasetRow]:
        """A row for each dataset, sorted by name."""
        try:
            entries = sorted(os.scandir(self._layout.datasets), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        return [
            row
            for entry in entries
            if _is_dataset(entry) and (row := self._row(Path(entry.path), entry.name)) is not None
        ]

    def manifest(self, name: str) -> dict[str, Any]:
        """A dataset's manifest; of one that was not built here, what can be read from its files. Raises NotFound."""
        folder = self.folder(name)
        described = _json(folder, MANIFEST_FILE)
        if described is None:
            described = self._described(folder, name)
        return {**described, **self._facts(folder, name)}

    def add_to_manifest(self, name: str, facts: dict[str, Any]) -> None:
        """Add facts to a dataset's manifest; one that has none gets one, with what can be read from its files.

        Raises NotFound, Unavailable, StorageFull.
        """
        folder = self.folder(name)
        described = _json(folder, MANIFEST_FILE)
        if described is None:
            if os.path.lexists(folder / MANIFEST_FILE):
                raise NotFound(f"The manifest of the dataset {name!r} can't be read", ErrorCode.NO_MANIFEST)
            described = self._described(folder, name)
        try:
            write_atomic(folder / MANIFEST_FILE, json_bytes({**described, **facts}))
        except OSError as error:
            raise storage_error(error, folder / MANIFEST_FILE) from error

    def staging(self) -> Path:
        """A new folder to make a dataset in, on the same storage and out of everybody's sight. Raises Unavailable."""
        folder = self._layout.private / _STAGING / uuid.uuid4().hex
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise storage_error(error, folder) from error
        return folder

    def sweep(self) -> None:
        """Remove what builds that ended without a word left in staging folders."""
        for folder in self._staged():
            logger.info("Removing the remains of a build: %s", folder)
            remove_tree(folder)

    def _staged(self) -> Iterator[Path]:
        try:
            yield from (self._layout.private / _STAGING).iterdir()
        except FileNotFoundError:
            # Nothing was ever built.
            return

    def install(self, staged: Path, name: str, *, overwrite: bool) -> None:
        """Make a staged folder the dataset `name`.

        Raises:
            Conflict: there is one already and it is not to be overwritten; `staged` stays then.
            Unavailable, StorageFull: the storage failed.
        """
        target = self._layout.dataset(name)
        try:
            self._layout.datasets.mkdir(parents=True, exist_ok=True)
            _flush(staged)
            if self.exists(name):
                if not overwrite:
                    raise already_there(name)
                _exchange(staged, target)
                remove_tree(staged)
            else:
                staged.rename(target)
            sync_folder(self._layout.datasets)
        except OSError as error:
            if error.errno in _TAKEN and not overwrite:
                # Somebody else put one there since it was looked for.
                raise already_there(name) from error
            raise storage_error(error, target) from error

    def remove(self, name: str) -> None:
        """Remove a dataset; it is gone at once, its files a little later. Raises NotFound, Unavailable."""
        folder = self.folder(name)
        grave = self._layout.private / _STAGING / uuid.uuid4().hex
        try:
            grave.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(grave)
            sync_folder(self._layout.datasets)
            remove_tree(grave)
        except FileNotFoundError as error:
            raise NotFound(f"There is no dataset {name!r}", ErrorCode.DATASET_NOT_FOUND) from error
        except OSError as error:
            raise storage_error(error, folder) from error

    @staticmethod
    def _described(folder: Path, name: str) -> dict[str, Any]:
        """What can be read from the files of a dataset that has no manifest."""
        schema = _json(folder, SCHEMA_FILE) or {}
        return {"name": name, "description": "", "files": _entries(folder), **of_schema(schema)}

    def _row(self, folder: Path, name: str) -> DatasetRow | None:
        try:
            described = _json(folder, MANIFEST_FILE) or of_schema(_json(folder, SCHEMA_FILE) or {})
            facts = self._facts(folder, name)
        except OSError as error:
            # Removed while the list was made, or unreadable: the other datasets are listed.
            logger.warning("Dataset %s is left out of the list: %s", name, error)
            return None
        return row_of(described, facts)

    @staticmethod
    def _facts(folder: Path, name: str) -> Facts:
        files = [entry.stat(follow_symlinks=False) for entry in _files(folder)]
        born = min((stat.st_mtime for stat in files), default=folder.stat().st_mtime)
        return {"name": name, "size": sum(stat.st_size for stat in files), "created_at": iso(born)}


def already_there(name: str) -> Conflict:
    """The error of a dataset that exists and is not to be overwritten."""
    return Conflict(f"There is a dataset {name!r} already: give another name, or overwrite", ErrorCode.DATASET_EXISTS)


def _is_dataset(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All regular files below a folder; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield entry


def dataset_files(folder: Path) -> list[tuple[str, int]]:
    """The files of a dataset by their path within it, with their sizes, sorted."""
    return [
        (Path(entry.path).relative_to(folder).as_posix(), entry.stat(follow_symlinks=False).st_size)
        for entry in _files(folder)
    ]


def _entries(folder: Path) -> list[FileSize]:
    return [{"name": name, "bytes": size} for name, size in dataset_files(folder)]


def _json(folder: Path, file: str) -> dict[str, Any] | None:
    """A JSON object among a dataset's files; None where it is not there or can't be read as one."""
    try:
        content = json.loads(read_beneath(folder, file))
    except (NotFound, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _flush(folder: Path) -> None:
    """Flush a folder's files and folders to the disk."""
    for entry in _files(folder):
        descriptor = os.open(entry.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for path, folders, _ in os.walk(folder):
        del folders
        sync_folder(Path(path))


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change names, in one step where the storage can."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_EXCHANGE:
        raise OSError(code, os.strerror(code), str(other))
    logger.info("The storage can't exchange two folders: %s is replaced in two steps", other)
    aside = one.with_name(f"{one.name}.old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
