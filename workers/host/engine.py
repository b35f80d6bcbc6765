"""The connection to this host's Docker engine, and its errors in the product's words."""

from __future__ import annotations

import logging
import socket
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypedDict

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from workers.jobs.events import Trouble

logger = logging.getLogger(__name__)

#: What a call raises when the engine is away or too slow. NOTE: docker-py's APIError is a requests error too, and so an
#: OSError: it means that the engine did answer, and is always caught first.
UNREACHABLE: Final = (requests.exceptions.RequestException, HTTPError, OSError)


class Container(TypedDict):
    """An inspected container in plain terms. Times are epoch seconds, None for never; `state` is Docker's word."""

    id: str
    name: str
    image: str
    labels: dict[str, str]
    state: str
    running: bool
    exit_code: int | None  # None until it has ended
    oom_killed: bool
    started_at: float | None
    finished_at: float | None


class EngineError(Exception):
    """A Docker call that came to nothing. `detail` is a sentence with the host."""

    def __init__(self, reason: Trouble, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Engine:
    """One thread's connection (a requests session belongs to one thread) and what the engine said of itself."""

    def __init__(self, client: Any, version: str) -> None:
        self.client = client
        self.version = version

    @property
    def drops_newlines(self) -> bool:
        """Whether the `local` log driver loses the newline of a line that it stored in parts (engines before 23)."""
        major = self.version.split(".")[0]
        return major.isdigit() and int(major) < 23

    def again(self, timeout: float) -> Engine:
        """Another connection to the same engine, for another thread; asks the engine nothing."""
        return Engine(_client(timeout, self.client.api_version), self.version)

    def close(self) -> None:
        self.client.close()


class _PerThread(threading.local):
    """Connections kept between the jobs of one process. Travels empty when this module is sent by value."""

    engine: Engine | None = None

    def __reduce__(self) -> tuple[type[_PerThread], tuple[()]]:
        return type(self), ()


_kept = _PerThread()


def hostname() -> str:
    """This host's name, for sentences."""
    return socket.gethostname()


def unavailable(error: BaseException) -> EngineError:
    """The error of an engine that does not answer."""
    return EngineError("docker_unavailable", f"Docker on host {hostname()} does not answer: {cause(error)}")


def cause(error: BaseException) -> str:
    """What went wrong, in the engine's own words where it said any."""
    if isinstance(error, APIError):
        return str(error.explanation or error).strip()
    return " ".join(str(error).split())[:500] or type(error).__name__


def connect(timeout: float) -> Engine:
    """This thread's connection to the engine that the environment names (`DOCKER_HOST`, else the default socket).

    `timeout` is in seconds, for each call. Raises EngineError `docker_unavailable`.
    """
    kept = _kept.engine
    if kept is not None:
        kept.client.timeout = timeout
        try:
            # An engine that was restarted or upgraded meanwhile is met anew.
            kept.client.ping()
        except UNREACHABLE:
            _kept.engine = None
            kept.close()
        else:
            return kept
    try:
        client = _client(timeout, None)
        engine = Engine(client, str(client.version().get("Version", "")))
    except (DockerException, *UNREACHABLE) as error:
        raise unavailable(error) from error
    _kept.engine = engine
    return engine


def _client(timeout: float, version: str | None) -> Any:
    settings: Any = kwargs_from_env()
    api: Any = docker.APIClient
    return api(**settings, timeout=timeout, version=version)


def inspect(client: Any, container: str) -> Container | None:
    """What the engine knows of a container, by id or name, as `describe` puts it; None if it has none such."""
    try:
        return describe(client.inspect_container(container))
    except NotFound:
        return None


def describe(raw: dict[str, Any]) -> Container:
    """What the engine's `inspect` gave, in plain terms."""
    state = raw["State"]
    started, finished = seconds(state["StartedAt"]), seconds(state["FinishedAt"])
    running = bool(state["Running"])
    ended = started is not None and not running
    if running or started is None:
        finished = None
    elif finished is not None:
        # The two are stamped by different clocks' readings: an instant container may seem to end before it began.
        finished = max(finished, started)
    return {
        "id": raw["Id"],
        "name": raw["Name"].lstrip("/"),
        "image": raw["Config"].get("Image", ""),
        "labels": dict(raw["Config"].get("Labels") or {}),
        "state": state["Status"],
        "running": running,
        "exit_code": state["ExitCode"] if ended else None,
        "oom_killed": bool(state.get("OOMKilled")),
        "started_at": started,
        "finished_at": finished,
    }


def seconds(text: str) -> float | None:
    """Docker's time in epoch seconds; its year 1 means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).timestamp()
