"""The scripts that prepare a machine: what they say when they can't, and what they leave alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: What the scripts may use on a machine that lacks everything else.
TOOLS = ("bash", "cat", "cut", "dirname", "env", "flock", "id", "mkdir", "sha256sum", "sleep", "timeout", "tr")


def run(script: str, *arguments: str, cwd: Path = Path(), **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(cwd / "scripts" / script), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with little more than a shell: no Python, no Docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    return str(folder)


def test_setup_without_python_3_11_says_what_to_install_and_makes_nothing(tmp_path: Path, bare_path: str) -> None:
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    shutil.copy("scripts/setup.sh", clone / "scripts")
    shutil.copy("requirements.lock", clone)
    done = run("setup.sh", cwd=clone, PATH=bare_path, PYTHON="")
    assert done.returncode == 1
    assert "apt-get install python3 python3-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (clone / ".venv").exists()


def test_setup_does_nothing_where_the_lock_is_installed_already() -> None:
    assert run("setup.sh").returncode == 0
    done = run("setup.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_engine_names_the_docker_host_that_does_not_answer_and_installs_nothing(tmp_path: Path) -> None:
    done = run("engine.sh", DOCKER_HOST=f"unix://{tmp_path}/nobody.sock", OPEVA_RUN_DIR=str(tmp_path / "run"))
    assert done.returncode == 1
    assert f"unix://{tmp_path}/nobody.sock (DOCKER_HOST) does not answer" in done.stderr
    assert not (tmp_path / "run").exists()


def test_engine_stop_leaves_a_process_alone_that_is_not_the_dockerd_it_started(tmp_path: Path) -> None:
    # A pid file that outlived its dockerd, whose pid another process has by now.
    with subprocess.Popen(["sleep", "600"]) as other:
        (tmp_path / "dockerd.pid").write_text(str(other.pid))
        done = run("engine.sh", "stop", OPEVA_RUN_DIR=str(tmp_path))
        alive = other.poll() is None
        other.kill()
    assert done.returncode == 0
    assert "no dockerd of ours runs" in done.stdout
    assert alive


def test_the_image_build_without_an_engine_says_how_to_get_one(tmp_path: Path) -> None:
    done = run("build-image.sh", DOCKER_HOST=f"unix://{tmp_path}/nobody.sock", OPEVA_RUN_DIR=str(tmp_path / "run"))
    assert done.returncode == 1
    assert done.stderr == "build-image: no Docker engine answers: run scripts/engine.sh first.\n"
