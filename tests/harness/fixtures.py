"""One stack for all tests of a session that need one: Ray, the application, a database, Docker's default engine.

Nothing of it outlives the session, however that ends: see `scripts.harness.session`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from scripts.harness import images
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from scripts.stack import EmbeddedMongo, Stack
from scripts.stack.plan import PROJECT
from scripts.stack.worker_node import WorkerNode


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionStack]:
    """The session's stack with what belongs to it; checks at the end that nothing is left."""
    with SessionStack(tmp_path_factory.mktemp("stack"), owner=os.getpid()) as running:
        yield running


@pytest.fixture(scope="session")
def stack(running: SessionStack) -> Stack:
    """The session's stack, up. A test that ends a part of it brings it back before it returns."""
    return running.stack


@pytest.fixture(scope="session")
def mongo(running: SessionStack) -> EmbeddedMongo:
    """The database that the stack's sites are in."""
    return running.stack.mongo


@pytest.fixture(scope="session")
def second_host(running: SessionStack) -> Iterator[WorkerNode]:
    """A second host of the stack, with an engine of its own that has the busybox image and nothing else."""
    packages = ["iproute2", "iptables"]
    if shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        packages.append("docker.io")
    subprocess.run([PROJECT / "scripts" / "apt.sh", *packages], check=True, timeout=900)
    subprocess.run([PROJECT / "scripts" / "setup.sh", "worker"], check=True, timeout=1800)
    with WorkerNode(running.stack, running.number, owner=os.getpid()) as host:
        host.load(images.busybox_image())
        with Api(running.stack.api_url) as api:
            eventually(
                lambda: api.json("/hosts")["hosts"].get(host.name, {}),
                lambda seen: seen.get("online") and seen.get("docker"),
                what="the second host among the hosts",
            )
        yield host


@pytest.fixture
def api(stack: Stack) -> Iterator[Api]:
    """A client of the stack's API."""
    with Api(stack.api_url) as client:
        yield client


@pytest.fixture(scope="session")
def busybox_image() -> str:
    """The tag of a tiny image for jobs that are scripts."""
    return images.busybox_image()


@pytest.fixture(scope="session")
def image() -> str:
    """The tag of the simulator's image, built if need be."""
    subprocess.run([PROJECT / "scripts" / "build-image.sh"], check=True, timeout=1800, cwd=PROJECT)
    return "opeva-simulator:latest"
