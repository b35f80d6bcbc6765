"""Zip archives are taken as all systems make them, and whatever is broken inside is refused by its entry's name."""

import contextlib
import errno
import io
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from workers.common.errors import InvalidInput, OpevaError, StorageFull, TooLarge, Unavailable
from workers.datasets.kept.archive import unpack, zipped

PACKED = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
TABLE = "".join(f"{i},{i * 7919 % 1009}\n" for i in range(5000)).encode()


def archive(files: Mapping[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            # `ZipInfo` would write slashes on systems that have others.
            info.filename = name
            info.compress_type = packed
            opened.writestr(info, content)
    return bytearray(buffer.getvalue())


def unpacked(
    content: bytes | bytearray, folder: Path, *, most_bytes: int = 10_000_000, most_files: int = 100
) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    size = unpack(io.BytesIO(content), folder, most_bytes=most_bytes, most_files=most_files)
    files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert size == sum(map(len, files.values()))
    return files


def refusal(content: bytes | bytearray, folder: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        unpacked(content, folder)
    assert caught.value.code == "bad_archive"
    return caught.value.detail


def data_of(content: bytes | bytearray, entry: int = 0) -> int:
    """Where the packed bytes of an entry begin."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        offset = opened.infolist()[entry].header_offset
    name, extra = struct.unpack_from("<HH", content, offset + 26)
    return offset + 30 + int(name) + int(extra)


@pytest.mark.parametrize("packed", PACKED)
def test_every_way_of_packing_is_unpacked(tmp_path: Path, packed: int) -> None:
    files = {"schema.json": b"{}", "a/b.csv": TABLE}
    assert unpacked(archive(files, packed), tmp_path / "x") == files


def test_what_macos_and_windows_add_is_left_out(tmp_path: Path) -> None:
    junk = {
        "__MACOSX/set/._schema.json": b"?",
        "__MACOSX/._set": b"?",
        ".DS_Store": b"?",
        "set/.DS_Store": b"?",
        "set/._b.csv": b"?",
        "set/Thumbs.db": b"?",
        "set/sub/desktop.ini": b"?",
        "Desktop.ini": b"?",
        "__MACOSX/../../x": b"?",
    }
    content = archive({**junk, "set/": b"", "set/schema.json": b"{}", "set/sub/b.csv": b"1"})
    assert unpacked(content, tmp_path / "x") == {"schema.json": b"{}", "sub/b.csv": b"1"}


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    content = archive({"set\\": b"", "set\\schema.json": b"{}", "set\\sub\\b.csv": b"1"})
    assert unpacked(content, tmp_path / "x") == {"schema.json": b"{}", "sub/b.csv": b"1"}


def test_junk_counts_for_nothing(tmp_path: Path) -> None:
    files = {f"{i}.csv": b"1" for i in range(3)}
    content = archive({**files, **{f"__MACOSX/._{i}.csv": b"?" * 100 for i in range(3)}})
    assert unpack(io.BytesIO(content), tmp_path, most_bytes=3, most_files=3) == 3


def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    files = {"AC1.csv": b"1", "ac1.csv": b"2"}
    assert unpacked(archive(files), tmp_path / "x") == files


def test_what_was_zipped_here_is_unpacked_whatever_its_files_are_called(tmp_path: Path) -> None:
    names = [
        "AC1.csv",
        "ac1.csv",
        "a: b.csv",
        "Ünï.csv",
        "sub/AC1.csv",
        "x.y.z",
        "-",
        "~",
        "a'b\"c.csv",
        f"{'n' * 251}.csv",
    ]
    folder = tmp_path / "set"
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes([i]) * i)
    content = b"".join(zipped(folder))
    assert unpacked(content, tmp_path / "x") == {name: bytes([i]) * i for i, name in enumerate(names)}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_flipped_bytes_are_told_by_the_entry(tmp_path: Path, packed: int, part: float) -> None:
    content = archive({"good.csv": b"1", "bad.csv": TABLE}, packed)
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        size = opened.getinfo("bad.csv").compress_size
    place = data_of(content, 1) + int(size * part)
    for i in range(8):
        content[place + i] ^= 0xFF
    assert "'bad.csv'" in refusal(content, tmp_path / "x")


@pytest.mark.parametrize("packed", PACKED)
def test_a_wrong_checksum_is_told_by_the_entry(tmp_path: Path, packed: int) -> None:
    content = archive({"bad.csv": TABLE}, packed)
    for mark, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        content[content.index(mark) + place] ^= 0xFF
    assert "'bad.csv'" in refusal(content, tmp_path / "x")


@pytest.mark.parametrize("packed", PACKED)
def test_an_archive_cut_short_is_refused(tmp_path: Path, packed: int) -> None:
    content = archive({"good.csv": b"1", "bad.csv": TABLE}, packed)
    refusal(content[: len(content) // 2], tmp_path / "x")
    refusal(content[: len(content) - 30], tmp_path / "x")
    refusal(content[100:], tmp_path / "x")


@pytest.mark.parametrize("method", [1, 9, 93, 99])
def test_an_unknown_compression_is_told_by_the_entry(tmp_path: Path, method: int) -> None:
    content = archive({"bad.csv": TABLE})
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.index(mark) + place, method)
    assert "'bad.csv'" in refusal(content, tmp_path / "x")


def test_an_encrypted_entry_is_told(tmp_path: Path) -> None:
    content = archive({"bad.csv": TABLE})
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    assert "'bad.csv' encrypted" in refusal(content, tmp_path / "x")


@pytest.mark.parametrize(
    "names", [("x", "x/y"), ("x/y", "x"), ("a/b/c", "a", "q"), ("set/x/y/z", "set/x/y", "set/s"), ("x", "x\\y")]
)
def test_a_file_that_is_a_folder_too_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert "as a file and as a folder" in refusal(archive(dict.fromkeys(names, b"1")), tmp_path / "x")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("x", "x"), ("a/x", "a\\x"), ("a//x", "a/x"), ("./x", "x")])
def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name in ("other", *names):
            opened.writestr(name, b"1")
    assert "twice" in refusal(buffer.getvalue(), tmp_path / "x")


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "/".join("n" * 501), "C:/x", "../x", "a\nb", "/x", "..", "."])
def test_a_path_that_no_storage_should_hold_is_refused(tmp_path: Path, name: str) -> None:
    assert "which is not allowed" in refusal(archive({"good": b"1", name: b"1"}), tmp_path / "x")


@pytest.mark.parametrize("packed", PACKED)
def test_no_damage_is_an_error_of_ours(tmp_path: Path, packed: int) -> None:
    chance = random.Random(packed)
    whole = archive({"schema.json": b"{}", "a/b.csv": TABLE[:3000], "c.csv": b"x" * 500}, packed)
    for i in range(400):
        content = bytearray(whole)
        # Most of what can be damaged lies in the headers, at both ends.
        for _ in range(chance.choice((1, 2, 8))):
            span = chance.choice((60, len(content)))
            place = chance.randrange(span)
            content[place if chance.random() < 0.5 else len(content) - 1 - place] = chance.randrange(256)
        with contextlib.suppress(InvalidInput, TooLarge):
            unpacked(content, tmp_path / f"{i}")


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_to_more_than_it_may_is_refused_before_it_fills_memory(tmp_path: Path, packed: int) -> None:
    content = archive({"bomb.csv": b"0" * 200_000_000}, packed)
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + place, 10)
    with pytest.raises(OpevaError):
        unpacked(content, tmp_path / "x", most_bytes=1000)
    assert sum(f.stat().st_size for f in (tmp_path / "x").iterdir()) <= 1000


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, Unavailable)]
)
def test_a_storage_that_fails_is_no_fault_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OpevaError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "of the test")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(kind):
        unpack(io.BytesIO(archive({"a.csv": b"1"})), tmp_path, most_bytes=10, most_files=1)
