"""The sites of MongoDB as a Serve deployment: one client per process, reads that stream.

Short answers come through Serve; documents come through a pipe (`deployments.pipe`), which a slow client holds back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import ray
from ray import serve
from ray.serve import Application

from deployments.interfaces import SiteReads
from deployments.pipe import PipeServer, Ticket
from deployments.placing import replica_of
from workers.sites.client import MongoConnection, Ping
from workers.sites.database import Sites
from workers.sites.history import HistoryQuery, history
from workers.sites.options import SitesOptions
from workers.sites.schemas import Schemas
from workers.sites.streams import RealTimeQuery, blocks, real_time
from workers.sites.windows import Floors

T = TypeVar("T")

#: Calls that wait for MongoDB at once; with it down each holds its thread until the timeout.
_THREADS: Final = 64


class SitesReplica(SiteReads):
    """What a replica does."""

    def __init__(self, options: dict[str, Any], host: str | None = None) -> None:
        self._options = SitesOptions.from_dict(options)
        self._connection = MongoConnection(self._options)
        self._sites = Sites(self._connection)
        self._schemas = Schemas(self._sites)
        self._floors = Floors()
        self._threads = ThreadPoolExecutor(_THREADS, "sites")
        node = host or ray.util.get_node_ip_address()
        self._pipes = PipeServer(node, self._options.site_max_streams, self._options.site_stall_timeout_s)

    async def ping(self) -> Ping:
        return await self._run(self._connection.ping)

    async def names(self) -> list[str]:
        return await self._run(self._sites.names)

    async def schema(self, site: str) -> dict[str, Any]:
        return await self._run(self._schemas.read, site)

    async def create_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        return await self._run(self._schemas.create, site, schema)

    async def update_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        return await self._run(self._schemas.update, site, schema)

    async def open_real_time(self, site: str, query: RealTimeQuery) -> Ticket:
        def opened() -> Ticket:
            stream = real_time(self._connection, self._sites.open(site), query, self._floors)
            return self._pipes.offer(blocks(stream))

        return await self._run(opened)

    async def open_history(self, site: str, query: HistoryQuery) -> Ticket:
        def opened() -> Ticket:
            stream = history(self._connection, self._sites.open(site), query, self._floors)
            return self._pipes.offer(blocks(stream))

        return await self._run(opened)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        """In a thread: pymongo waits. It goes on to its end if the caller goes away, so a write is never half done."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def close(self) -> None:
        """Serve no more streams and let go of MongoDB."""
        self._pipes.close()
        self._connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __del__(self) -> None:
        # What Serve calls when it ends a replica; after a constructor that failed there is nothing to close.
        if hasattr(self, "_pipes"):
            self.close()


_deployment = serve.deployment(
    name="sites",
    health_check_period_s=1,
    # Calls are short, but with MongoDB down each lasts until its timeout.
    max_ongoing_requests=500,
)


def application(options: SitesOptions, code: str | None) -> Application:
    """The deployment, for the API to be bound with; its handle there makes a `SitesClient`. Runs the copy `code`."""
    return replica_of(_deployment, code, "deployments.sites:SitesReplica", options.to_dict())
