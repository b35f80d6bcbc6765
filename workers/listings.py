"""What containers of ours a host has: one list for all who ask at the same time."""

import asyncio
import logging
from typing import Any

from workers.clock import Stopwatch
from workers.hosts import Host, HostDirectory
from workers.options import Options

logger = logging.getLogger(__name__)

#: A list serves those who ask within this time of its making.
FRESH_S = 0.5


class Listings:
    """The containers of this installation by host. After a restart many jobs ask at once, and one list answers all."""

    def __init__(self, hosts: HostDirectory, options: Options, cluster_id: str) -> None:
        self._hosts = hosts
        self._options = options
        self._cluster_id = cluster_id
        self._lists: dict[str, tuple[Stopwatch, asyncio.Task[list[dict[str, Any]] | None]]] = {}

    async def of(self, host: Host, *, fresh: bool = False) -> list[dict[str, Any]] | None:
        """The host's containers as its agent lists them (`workers.agent`); None if it can't say."""
        known = self._lists.get(host.node_id)
        if known is not None and (not known[1].done() or (not fresh and known[0].elapsed() < FRESH_S)):
            return await asyncio.shield(known[1])
        task = asyncio.create_task(self._ask(host))
        self._lists[host.node_id] = (Stopwatch(), task)
        return await asyncio.shield(task)

    async def _ask(self, host: Host) -> list[dict[str, Any]] | None:
        timeout_s = self._options.docker_timeout_s + self._options.agent_timeout_s
        try:
            answer = await self._hosts.call(host, "listing", self._cluster_id, timeout_s=timeout_s)
        except Exception as error:
            # A host that can't be asked is not a host without containers: the caller is told that nothing is known.
            logger.warning("The containers of host %s could not be listed: %s", host.name, error)
            return None
        if not answer["ok"]:
            logger.warning("Docker on host %s could not list its containers: %s", host.name, answer.get("error"))
            return None
        containers: list[dict[str, Any]] = answer["containers"]
        return containers
