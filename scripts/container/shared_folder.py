"""The shared folder as a container of this image meets it: mounted at all, and the one that Docker gives to jobs.

Jobs are started through the host's Docker, whose paths are those of the host. A wrong pair of paths would run jobs on
an empty folder, so it is tried out with a container before anything else starts.
"""

import re
import secrets
from pathlib import Path
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException
from docker.types import Mount

MOUNTS: Final = Path("/proc/self/mountinfo")
_CALL_S: Final = 60
_PROBE: Final = "/probe"


class FolderError(RuntimeError):
    """The shared folder is not as it must be; the message says what to change."""


def require_mounted(root: str, mounts: Path = MOUNTS) -> None:
    """Raise FolderError if `root` lies in the container's own file system, which ends with the container."""
    points = {_unescaped(line.split()[4]) for line in mounts.read_text().splitlines()}
    around = [root, *map(str, Path(root).parents)]
    if not any(path in points for path in around if path != "/"):
        raise FolderError(
            f"Nothing is mounted at {root}: start the container with -v {root}:{root}, "
            "or name the mounted folder in OPEVA_SHARED_ROOT"
        )


def own_container(client: docker.DockerClient, mounts: Path = MOUNTS) -> dict[str, Any] | None:
    """What the engine knows of the container that this process runs in; None if it is no container of this engine."""
    # Docker mounts a few files of its own, whose paths hold the id; the host's name may be anything.
    found = re.search(r"/containers/([0-9a-f]{64})/", mounts.read_text())
    if found is None:
        return None
    try:
        seen: dict[str, Any] = client.api.inspect_container(found[1])
    except docker.errors.NotFound:
        return None
    return seen


def path_on_host(root: str, own: dict[str, Any]) -> str | None:
    """The host's path of `root`, from the container's mounts; None if none of them holds it."""
    holders = [mount for mount in own["Mounts"] if Path(root).is_relative_to(mount["Destination"])]
    if not holders:
        return None
    nearest = max(holders, key=lambda mount: len(mount["Destination"]))
    return str(Path(nearest["Source"]) / Path(root).relative_to(nearest["Destination"]))


def require_same(client: docker.DockerClient, image: str, root: str, host_root: str) -> None:
    """Raise FolderError unless a container that mounts `host_root` sees what is written to `root` here."""
    name, content = f".opeva-probe-{secrets.token_hex(8)}", secrets.token_hex(16)
    path = Path(root) / name
    try:
        path.write_text(content)
    except OSError as error:
        raise FolderError(f"The shared folder {root} can't be written: {error.strerror}") from error
    try:
        seen = _read_in_container(client, image, host_root, name)
    finally:
        path.unlink(missing_ok=True)
    if seen != content:
        raise FolderError(
            f"{root} in this container is not {host_root} on the host, where jobs would look for their files: mount "
            f"{host_root} at {root}, or set OPEVA_HOST_SHARED_ROOT to the folder of the host that is mounted at {root}"
        )


def _read_in_container(client: docker.DockerClient, image: str, host_root: str, name: str) -> str:
    """The content of the file as a container sees it; empty if it sees none."""
    try:
        container = client.containers.create(
            image,
            [f"{_PROBE}/{name}"],
            entrypoint="/bin/cat",
            mounts=[Mount(_PROBE, host_root, type="bind", read_only=True)],
            network_mode="none",
            user="0",
        )
        try:
            container.start()
            container.wait(timeout=_CALL_S)
            return str(container.logs(stdout=True, stderr=False).decode(errors="replace")).strip()
        finally:
            container.remove(force=True)
    except docker.errors.APIError as error:
        if "bind source path does not exist" in str(error.explanation):
            return ""
        raise FolderError(f"Docker could not try out the mount of {host_root}: {error.explanation}") from error
    except (DockerException, requests.RequestException) as error:
        raise FolderError(f"Docker could not try out the mount of {host_root}: {error}") from error


def _unescaped(path: str) -> str:
    """A path of mountinfo, where spaces and the like are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
