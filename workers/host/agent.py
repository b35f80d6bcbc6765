"""The host agent: what must be done on a host without waiting for a slot there. One asynchronous actor per Ray node."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from docker.errors import APIError

from workers.common.clock import Deadline
from workers.common.names import LABEL_CLUSTER
from workers.host.containers import find, holders, listing, remove, stop, stop_job
from workers.host.engine import UNREACHABLE, Engine, EngineError, cause, connect, hostname, inspect, unavailable
from workers.host.facts import engine_fact, folder_fact, gpus
from workers.host.images import pull
from workers.host.job_tree import remove_job_tree

if TYPE_CHECKING:
    from workers.host.agent_answers import (
        Holders,
        HostInfo,
        Listing,
        Pulled,
        Removed,
        StopAnswer,
        TreeRemoved,
    )

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CALL_S: Final = 10.0
_PULL_S: Final = 1800.0
_REMOVE_S: Final = 20.0
_THREADS: Final = 16


class HostAgent:
    """Answers for one host's Docker engine. Each method gives plain data, also about what went wrong there.

    Blocking calls run in the agent's own threads, each with a deadline, so that a stuck engine stops no other answer.
    """

    def __init__(self, version: str = "", root: str = "", *, node_id: str = "", address: str = "") -> None:
        """`version`: of this code, as `info` gives it; `root`: the shared folder; the others: Ray's, of this node."""
        self._version = version
        self._node_id = node_id
        self._address = address
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")
        # A probe must be answered even while each of the others waits for a container to stop.
        self._probe_threads = ThreadPoolExecutor(2, thread_name_prefix="probe")
        self._engine = engine_fact(self._probe_threads)
        self._folder = folder_fact(self._probe_threads, root)

    async def info(self) -> HostInfo:
        """This host, its engine, and the shared folder as it sees it."""
        engine, folder = await asyncio.gather(self._engine.get(), self._folder.get())
        return {
            "hostname": hostname(),
            "address": self._address,
            "node_id": self._node_id,
            "version": self._version,
            "pid": os.getpid(),
            "gpus": gpus(),
            **engine,
            **folder,
        }

    async def listing(self, cluster_id: str) -> Listing:
        """The installation's containers."""
        try:
            found = await self._docker(lambda engine: listing(engine, cluster_id), _CALL_S * 2)
        except EngineError as error:
            return {"ok": False, "error": error.detail, "containers": []}
        return {"ok": True, "error": None, "containers": found}

    async def holders(self, host_root: str) -> Holders:
        """The running containers, of whichever installation, that use a shared root."""
        try:
            found = await self._docker(lambda engine: holders(engine, host_root), _CALL_S * 2)
        except EngineError as error:
            return {"containers": [], "error": error.detail}
        return {"containers": found, "error": None}

    async def stop(self, cluster_id: str, job_id: str, grace_s: float, kill_deadline_s: float) -> StopAnswer:
        """Stop a job's container (TERM, `grace_s`, KILL) and confirm that it has ended; removes none that has started.

        May be called again, also while a first call runs.
        """
        try:
            return await self._docker(
                lambda engine: stop_job(engine, cluster_id, job_id, grace_s, kill_deadline_s),
                grace_s + kill_deadline_s + 3 * _CALL_S,
            )
        except EngineError as error:
            return {
                "outcome": "docker_unavailable",
                "detail": error.detail,
                "exit_code": None,
                "oom_killed": None,
                "started_at": None,
                "finished_at": None,
            }

    async def remove(self, cluster_id: str, job_id: str) -> Removed:
        """Remove a job's containers, running or not."""
        return await self._removal(lambda engine: [one["id"] for one in find(engine, job_id, cluster_id)], None)

    async def sweep(self, cluster_id: str, container_ids: list[str], grace_s: float) -> Removed:
        """Stop (with `grace_s`) and remove these containers, as far as they are the installation's."""

        def ours(engine: Engine) -> list[str]:
            seen = [inspect(engine.client, container_id) for container_id in container_ids]
            return [one["id"] for one in seen if one is not None and one["labels"].get(LABEL_CLUSTER) == cluster_id]

        return await self._removal(ours, grace_s)

    async def pull(self, image: str, timeout_s: float = _PULL_S) -> Pulled:
        """Pull an image."""
        try:
            await self._docker(lambda engine: pull(engine, image, timeout_s), timeout_s + 2 * _CALL_S)
        except EngineError as error:
            return {"ok": False, "reason": error.reason, "error": error.detail}
        return {"ok": True, "reason": None, "error": None}

    async def delete_tree(self, path: str, image: str, host_path: str) -> TreeRemoved:
        """Remove the folder `path`, which a root container may have written.

        Where this process may not, a container of `image` does it; `host_path` is the folder as the engine sees it.
        """

        def work() -> str | None:
            return remove_job_tree(Path(path), image, host_path, _CALL_S * 6)

        try:
            error = await self._in_thread(work, _CALL_S * 12)
        except EngineError as failure:
            error = failure.detail
        return {"ok": error is None, "error": error}

    async def _removal(self, which: Callable[[Engine], list[str]], grace_s: float | None) -> Removed:
        removed: list[str] = []

        def work(engine: Engine) -> str | None:
            for container_id in which(engine):
                if grace_s is not None:
                    stop(engine, container_id, grace_s, _REMOVE_S)
                if not remove(engine, container_id, Deadline(_REMOVE_S)):
                    return f"Docker on host {hostname()} did not remove container {container_id[:12]}"
                removed.append(container_id)
            return None

        try:
            error = await self._docker(work, (grace_s or 0) + 3 * _REMOVE_S)
        except EngineError as failure:
            error = failure.detail
        return {"removed": list(removed), "error": error}

    async def _docker(self, work: Callable[[Engine], T], timeout_s: float) -> T:
        """`work` in a thread with the engine. Raises EngineError, also if that takes longer than `timeout_s`."""

        def call() -> T:
            try:
                return work(connect(_CALL_S))
            except APIError as error:
                raise EngineError("docker_unavailable", f"Docker on host {hostname()}: {cause(error)}") from error
            except UNREACHABLE as error:
                raise unavailable(error) from error

        return await self._in_thread(call, timeout_s)

    async def _in_thread(self, call: Callable[[], T], timeout_s: float) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError as error:
            raise unavailable(TimeoutError(f"no answer in {timeout_s:g} s")) from error
