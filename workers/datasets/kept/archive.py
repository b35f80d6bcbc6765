"""Datasets as zip archives: written as they are sent, and taken in with care."""

import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from workers.common.errors import ErrorCode, InvalidInput, NotFound, TooLarge
from workers.common.files import open_regular, storage_error
from workers.datasets.kept.store import dataset_files

_BLOCK: Final = 1 << 20
#: Fast, and CSV shrinks to a fifth anyway.
_LEVEL: Final = 1
#: The longest path of an entry, and the longest name in it that file systems take, in bytes.
_MAX_PATH: Final = 1000
_MAX_NAME: Final = 255
_DRIVE: Final = re.compile(r"[A-Za-z]:/")
#: What macOS and Windows put into folders, in small letters.
_JUNK: Final = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})
#: Of these, `zipfile` unpacks no more at once than is asked for.
_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Of the others it unpacks as many packed bytes as are asked for, which may become thousands of times more.
_PACKED_BLOCK: Final = 4096
#: What `zipfile` and its decompressors raise at broken archives.
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,  # encrypted, or an unknown way of packing
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
)


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

    What macOS and Windows add to archives is left out.

    Raises:
        InvalidInput: it is no zip archive, is broken, or holds a path that leaves it, a link or an encrypted file.
        TooLarge: it unpacks to more than it may, whatever it says of itself.
        Unavailable, StorageFull: the storage failed.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except _BROKEN as error:
        raise InvalidInput(f"The file can't be read as a zip archive: {error}", ErrorCode.BAD_ARCHIVE) from error
    except OSError as error:
        raise storage_error(error, folder) from error
    with opened:
        entries = _entries(opened, most_files)
        if sum(info.file_size for _, info in entries) > most_bytes:
            raise _too_large(most_bytes)
        left = most_bytes
        for path, info in entries:
            left -= _write(opened, info, folder / path, left, most_bytes)
    return most_bytes - left


def _entries(opened: zipfile.ZipFile, most_files: int) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """What is to be unpacked, and where to."""
    infos = [info for info in opened.infolist() if not _name(info).endswith("/") and not _is_junk(info)]
    if len(infos) > most_files:
        raise TooLarge(f"The archive holds {len(infos)} files; {most_files} are allowed", ErrorCode.TOO_MANY_FILES)
    paths = [(_path(info), info) for info in infos]
    tops = {path.parts[0] for path, _ in paths}
    if len(tops) == 1 and all(len(path.parts) > 1 for path, _ in paths):
        paths = [(PurePosixPath(*path.parts[1:]), info) for path, info in paths]
    folders = {parent for path, _ in paths for parent in path.parents}
    seen: set[PurePosixPath] = set()
    for path, _ in paths:
        if path in seen:
            raise InvalidInput(f"The archive holds {str(path)!r} twice", ErrorCode.BAD_ARCHIVE)
        if path in folders:
            said = f"The archive holds {str(path)!r} as a file and as a folder"
            raise InvalidInput(said, ErrorCode.BAD_ARCHIVE)
        seen.add(path)
    return paths


def _name(info: zipfile.ZipInfo) -> str:
    """An entry's path as zip archives should have it; some programs of Windows write backslashes."""
    return info.filename.replace("\\", "/")


def _is_junk(info: zipfile.ZipInfo) -> bool:
    """Whether an operating system put it there; no part of a dataset."""
    *folders, last = _name(info).split("/")
    # Beside a file, macOS stores what it knows of it as "._" and the file's name.
    return "__MACOSX" in folders or last.startswith("._") or last.casefold() in _JUNK


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    name = _name(info)
    path = PurePosixPath(name)
    inside = path.parts and not path.is_absolute() and ".." not in path.parts and _DRIVE.match(name) is None
    # What can be printed has no halves of characters, and is bytes in UTF-8.
    fits = name.isprintable() and len(name.encode()) <= _MAX_PATH
    if not inside or not fits or any(len(part.encode()) > _MAX_NAME for part in path.parts):
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
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for block in _blocks(opened, info):
                written += len(block)
                # What an archive says of its files' sizes need not be true.
                if written > left:
                    raise _too_large(most)
                file.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        # Names that this storage takes for one: most know case, some don't.
        said = f"The archive holds {info.filename!r} beside a file that the storage takes for the same"
        raise InvalidInput(said, ErrorCode.BAD_ARCHIVE) from error
    except OSError as error:
        raise storage_error(error, target) from error
    return written


def _blocks(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """An entry's content. Raises InvalidInput where it is broken, and OSError where the archive can't be read."""
    size = _BLOCK if info.compress_type in _BOUNDED else _PACKED_BLOCK
    try:
        with opened.open(info) as source:
            while block := source.read(size):
                yield block
    except _BROKEN as error:
        raise _broken(info, error) from error
    except OSError as error:
        # bzip2 reports broken data so, without a number; the storage always has one.
        if error.errno is not None:
            raise
        raise _broken(info, error) from error


def _broken(info: zipfile.ZipInfo, error: Exception) -> InvalidInput:
    said = f"The archive's entry {info.filename!r} can't be unpacked: {error or type(error).__name__}"
    return InvalidInput(said, ErrorCode.BAD_ARCHIVE)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The archive unpacks to more than {most} bytes", ErrorCode.DATASET_TOO_LARGE)
