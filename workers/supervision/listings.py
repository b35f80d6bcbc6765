"""What containers of ours a host has: one list for all who ask at the same time."""

import asyncio
import logging
from dataclasses import dataclass, field

from workers.common.clock import Stopwatch
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.host.agent_answers import ListedContainer
from workers.supervision.hosts import Host, HostDirectory

logger = logging.getLogger(__name__)

#: A list serves those who ask within this time of its making.
FRESH_S = 0.5


@dataclass(frozen=True)
class _Asked:
    """One question to a host's agent."""

    node_id: str
    answer: asyncio.Task[list[ListedContainer] | None]
    since: Stopwatch = field(default_factory=Stopwatch)


class Listings:
    """The containers of this installation by host. After a restart many jobs ask at once, and one list answers all."""

    def __init__(self, hosts: HostDirectory, options: Options, cluster_id: str) -> None:
        self._hosts = hosts
        self._options = options
        self._cluster_id = cluster_id
        self._asked: dict[str, _Asked] = {}

    async def of(self, host: Host, *, fresh: bool = False) -> list[ListedContainer] | None:
        """The host's containers as its agent lists them; None if it can't say.

        With `fresh` the list is one that was begun after this call.
        """
        last = self._asked.get(host.name)
        if last is not None and last.node_id != host.node_id:
            last = None
        if last is not None and fresh and not last.answer.done():
            await asyncio.shield(last.answer)
            # Another caller that waited for that end may have asked anew already, which is after this call too.
            newer = self._asked.get(host.name)
            if newer is not last and newer is not None and newer.node_id == host.node_id:
                return await asyncio.shield(newer.answer)
        elif last is not None and not fresh and (not last.answer.done() or last.since.elapsed() < FRESH_S):
            return await asyncio.shield(last.answer)
        asked = self._asked[host.name] = _Asked(host.node_id, asyncio.create_task(self._ask(host)))
        return await asyncio.shield(asked.answer)

    async def _ask(self, host: Host) -> list[ListedContainer] | None:
        timeout_s = self._options.docker_timeout_s + self._options.agent_timeout_s
        try:
            answer = await self._hosts.call(host, timeout_s, HostAgent.listing, self._cluster_id)
        except Exception as error:
            # A host that can't be asked is not a host without containers: None says that nothing is known.
            logger.warning("The containers of host %s could not be listed: %s", host.name, error)
            return None
        if not answer["ok"]:
            logger.warning("Docker on host %s could not list its containers: %s", host.name, answer["error"])
            return None
        return answer["containers"]
