"""An installation of its own for each test, on the real Docker engine; nothing of it outlives the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.harness.images import busybox_image
from tests.integration.docker.installation import Installation
from tests.integration.docker.proxy import DockerProxy, engine_socket
from workers.host.engine import connect


@pytest.fixture(scope="session", autouse=True)
def image() -> str:
    return busybox_image()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A shared root with a random cluster id."""
    installation = Installation(tmp_path / "root", f"test-{uuid.uuid4()}")
    installation.create()
    yield installation
    installation.remove_containers()


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerProxy]:
    """A way to the engine that can fail. What this process does with Docker from here on goes through it."""
    engine = connect(60.0)
    with DockerProxy(tmp_path / "docker.sock", engine_socket()) as proxy:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
        monkeypatch.setattr("workers.host.engine._kept.engine", None)
        yield proxy
    monkeypatch.setattr("workers.host.engine._kept.engine", engine)
