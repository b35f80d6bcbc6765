"""The container's first process: becomes who it should be, checks the shared folder, runs the role to its end."""

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import docker
import requests
from docker.errors import DockerException

from scripts.container import shared_folder, user
from scripts.container.shared_folder import FolderError
from scripts.stack import Plan, Stack, StackError
from scripts.stack.plan import PROJECT
from workers.common.shared_root import default_shared_root

logger = logging.getLogger("opeva")

_HOME: Final = Path("/home/opeva")
_LOOK_EVERY_S: Final = 2.0


def main(arguments: list[str]) -> int:
    """Run the role that `arguments` name; 0 after an orderly end."""
    logging.basicConfig(level=logging.INFO, format="opeva: %(message)s", stream=sys.stdout)
    signal.signal(signal.SIGTERM, _end)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        # A compose file can't leave a variable out, and Ray would take the empty one for a token.
        if not os.environ.get(name):
            os.environ.pop(name, None)
    role, *options = arguments or ["head"]
    if role not in ("head", "worker"):
        print(f"There is no role {role!r}: say head, or worker --address HOST:PORT", file=sys.stderr)
        return 2
    environment = {**os.environ, "OPEVA_SHARED_ROOT": os.environ.get("OPEVA_SHARED_ROOT") or default_shared_root()}
    try:
        shared_folder.require_mounted(environment["OPEVA_SHARED_ROOT"])
        _become_user(environment, arguments)
        environment.update(_of_engine(environment))
        environment.update(_of_ray(environment))
        if role == "worker":
            _join(environment, options)
        return _head(environment)
    except (FolderError, StackError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _become_user(environment: Mapping[str, str], arguments: list[str]) -> None:
    """Give up root where that is possible: this program is started again then."""
    if os.getuid() != 0:
        return
    chosen = user.choose(Path(environment["OPEVA_SHARED_ROOT"]), _socket(environment), environment)
    if chosen.uid == 0:
        logger.info("Running as root, since %s", chosen.why_root)
        return
    logger.info("Running as user %d, group %d", chosen.uid, chosen.gid)
    run = Path(environment["OPEVA_RUN_DIR"])
    for folder in (run, run.parent):
        os.chown(folder, chosen.uid, chosen.gid)
    user.become(chosen, _HOME, [sys.executable, "-m", "scripts.container", *arguments])


def _socket(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock")


def _of_engine(environment: Mapping[str, str]) -> dict[str, str]:
    """What the host's Docker knows better than this container: the host's name and the host's path of the folder.

    Raises FolderError if jobs would not see the shared folder.
    """
    root = environment["OPEVA_SHARED_ROOT"]
    try:
        client = docker.from_env(timeout=30)
    except DockerException as error:
        logger.info("Without Docker this host runs no jobs (mount /var/run/docker.sock to change that): %s", error)
        return {"OPEVA_DASHBOARD_HOST": environment.get("OPEVA_DASHBOARD_HOST") or "127.0.0.1"}
    try:
        own = shared_folder.own_container(client)
        if own is None:
            raise FolderError("The Docker engine at the socket does not know this container: mount the host's socket")
        host_root = environment.get("OPEVA_HOST_SHARED_ROOT") or shared_folder.path_on_host(root, own) or root
        shared_folder.require_same(client, own["Image"], root, host_root)
        if host_root != root:
            logger.info("%s is %s on the host", root, host_root)
        # On the host's own network the dashboard, which lets anybody run code, is not for others; elsewhere it is
        # Docker that decides who reaches it.
        dashboard = "127.0.0.1" if own["HostConfig"]["NetworkMode"] == "host" else "0.0.0.0"  # noqa: S104
        return {
            "OPEVA_HOST_SHARED_ROOT": host_root,
            "OPEVA_HOST_NAME": environment.get("OPEVA_HOST_NAME") or client.info()["Name"],
            "OPEVA_DASHBOARD_HOST": environment.get("OPEVA_DASHBOARD_HOST") or dashboard,
        }
    except (DockerException, requests.RequestException) as error:
        raise FolderError(f"The Docker engine does not answer any more: {error}") from error
    finally:
        client.close()


def _of_ray(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that Ray needs in a container."""
    memory = os.statvfs("/dev/shm")  # noqa: S108 - it is what Ray uses
    variables = {
        # Ray would take a share of the machine's memory, and a slow file where /dev/shm has not so much.
        "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(int(memory.f_bsize * memory.f_bavail * 0.9)),
        # On a machine that boots, 30 s are not always enough.
        "RAY_raylet_start_wait_time_s": "120",
    }
    if environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH"):
        variables["RAY_AUTH_MODE"] = "token"
    return {name: value for name, value in variables.items() if name not in environment}


def _join(environment: Mapping[str, str], options: list[str]) -> NoReturn:
    script = str(PROJECT / "workers" / "join-ray-worker.sh")
    os.execve("/bin/bash", ["bash", script, "--foreground", *options], dict(environment))  # noqa: S606


def _head(environment: Mapping[str, str]) -> int:
    """Bring Ray and the application up, and stay until told to end or until Ray has ended. Jobs' containers go on."""
    # Ray's processes and the drivers that deploy read their variables from this process.
    os.environ.update(environment)
    stack = Stack(Plan.from_environment())
    stack.up(logger.info)
    logger.info("The API is at port %d, the dashboard at %d", stack.plan.ports.api, stack.plan.ports.dashboard)
    try:
        while stack.ray.alive():
            time.sleep(_LOOK_EVERY_S)
    finally:
        stack.down(logger.info, containers=False)
    print(f"Ray has ended; its log was {stack.ray.log}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
