"""Ray's tables kept in a Redis or in a folder: a head that is killed comes back as what it was for the cluster."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.harness.api import Api, eventually, listens
from scripts.harness.jobs import status
from scripts.harness.session import SessionStack
from scripts.stack.plan import PROJECT
from scripts.stack.ports import reserved_base
from scripts.stack.processes import Kept, start_until
from scripts.stack.worker_node import WorkerNode
from tests.faults import kinds
from tests.faults.ledger import Ledger

#: Stacks of their own, each with a second host.
pytestmark = pytest.mark.long


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What tells a head to keep its tables in a Redis, which is empty."""
    subprocess.run([PROJECT / "scripts" / "apt.sh", "redis-server"], check=True, timeout=900)
    with reserved_base() as port:
        kept = Kept("redis", tmp_path / "redis", f"{tmp_path.name}-redis")
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--appendonly", "yes"]
        start_until(
            kept,
            lambda: kept.start(command, dict(os.environ), owner=os.getpid()),
            lambda: listens("127.0.0.1", port),
            60.0,
        )
        yield {"RAY_REDIS_ADDRESS": f"127.0.0.1:{port}"}
        kept.stop()


@pytest.fixture
def rocksdb(tmp_path: Path) -> dict[str, str]:
    """What tells a head to keep its tables in a folder, which is empty."""
    return {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(tmp_path / "tables")}


@pytest.mark.parametrize("kept_in", ["redis", "rocksdb"])
def test_a_killed_head_comes_back_with_its_application_and_its_worker_machines(
    kept_in: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    busybox_image: str,
) -> None:
    for name, value in request.getfixturevalue(kept_in).items():
        monkeypatch.setenv(name, value)
    with (
        SessionStack(tmp_path_factory.mktemp("stack"), owner=os.getpid()) as running,
        WorkerNode(running.stack, running.number, owner=os.getpid()) as host,
        Api(running.stack.api_url) as api,
        Ledger(api, running.stack.layout, [host.docker_url]) as ledger,
    ):
        head = running.stack.ray

        def node() -> list[str]:
            return [str(node["id"]) for node in head.nodes() if node["alive"] and node["address"] == host.address]

        host.load(busybox_image)
        jobs = [ledger.submit(kinds.STOPPED, followers=1, target_host=name) for name in ("local", host.name)]
        ledger.running(*jobs)
        before = node()
        head.kill()
        # Nothing but Ray is started: neither is the application deployed nor does the host join again.
        head.start(running.stack.environment())
        eventually(lambda: [api.get(f"/status/{job}").status_code for job in jobs], lambda seen: seen == [200, 200])
        assert [status(api, job)["status"] for job in jobs] == ["running", "running"]
        assert node() == before
        after = ledger.submit(kinds.FAILING, target_host=host.name)
        assert ledger.settle().problems == []
        assert status(api, after)["exit_code"] == 3
