"""The fingerprint of the code: it changes with any module of any room."""

import os
import shutil
import time
from pathlib import Path

import pytest

from workers.common.version import PACKAGES, changed_at, code_version, fingerprint

PROJECT = Path(__file__).resolve().parents[4]
ROOMS = sorted({module.parent.relative_to(PROJECT) for name in PACKAGES for module in (PROJECT / name).rglob("*.py")})


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("code")
    for name in PACKAGES:
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_the_same_sources_elsewhere_have_the_same_fingerprint(copy: Path) -> None:
    assert fingerprint(copy) == fingerprint(PROJECT) == code_version()


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_change_in_any_room_is_another_version(copy: Path, room: Path) -> None:
    before = fingerprint(copy)
    module = copy / room / "__init__.py"
    content = module.read_bytes()
    module.write_bytes(content + b"\n")
    assert fingerprint(copy) != before
    module.write_bytes(content)
    assert fingerprint(copy) == before


def test_a_module_that_moved_or_was_added_is_another_version(copy: Path) -> None:
    before = fingerprint(copy)
    moved = copy / "workers" / "jobs" / "records.py"
    moved.rename(moved.with_name("moved.py"))
    after = fingerprint(copy)
    moved.with_name("moved.py").rename(moved)
    added = copy / "workers" / "jobs" / "added.py"
    added.touch()
    assert len({before, after, fingerprint(copy)}) == 3
    added.unlink()


def test_the_last_change_is_seen_whatever_a_tool_makes_of_the_times_of_files(copy: Path) -> None:
    for change in (
        lambda module: module.touch(),
        lambda module: os.utime(module, (0, 0)),
        lambda module: module.unlink(),
    ):
        module = copy / "workers" / "jobs" / "of_a_test.py"
        module.touch()
        before = changed_at(copy)
        time.sleep(0.02)
        change(module)
        assert changed_at(copy) > before
