"""Datasets as zip archives: written as they are sent, and taken in with care."""

import io
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from workers.common.errors import ErrorCode, InvalidInput, NotFound, TooLarge
from workers.common.files import open_regular, storage_error
from workers.datasets.file_names import SCHEMA_FILE
from workers.datasets.kept.store import dataset_files

_BLOCK: Final = 1 << 20
#: Fast, and CSV shrinks to a fifth anyway.
_LEVEL: Final = 1
#: The size of an end-of-archive record and what precedes it may not say more than the archive holds.
_MAX_PATH: Final = 200


class _Sink(io.RawIOBase):
    """What was written since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # bytes-like, as zipfile gives it
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def zipped(folder: Path) -> Iterator[bytes]:
    """A dataset as a zip archive, piece by piece; nothing is written to the disk, and memory stays flat.

    Raises OSError where a file can't be read.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, size in dataset_files(folder):
            try:
                descriptor = open_regular(folder, name)
            except NotFound:
                # Removed or replaced meanwhile; the archive holds what is still there.
                continue
            with os.fdopen(descriptor, "rb") as source, archive.open(name, "w", force_zip64=size > 1 << 30) as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                    if piece := sink.take():
                        yield piece
    yield sink.take()


def unpack(archive: BinaryIO, folder: Path, *, most_bytes: int, most_files: int) -> int:
    """Unpack an uploaded dataset into `folder`; returns its size. A single folder around everything is taken away.

    Raises:
        InvalidInput: it is no zip archive, holds a path that leaves it, a link or an encrypted file, or is no dataset.
        TooLarge: it unpacks to more than it may, whatever it says of itself.
        Unavailable, StorageFull: the storage failed.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _entries(opened, most_files)
            if sum(info.file_size for _, info in entries) > most_bytes:
                raise _too_large(most_bytes)
            left = most_bytes
            for path, info in entries:
                left -= _write(opened, info, folder / path, left, most_bytes)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise InvalidInput(f"The file can't be unpacked as a zip archive: {error}", ErrorCode.BAD_ARCHIVE) from error
    except OSError as error:
        raise storage_error(error, folder) from error
    _check(folder)
    return most_bytes - left


def _entries(opened: zipfile.ZipFile, most_files: int) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    infos = [info for info in opened.infolist() if not info.is_dir()]
    if len(infos) > most_files:
        raise TooLarge(f"The archive holds {len(infos)} files; {most_files} are allowed", ErrorCode.TOO_MANY_FILES)
    paths = [(_path(info), info) for info in infos]
    tops = {path.parts[0] for path, _ in paths}
    if len(tops) == 1 and all(len(path.parts) > 1 for path, _ in paths):
        paths = [(PurePosixPath(*path.parts[1:]), info) for path, info in paths]
    seen: set[str] = set()
    for path, _ in paths:
        if str(path).lower() in seen:
            raise InvalidInput(f"The archive holds {str(path)!r} twice", ErrorCode.BAD_ARCHIVE)
        seen.add(str(path).lower())
    return paths


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    name = info.filename.replace("\\", "/")
    path = PurePosixPath(name)
    inside = path.parts and not path.is_absolute() and ".." not in path.parts and ":" not in name
    if not inside or len(name.encode("utf-8", "surrogatepass")) > _MAX_PATH or not name.isprintable():
        raise InvalidInput(
            f"The archive holds the path {info.filename[:100]!r}, which is not allowed", ErrorCode.BAD_ARCHIVE
        )
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise InvalidInput(f"The archive holds {info.filename!r}, which is no regular file", ErrorCode.BAD_ARCHIVE)
    if info.flag_bits & 1:
        raise InvalidInput(f"The archive holds {info.filename!r} encrypted", ErrorCode.BAD_ARCHIVE)
    return path


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, left: int, most: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(info) as source, target.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            # What an archive says of its files' sizes need not be true.
            if written > left:
                raise _too_large(most)
            file.write(block)
    return written


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The archive unpacks to more than {most} bytes", ErrorCode.DATASET_TOO_LARGE)


def _check(folder: Path) -> None:
    """Refuse what CityLearn could not even begin to read."""
    try:
        schema = json.loads((folder / SCHEMA_FILE).read_bytes())
    except FileNotFoundError:
        raise InvalidInput(f"The archive holds no {SCHEMA_FILE}: it is no dataset", ErrorCode.NOT_A_DATASET) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{SCHEMA_FILE} is no JSON: {error}", ErrorCode.NOT_A_DATASET) from error
    buildings = schema.get("buildings") if isinstance(schema, dict) else None
    if not isinstance(buildings, dict) or not buildings:
        raise InvalidInput(f"{SCHEMA_FILE} has no buildings", ErrorCode.NOT_A_DATASET)
    for name, building in buildings.items():
        file = building.get("energy_simulation") if isinstance(building, dict) else None
        if not isinstance(file, str) or not (folder / file).is_file():
            raise InvalidInput(
                f"Building {name!r} of {SCHEMA_FILE} names the file {file!r}, which the archive doesn't hold",
                ErrorCode.NOT_A_DATASET,
            )
