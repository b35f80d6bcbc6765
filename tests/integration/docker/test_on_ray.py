"""The runner as a Ray task and the host agent as a Ray actor, on the session's cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError, TaskCancelledError

from scripts.stack import Stack
from tests.integration.docker.installation import Installation, until
from workers.host.engine import hostname
from workers.host.remote import agent_class, runner_function

_NAMESPACE = "test-runner"
_WITHIN_S = 120.0


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> Iterator[None]:
    """This process as a driver of the session's cluster."""
    ray.init(address=stack.ray_address, namespace=_NAMESPACE, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def supervisor(cluster: None) -> Iterator[Any]:
    """An actor that answers claims as a supervisor does."""

    class Supervisor:
        def __init__(self) -> None:
            self.claims: list[tuple[str, int, str]] = []

        async def claim(self, job_id: str, attempt: int, node_id: str) -> bool:
            self.claims.append((job_id, attempt, node_id))
            return attempt == 1

        async def asked(self) -> list[tuple[str, int, str]]:
            return self.claims

    actor: Any = ray.remote(num_cpus=0)(Supervisor)
    handle = actor.options(name="supervisor").remote()
    yield handle
    ray.kill(handle)


def _send(spec: Any) -> Any:
    supervised = {**spec, "supervisor": {"name": "supervisor", "namespace": _NAMESPACE}}
    # Without a CPU: other tests' jobs may hold them all.
    return runner_function().options(num_cpus=0, name="simulation test").remote(supervised)


def _take(runner: Any) -> dict[str, Any]:
    event: dict[str, Any] = ray.get(next(runner), timeout=_WITHIN_S)
    return event


def _take_until(runner: Any, kind: str) -> dict[str, Any]:
    while (event := _take(runner))["event"] != kind:
        pass
    return event


def test_an_attempt_asks_for_its_claim_and_its_container_stays_until_the_exit_is_seen_to(
    installation: Installation, supervisor: Any
) -> None:
    spec = installation.spec("echo words; exit 3")
    runner = _send(spec)
    placed = _take(runner)
    assert placed["event"] == "placed"
    assert placed["hostname"] == hostname()
    assert _take_until(runner, "exited")["exit_code"] == 3
    assert ray.get(supervisor.asked.remote(), timeout=_WITHIN_S) == [(spec["job_id"], 1, placed["node_id"])]
    # The event is taken; whoever took it may still be writing it down.
    assert len(installation.containers(spec)) == 1
    assert _take(runner)["event"] == "exit_taken"
    with pytest.raises(StopIteration):
        next(runner)
    assert installation.containers(spec) == []
    assert installation.log(spec) == b"words\n"


def test_a_claim_that_is_denied_or_that_nobody_answers_creates_nothing(
    installation: Installation, supervisor: Any
) -> None:
    denied = installation.spec("true", attempt=2)
    assert _take_until(_send(denied), "refused")["answered"] is True
    ray.kill(supervisor)
    unanswered = installation.spec("true", claim_timeout_s=2.0)
    assert _take_until(_send(unanswered), "refused")["answered"] is False
    assert installation.containers() == []


def test_a_cancelled_runner_leaves_its_container_to_the_one_that_adopts_it(
    installation: Installation, supervisor: Any
) -> None:
    spec = installation.spec("until [ -e /data/go ]; do sleep 0.05; done; seq 1 1000; exit 4")
    runner = _send(spec)
    container = _take_until(runner, "running")["container_id"]
    ray.cancel(runner, force=False)
    with pytest.raises((TaskCancelledError, RayTaskError)):
        _take_until(runner, "exited")
    assert installation.containers(spec)[0]["State"]["Running"]
    adopting = _send({**spec, "mode": "adopt"})
    assert _take_until(adopting, "running")["container_id"] == container
    (installation.root / "go").touch()
    assert _take_until(adopting, "exited")["exit_code"] == 4
    assert installation.log(spec) == b"".join(b"%d\n" % n for n in range(1, 1001))
    assert _take(adopting)["event"] == "exit_taken"
    until(lambda: installation.containers(spec) == [], "the container's removal")


def test_the_host_agent_answers_as_an_actor(installation: Installation, cluster: None) -> None:
    agent = agent_class().remote("v1")
    try:
        info = ray.get(agent.info.remote(), timeout=_WITHIN_S)
        assert (info["docker"], info["version"], info["hostname"]) == (True, "v1", hostname())
        assert info["node_id"] in {node["NodeID"] for node in ray.nodes()}
        listing = ray.get(agent.listing.remote(installation.cluster_id), timeout=_WITHIN_S)
        assert listing == {"ok": True, "error": None, "containers": []}
        gone = ray.get(agent.delete_tree.remote(str(Path("/nonexistent/job")), "none", "/nonexistent/job"))
        assert gone == {"ok": True, "error": None}
    finally:
        ray.kill(agent)
