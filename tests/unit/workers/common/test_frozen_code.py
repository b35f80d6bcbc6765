"""Processes that start later run the code that was deployed, wherever Python would find our packages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray.cloudpickle

from workers.common import frozen_code
from workers.common.frozen_code import Frozen, copy_packages, frozen_call
from workers.common.version import PACKAGES, ROOT, VERSION, code_copy, code_version, fingerprint, full_version

#: A process that finds other code than was deployed, is sent the deployed class and calls it.
_ELSEWHERE = """
import json, sys, ray.cloudpickle
made = ray.cloudpickle.loads(open(sys.argv[1], "rb").read())
print(json.dumps(made()))
"""


def package(root: Path, word: str) -> Path:
    """Something like our packages, whose one replica and one task say `word`."""
    folder = root / "thing"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "replica.py").write_text(
        "from thing.words import WORD\nclass Replica:\n    def __init__(self, more): self.more = more\n"
        "    def say(self): return WORD + self.more\n"
    )
    (folder / "words.py").write_text(f"WORD = {word!r}\n")
    return root


def test_a_replica_and_a_task_run_the_copy_though_other_code_is_found_first(tmp_path: Path) -> None:
    edited = package(tmp_path / "edited", "edited")
    copy = copy_packages(package(tmp_path / "deployed", "deployed"), ("thing",), "v1", tmp_path / "copies")

    def sent() -> Any:
        return Frozen(str(copy), "thing.replica:Replica", "!").say()

    (tmp_path / "sent").write_bytes(ray.cloudpickle.dumps(sent))
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path / "sent")],
        cwd=edited,
        env={"PYTHONPATH": str(edited)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "deployed!"


def test_a_copy_is_whole_and_made_once(tmp_path: Path) -> None:
    first = copy_packages(ROOT, PACKAGES, code_version(), tmp_path)
    assert fingerprint(first) == code_version()
    assert (first / frozen_code.ORIGIN_FILE).read_text() == str(ROOT)
    made = first.stat().st_ctime_ns
    assert copy_packages(ROOT, PACKAGES, code_version(), tmp_path) == first
    assert first.stat().st_ctime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [code_version()]


def test_a_copy_that_can_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no_such_package"):
        copy_packages(ROOT, ("no_such_package",), "v", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_its_copy_a_process_runs_what_is_installed(tmp_path: Path) -> None:
    before = list(sys.path)
    frozen_code.use(str(tmp_path / "gone"))
    frozen_code.use(None)
    assert sys.path == before
    assert code_copy() is None


def test_a_task_is_refused_where_another_version_of_the_package_is_installed() -> None:
    assert frozen_call(None, code_version(), "workers.common.json_values:finite", *())(1.5) == 1.5
    with pytest.raises(RuntimeError, match=r"carries version \w+ of the package, the application runs other"):
        frozen_call(None, "other", "workers.common.json_values:finite")(1.5)


def test_the_full_version_is_the_release_and_the_code() -> None:
    assert full_version() == f"{VERSION}+{code_version()}"
