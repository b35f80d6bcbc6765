"""What a host is asked about itself every few seconds: its Docker engine, the shared folder, its GPUs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from workers.common.clock import Stopwatch
from workers.common.layout import Layout
from workers.host.engine import UNREACHABLE, EngineError, connect, engine_here, hostname, unavailable

if TYPE_CHECKING:
    from workers.host.agent_answers import EngineFacts, FolderFacts

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: For this long, an answer holds without asking again.
_FRESH_S: Final = 2.0
#: An answer must be there before the agent's caller gives up.
_DEADLINE_S: Final = 8.0
_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")


class Fact(Generic[T]):
    """Something that takes time to find out: known for a while, and found out by one thread at a time.

    `late` makes the answer where finding out takes longer than `_DEADLINE_S`.
    """

    def __init__(self, threads: ThreadPoolExecutor, find: Callable[[], T], late: Callable[[], T]) -> None:
        self._threads = threads
        self._find = find
        self._late = late
        self._known: tuple[T, Stopwatch] | None = None
        self._asking: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The answer, at most `_FRESH_S` old; callers that come while it is being found share it."""
        if self._known is not None and self._known[1].elapsed() <= _FRESH_S:
            return self._known[0]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().run_in_executor(self._threads, self._find)
        try:
            found = await asyncio.wait_for(asyncio.shield(self._asking), _DEADLINE_S)
        except TimeoutError:
            found = self._late()
        self._known = found, Stopwatch()
        return found


def engine_fact(threads: ThreadPoolExecutor) -> Fact[EngineFacts]:
    """What the host's Docker engine says of itself."""
    return Fact(threads, _engine, lambda: _no_engine(unavailable(TimeoutError(f"no answer in {_DEADLINE_S:g} s"))))


def folder_fact(threads: ThreadPoolExecutor, root: str) -> Fact[FolderFacts]:
    """Which installation's shared folder the host has at `root`."""
    return Fact(threads, lambda: _folder(root), lambda: _no_folder(root, f"no answer in {_DEADLINE_S:g} s"))


def gpus() -> list[str]:
    """The device ids that the NVIDIA driver has."""
    try:
        return [str(number) for number, _ in enumerate(sorted(_NVIDIA.iterdir()))]
    except OSError:
        # No NVIDIA driver here.
        return []


def _engine() -> EngineFacts:
    try:
        engine = connect(_DEADLINE_S)
        facts = engine.client.info()
    except EngineError as error:
        return _no_engine(error)
    except UNREACHABLE as error:
        return _no_engine(unavailable(error))
    return {
        "docker": True,
        "docker_error": None,
        "docker_here": True,
        "docker_version": engine.version,
        "ncpu": facts.get("NCPU"),
        "memory": facts.get("MemTotal"),
    }


def _no_engine(error: EngineError) -> EngineFacts:
    logger.info("%s", error.detail)
    return {
        "docker": False,
        "docker_error": error.detail,
        "docker_here": engine_here(),
        "docker_version": None,
        "ncpu": None,
        "memory": None,
    }


def _folder(root: str) -> FolderFacts:
    try:
        found = Layout(Path(root)).cluster_id.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        why = "there is no .opeva/cluster_id in it" if Path(root).is_dir() else "there is no such folder"
        return _no_folder(root, why)
    except OSError as error:
        return _no_folder(root, error.strerror or str(error))
    return {"cluster_id": found, "folder_error": None}


def _no_folder(root: str, why: str) -> FolderFacts:
    return {"cluster_id": None, "folder_error": f"The shared folder is not at {root} on host {hostname()}: {why}"}
