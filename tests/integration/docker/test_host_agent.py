"""The host agent: stopping is confirmed, listing is true, nothing of a stranger's is touched, and it always answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.harness.images import BUSYBOX
from tests.harness.attempts import PLACE
from tests.integration.docker.installation import Installation, until
from tests.integration.docker.proxy import DockerProxy
from workers.host.agent import HostAgent
from workers.host.engine import connect, hostname
from workers.host.runner import run_attempt
from workers.jobs.spec import Spec


@pytest.fixture
def agent() -> HostAgent:
    return HostAgent("v1", node_id="node", address="192.0.2.1")


def _start(installation: Installation, script: str, says: bytes = b"ready\n") -> Spec:
    """A job's container that runs, and has said that it is ready; nobody watches it."""
    spec = installation.spec(f"{script}; printf '{says.decode()}'; while true; do sleep 0.1; done")
    attempt = run_attempt(spec, lambda: True, PLACE)
    running = next(event for event in attempt if event["event"] == "running")
    attempt.close()
    client = connect(60.0).client
    until(lambda: client.logs(running["container_id"]) == says, "the container's first words")
    return spec


async def test_it_tells_of_its_host_and_its_engine(agent: HostAgent) -> None:
    info = await agent.info()
    assert (info["hostname"], info["node_id"], info["address"], info["version"]) == (
        hostname(),
        "node",
        "192.0.2.1",
        "v1",
    )
    assert info["docker"] is True
    assert info["docker_error"] is None
    assert info["docker_version"]
    assert info["ncpu"] == os.cpu_count()


async def test_without_an_engine_it_says_so_and_names_the_host(agent: HostAgent, proxy: DockerProxy) -> None:
    proxy.go_away()
    info: Any = await agent.info()
    assert info["docker"] is False
    assert hostname() in info["docker_error"]
    listing: Any = await agent.listing("x")
    assert (listing["ok"], listing["containers"]) == (False, [])
    assert hostname() in listing["error"]
    assert (await agent.stop("x", "y", 1.0, 1.0))["outcome"] == "docker_unavailable"
    removed: Any = await agent.remove("x", "y")
    assert hostname() in removed["error"]


async def test_a_call_that_hangs_keeps_no_other_from_being_answered(agent: HostAgent, proxy: DockerProxy) -> None:
    proxy.hang("GET /containers/json")
    stuck = asyncio.create_task(agent.listing("x"))
    await asyncio.to_thread(until, lambda: "GET /containers/json" in proxy.requests, "the listing")
    assert (await agent.info())["docker"] is True
    assert (await agent.stop("x", "y", 1.0, 1.0))["outcome"] == "absent"
    assert not stuck.done()
    proxy.go_away()
    assert (await stuck)["ok"] is False


@pytest.mark.parametrize(("script", "exit_code"), [("true", 137), ("trap '' TERM", 137), ("trap 'exit 7' TERM", 7)])
async def test_a_stop_is_term_then_kill_and_confirmed(
    agent: HostAgent, installation: Installation, script: str, exit_code: int
) -> None:
    spec = _start(installation, script)
    answer: Any = await agent.stop(installation.cluster_id, spec["job_id"], 1.0, 60.0)
    assert (answer["outcome"], answer["exit_code"], answer["oom_killed"]) == ("stopped", exit_code, False)
    assert answer["started_at"] <= answer["finished_at"]
    # It is there for its runner to conclude.
    assert installation.containers(spec)[0]["State"]["Status"] == "exited"
    assert await agent.stop(installation.cluster_id, spec["job_id"], 1.0, 60.0) == answer


async def test_two_stops_at_once_agree(agent: HostAgent, installation: Installation) -> None:
    spec = _start(installation, "trap '' TERM")
    stop = (installation.cluster_id, spec["job_id"], 1.0, 60.0)
    first, second = await asyncio.gather(agent.stop(*stop), agent.stop(*stop))
    assert first == second
    assert first["outcome"] == "stopped"


async def test_stopping_what_never_started_removes_it_and_what_is_not_there_is_absent(
    agent: HostAgent, installation: Installation
) -> None:
    spec = installation.spec("true")
    assert (await agent.stop(installation.cluster_id, spec["job_id"], 1.0, 1.0))["outcome"] == "absent"
    labels = {"opeva.cluster": installation.cluster_id, "opeva.job": spec["job_id"], "opeva.attempt": "1"}
    connect(60.0).client.create_container(BUSYBOX, ["true"], labels=labels)
    assert (await agent.stop(installation.cluster_id, spec["job_id"], 1.0, 60.0))["outcome"] == "absent"
    assert installation.containers(spec) == []


