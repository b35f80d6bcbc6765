"""The connection to this host's Docker engine, and its errors in the product's words."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

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


#: Bytes asked of the socket at once; it gives what is there.
_BLOCK: Final = 256 * 1024


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


class EngineStreamError(OSError):
    """The stream ended before the answer did, or the engine broke it off."""


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

    # -- routes for which docker-py has no call that does: the only place that uses what it keeps private

    def post(
        self, route: str, container_id: str, *, timeout: float, params: Mapping[str, object] | None = None
    ) -> None:
        """Call e.g. `/containers/{0}/start` with a container's id. Raises what docker-py raises."""
        response = self.client.post(self.client._url(route, container_id), params=params, timeout=timeout)
        self.client._raise_for_status(response)

    def open(
        self,
        method: Literal["GET", "POST"],
        route: str,
        *names: str,
        params: Mapping[str, object],
        timeout: float | tuple[float, float | None],
        headers: Mapping[str, str | bytes] | None = None,
    ) -> EngineStream:
        """The answer of a route as a stream; `names` fill `{0}` in it. Raises what docker-py raises.

        `timeout` is in seconds, for the connection and each block, or for one and the other (None: no limit).
        """
        url = self.client._url(route, *names)
        response = self.client.request(method, url, params=params, headers=headers, stream=True, timeout=timeout)
        self.client._raise_for_status(response)
        return EngineStream(response)


class EngineStream:
    """An open answer of the engine, as blocks of bytes as soon as they come."""

    def __init__(self, response: Any) -> None:
        self._response = response
        # The chunks are decoded here, a socket's worth at a time: the library would do so line by line.
        self._file = response.raw._fp.fp
        self._chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def blocks(self) -> Iterator[bytes]:
        """What comes, as soon as it comes. Raises EngineStreamError if the stream ends before its own end mark."""
        pending = b""
        ended = not self._chunked
        while block := self._file.read1(_BLOCK):
            if not self._chunked:
                yield block
                continue
            data, pending, ended = dechunk(pending + block if pending else block)
            if data:
                yield data
            if ended:
                return
        if not ended:
            raise EngineStreamError("The engine closed its answer before the end")

    def interrupt(self) -> None:
        """End `blocks`, from any thread."""
        try:
            self._file.raw._sock.shutdown(SHUT_RDWR)
        except (OSError, AttributeError, ValueError):
            # It has ended already, or is being closed by its reader.
            return

    def close(self) -> None:
        """Give the connection back; for the thread that reads."""
        self._response.close()


def dechunk(data: bytes) -> tuple[bytes, bytes, bool]:
    """The content of the whole HTTP chunks in `data`, the rest, and whether the last chunk was among them."""
    content: list[bytes] = []
    start = 0
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end].split(b";")[0], 16)
        after = line_end + 2 + size
        if len(data) < after + 2:
            break
        if size == 0:
            return b"".join(content), data[after + 2 :], True
        content.append(data[line_end + 2 : after])
        start = after + 2
    return b"".join(content), data[start:], False


class _PerThread(threading.local):
    """Connections kept between the jobs of one process. Travels empty when this module is sent by value."""

    engine: Engine | None = None

    def __reduce__(self) -> tuple[type[_PerThread], tuple[()]]:
        return type(self), ()


_kept = _PerThread()


def hostname() -> str:
    """This host's name, for sentences."""
    return socket.gethostname()


def engine_here() -> bool:
    """Whether this host is meant to have an engine, also one that is down: it is named, or its socket is there."""
    named = os.environ.get("DOCKER_HOST", "")
    if named and not named.startswith("unix://"):
        return True
    return Path(named.removeprefix("unix://") or "/var/run/docker.sock").exists()


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
