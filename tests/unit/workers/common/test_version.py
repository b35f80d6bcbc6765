"""The fingerprint of the code: it changes with any module of any room."""

import os
import shutil
import time
import tomllib
from pathlib import Path

import pytest

from workers.common.version import PACKAGES, changed_at, code_version, fingerprint

PROJECT = Path(__file__).resolve().parents[4]
_CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
PRODUCT = sorted({*_CONTRACTS["root_packages"]} - {"scripts", "benchmarks", "tests"})
#: A module of each folder that has more than its `__init__.py`.
MODULES = {
    module.parent: module.relative_to(PROJECT)
    for name in PRODUCT
    for module in sorted((PROJECT / name).rglob("*.py"))
    if module.name != "__init__.py"
}


def test_all_that_runs_in_the_cluster_counts() -> None:
    assert sorted(PACKAGES) == PRODUCT
    assert {"serve_app", "deployments", "workers"} <= {module.parts[0] for module in MODULES.values()}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("code")
    for name in PRODUCT:
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_the_same_sources_elsewhere_have_the_same_fingerprint(copy: Path) -> None:
    assert fingerprint(copy) == fingerprint(PROJECT) == code_version()


@pytest.mark.parametrize("changed", MODULES.values(), ids=str)
def test_a_change_in_any_room_is_another_version(copy: Path, changed: Path) -> None:
    before = fingerprint(copy)
    module = copy / changed
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


def test_what_a_module_is_called_and_what_it_holds_are_told_apart(tmp_path: Path) -> None:
    found = set()
    for number, (name, content) in enumerate((("a.py", "b.py"), ("a.pyb.py", ""), ("a.py", ""))):
        root = tmp_path / str(number)
        (root / "workers").mkdir(parents=True)
        (root / "workers" / name).write_text(content)
        found.add(fingerprint(root))
    assert len(found) == 3


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
