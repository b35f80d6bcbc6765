"""A head in a container, started by the command that the documentation gives."""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from scripts.harness.api import Api, eventually
from scripts.stack.plan import PROJECT
from scripts.stack.processes import Kept
from workers.common import names
from workers.common.layout import Layout

IMAGE: Final = "opeva-backend:latest"
_DOCUMENT: Final = PROJECT / "docs" / "operations.md"
_START_DEADLINE_S: Final = 900


@dataclass(frozen=True)
class Head:
    """A head's container, whose shared folder is `folder` on this machine."""

    container: Container
    folder: Path

    @property
    def name(self) -> str:
        """The container's, which is its network's too."""
        return str(self.container.name)

    @property
    def layout(self) -> Layout:
        return Layout(self.folder)

    def api(self) -> Api:
        """A client of its API, at the port that Docker gave it."""
        self.container.reload()
        published = self.container.ports["8000/tcp"]
        assert published, "the API's port is not published"
        port = published[0]["HostPort"]
        return Api(f"http://127.0.0.1:{port}")

    def wait_until_healthy(self) -> None:
        """Wait until Docker says that the container is healthy, and its host is ready for jobs."""

        def health() -> str:
            self.container.reload()
            state = self.container.attrs["State"]
            assert state["Running"], self.container.logs(tail=50).decode()
            return str(state["Health"]["Status"])

        eventually(health, lambda status: status == "healthy", what="the head's health", deadline=_START_DEADLINE_S)


def documented_command(**replacements: str) -> list[str]:
    """The `docker run` of the head as the documentation gives it, with texts in it replaced (each must be there)."""
    found = re.search(r"^(docker run -d --name opeva-head .*?)\n```", _DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{_DOCUMENT} gives no docker run of the head"
    text = found[1].replace("\\\n", " ")
    for old, new in replacements.items():
        assert old in text, f"{_DOCUMENT}: no {old!r} in {text}"
        text = text.replace(old, new)
    return shlex.split(text)


def run_image(options: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image with `docker run` options to its end."""
    command = ["docker", "run", "--rm", *options, IMAGE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def running_head(folder: Path, name: str, *options: str, socket: bool = True) -> Iterator[Head]:
    """A head by the documented command, on a network of its own; gone at the end with its jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = "-v /var/run/docker.sock:/var/run/docker.sock"
    command = documented_command(
        **{
            "opeva-head": name,
            "--restart unless-stopped": shlex.join(options),
            "opeva_network": name,
            "-p 8000:8000": "-p 127.0.0.1::8000",
            "-p 127.0.0.1:8265:8265": "",
            "-v /opt/opeva_shared_data:": f"-v {folder}:",
            **({} if socket else {mount: ""}),
        }
    )
    remove = [
        f"docker rm -f {name}",
        f"sh -c 'docker ps -aq --filter label={names.LABEL_CLUSTER}=$(cat {folder}/.opeva/cluster_id) "
        "| xargs -r docker rm -f'",
        f"docker network rm {name}",
    ]
    sweeper = Kept(f"sweeper-{name}", folder.parent, f"sweeper-{name}")
    client = docker.from_env(timeout=60)
    with ExitStack() as undo:
        undo.callback(client.close)
        # Cleans up after a killed session too.
        sweeper.start(["sleep", "infinity"], dict(os.environ), owner=os.getpid(), finally_=remove)
        undo.callback(sweeper.stop)
        subprocess.run(["docker", "network", "create", name], check=True, timeout=60, capture_output=True)
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        head = Head(client.containers.get(name), folder)
        undo.callback(_end, head.container)
        head.wait_until_healthy()
        yield head


def _end(container: Container) -> None:
    with contextlib.suppress(NotFound):
        container.stop(timeout=60)
