"""The files of the delivery as their own tools read them."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts.stack.plan import PROJECT


def install(*packages: str) -> None:
    subprocess.run([PROJECT / "scripts" / "apt.sh", *packages], check=True, timeout=900)


def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    install("shellcheck")
    scripts = [*sorted((PROJECT / "scripts").glob("*.sh")), *sorted((PROJECT / "workers").glob("*.sh"))]
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_compose_takes_the_file(tmp_path: Path) -> None:
    install("docker-compose")
    environment = {**os.environ, "OPEVA_SHARED_ROOT": str(tmp_path)}
    command = ["docker-compose", "-f", str(PROJECT / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}:{tmp_path}:rw" in done.stdout


@pytest.mark.long
def test_actionlint_finds_nothing_in_the_workflows() -> None:
    command = [PROJECT / "scripts" / "check-workflows.sh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