async def test_a_stop_that_the_engine_does_not_do_is_not_confirmed(
    agent: HostAgent, installation: Installation, proxy: DockerProxy
) -> None:
    spec = _start(installation, "true")
    no = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"
    proxy.answer("POST /containers/.*/(stop|kill)", no, times=2)
    answer = await agent.stop(installation.cluster_id, spec["job_id"], 0.0, 1.0)
    assert answer["outcome"] == "not_confirmed"
    assert "still runs" in answer["detail"]
    assert installation.containers(spec)[0]["State"]["Running"]


async def test_an_answer_to_a_stop_that_is_lost_does_not_lose_the_stop(
    agent: HostAgent, installation: Installation, proxy: DockerProxy
) -> None:
    spec = _start(installation, "trap 'exit 7' TERM")
    proxy.lose_answer("POST /containers/.*/stop")
    answer = await agent.stop(installation.cluster_id, spec["job_id"], 30.0, 60.0)
    assert answer["outcome"] == "stopped"


async def test_it_lists_its_installations_containers_and_no_others(
    agent: HostAgent, installation: Installation, tmp_path: Path
) -> None:
    other = Installation(tmp_path / "other", f"{installation.cluster_id}-other")
    other.create()
    spec = _start(installation, "true")
    _start(other, "true")
    try:
        (listed,) = (await agent.listing(installation.cluster_id))["containers"]
        assert (listed["job_id"], listed["attempt"], listed["state"]) == (spec["job_id"], 1, "running")
        assert (listed["exit_code"], listed["finished_at"], listed["gpus"]) == (None, None, [])
        assert listed["labels"]["opeva.cluster"] == installation.cluster_id
        # Who uses a root is asked without knowing the installation.
        assert (await agent.holders(str(other.root)))["containers"] != [listed["id"]]
        assert (await agent.holders(str(installation.root)))["containers"] == [listed["id"]]
        assert (await agent.holders(str(installation.root.parent / "ro")))["containers"] == []
        (foreign,) = (await agent.listing(other.cluster_id))["containers"]
        swept = await agent.sweep(installation.cluster_id, [foreign["id"], listed["id"], "0" * 64], 0.0)
        assert swept == {"removed": [listed["id"]], "error": None}
        assert len((await agent.listing(other.cluster_id))["containers"]) == 1
    finally:
        other.remove_containers()


async def test_removing_a_jobs_containers_is_idempotent(agent: HostAgent, installation: Installation) -> None:
    spec = _start(installation, "true")
    (container,) = installation.containers(spec)
    answers = await asyncio.gather(*(agent.remove(installation.cluster_id, spec["job_id"]) for _ in range(3)))
    assert all(answer["error"] is None for answer in answers)
    assert {container_id for answer in answers for container_id in answer["removed"]} == {container["Id"]}
    assert await agent.remove(installation.cluster_id, spec["job_id"]) == {"removed": [], "error": None}


async def test_pulling_says_why_it_failed(agent: HostAgent) -> None:
    answer: Any = await agent.pull("localhost:9/nope/none:1")
    assert (answer["ok"], answer["reason"]) == (False, "image_pull_failed")
    assert hostname() in answer["error"]


async def test_a_folder_is_removed_and_links_in_it_are_not_followed(agent: HostAgent, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = tmp_path / "job"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    assert await agent.delete_tree(str(folder), BUSYBOX, str(folder)) == {"ok": True, "error": None}
    assert not folder.exists()
    assert (outside / "kept").exists()
    assert await agent.delete_tree(str(folder), BUSYBOX, str(folder)) == {"ok": True, "error": None}


#: Removes a folder as a user who may not, but who may use Docker.
_AS_NOBODY = """
import os, pathlib, sys
from workers.host.job_tree import remove_job_tree
os.setgroups([os.stat(sys.argv[2]).st_gid]); os.setgid(65534); os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
print(remove_job_tree(pathlib.Path(sys.argv[1]), sys.argv[3], sys.argv[1], 60.0))
"""


def _remove_as_nobody(folder: Path, image: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(folder), "/var/run/docker.sock", image],
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder of the user `nobody`. pytest's own folders are closed to other users, again at each session's start."""
    folder = Path(tempfile.mkdtemp(prefix="opeva-test-"))
    os.chown(folder, 65534, 65534)
    yield folder
    shutil.rmtree(folder)


def test_what_a_root_container_left_is_removed_by_a_user_who_is_not_root(nobodys_folder: Path) -> None:
    job = nobodys_folder / "job"
    (job / "results" / "deep").mkdir(parents=True)
    for name in ("plain", ".hidden", "..dots", "results/deep/file"):
        (job / name).touch()
    os.chown(job, 65534, 65534)
    assert "opeva-test-nowhere" in _remove_as_nobody(job, "opeva-test-nowhere:1")
    assert (job / "results" / "deep" / "file").exists()
    assert _remove_as_nobody(job, BUSYBOX) == "None"
    assert not job.exists()
