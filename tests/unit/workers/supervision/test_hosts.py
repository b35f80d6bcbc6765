"""Hosts over their Ray nodes: the same machine may come back as another node, and Ray may know both for a while."""

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest
import ray

from workers.common import names
from workers.common.nodes import HEAD
from workers.common.options import Options
from workers.supervision.hosts import HostDirectory


class Agent:
    """What answers for a node, as long as the node lives."""

    def __init__(self, node_id: str, living: set[str]) -> None:
        self._node_id = node_id
        self._living = living

    @property
    def info(self) -> "Agent":
        return self

    def remote(self) -> "Agent":
        return self

    def future(self) -> "Future[dict[str, Any]]":
        future: Future[dict[str, Any]] = Future()
        if self._node_id in self._living:
            future.set_result({"docker": True, "version": self._node_id})
        else:
            future.set_exception(ray.exceptions.ActorUnavailableError("its node is gone", None))
        return future


class Hosts(HostDirectory):
    """Hosts whose nodes a test brings and takes away."""

    def __init__(self) -> None:
        super().__init__(Options("/r", "/r", host_silent_s=0.2, agent_timeout_s=5.0), "v")
        self.living: set[str] = set()

    def _agent_on(self, node_id: str) -> Any:
        return Agent(node_id, self.living)


def node(node_id: str, host: str = "w", address: str = "10.0.0.2") -> dict[str, Any]:
    return {
        "NodeID": node_id,
        "Alive": True,
        "NodeManagerAddress": address,
        "NodeManagerHostname": host,
        "Resources": {"CPU": 2.0, f"{names.RESOURCE_HOST_PREFIX}{host}": 1.0},
    }


async def test_a_host_that_comes_back_keeps_its_name_and_never_flickers_between_two_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = Hosts()
    listed: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "nodes", lambda: listed)

    async def look_until(node_id: str) -> None:
        async with asyncio.timeout(30):
            while True:
                await hosts._look()
                host = hosts.by_name("w")
                if host is not None and host.node_id == node_id and host.online:
                    return
                await asyncio.sleep(0.02)

    listed[:] = [node("old")]
    hosts.living.add("old")
    await look_until("old")
    assert await hosts.met("old", 0.1) is hosts.by_name("w")
    # Both count as alive: the one that answers is the host, until it is silent.
    listed[:] = [node("new"), node("old")]
    hosts.living.add("new")
    for _ in range(3):
        await look_until("old")
    hosts.living.remove("old")
    await look_until("new")
    hosts.living.add("old")
    for _ in range(3):
        await look_until("new")
    assert [host.name for host in hosts.all()] == ["w"]
    assert await hosts.met("never", 0.05) is None


async def test_two_machines_of_one_name_are_two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts()
    listed = [node("a")]
    monkeypatch.setattr(ray, "nodes", lambda: listed)
    hosts.living.update({"a", "b"})
    async with asyncio.timeout(30):
        while not all(host.online for host in hosts.all()) or not hosts.all():
            await hosts._look()
            await asyncio.sleep(0.02)
        listed.append(node("b", address="10.0.0.3"))
        await hosts._look()
    assert sorted(host.name for host in hosts.all()) == ["w", "w-10.0.0.3"]


async def test_machines_of_one_name_that_are_met_at_once_are_hosts_each_and_the_head_has_the_plain_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = Hosts()
    head = node("z", address="10.0.0.1")
    head["Resources"][HEAD] = 1.0
    monkeypatch.setattr(ray, "nodes", lambda: [node("a"), head, node("b", address="10.0.0.3")])
    await hosts._look()
    assert {host.name: host.address for host in hosts.all()} == {
        "w": "10.0.0.1",
        "w-10.0.0.2": "10.0.0.2",
        "w-10.0.0.3": "10.0.0.3",
    }


class Lacking(Agent):
    """An agent that could not be made, since its node lacks a package."""

    def future(self) -> "Future[dict[str, Any]]":
        future: Future[dict[str, Any]] = Future()
        missing = ModuleNotFoundError("No module named 'docker'")
        cause = ray.exceptions.RayTaskError("HostAgent.__init__", f"ModuleNotFoundError: {missing}", missing)
        future.set_exception(ray.exceptions.ActorDiedError(cause))
        return future


async def test_a_node_that_lacks_the_docker_package_says_so_and_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    class Directory(Hosts):
        def _agent_on(self, node_id: str) -> Any:
            made.append(node_id)
            return Lacking(node_id, self.living)

    hosts = Directory()
    monkeypatch.setattr(ray, "nodes", lambda: [node("a")])
    async with asyncio.timeout(30):
        while not hosts.all() or hosts.all()[0].docker is None:
            await hosts._look()
            await asyncio.sleep(0.02)
    host = hosts.all()[0]
    assert host.problem == "Ray's Python on host w lacks the package 'docker': pip install docker"
    for _ in range(5):
        await hosts._look()
        await asyncio.sleep(0.02)
    assert made == ["a"]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"cluster_id": "ours", "folder_error": None}, None),
        ({"cluster_id": "other", "folder_error": None}, "/r on host w is the shared folder of another installation"),
        ({"cluster_id": None, "folder_error": "The shared folder is not at /r on host w: x"}, "The shared folder is"),
    ],
)
async def test_a_host_runs_jobs_only_with_the_heads_shared_folder(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], problem: str | None
) -> None:
    hosts = Hosts()
    hosts.cluster_id = "ours"
    monkeypatch.setattr(ray, "nodes", lambda: [node("a")])
    await hosts._look()
    info: Any = {"hostname": "w", "docker": True, "docker_error": None, "gpus": [], **found}
    hosts._learn("a", info)
    said = hosts.all()[0].problem
    assert said is None if problem is None else (said or "").startswith(problem)


async def test_a_node_whose_agent_never_answers_does_not_hold_up_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts()
    hosts._options = Options("/r", "/r", agent_timeout_s=0.1)
    monkeypatch.setattr(ray, "nodes", lambda: [node("silent")])
    async with asyncio.timeout(30):
        while not hosts.settled.is_set():
            await hosts._look()
            await asyncio.sleep(0.02)
    assert not hosts.all()[0].online
