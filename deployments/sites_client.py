"""How the API reaches the sites deployment."""

from collections.abc import AsyncGenerator
from typing import Any, Final

from deployments.calls import Remote
from deployments.interfaces import SiteReads
from deployments.pipe import PipeReader, Ticket, ticket_of
from workers.common.errors import OpevaError
from workers.sites.client import Ping
from workers.sites.history import HistoryQuery
from workers.sites.options import SitesOptions
from workers.sites.streams import RealTimeQuery

#: Beside MongoDB's own timeout: the way to the replica and back, on a machine that is busy.
_MARGIN_S: Final = 5.0
#: Calls that use MongoDB more than once, each time within its timeout.
_TIMEOUTS: Final = 2


class SitesClient(SiteReads):
    """The sites, through a handle of the deployment (`handle.<method>.remote(…)` is awaitable).

    Every method but `ping` raises Unavailable where MongoDB or the deployment does not answer within its time.
    """

    def __init__(self, handle: Any, options: SitesOptions) -> None:
        self._remote = Remote("sites", handle)
        self._options = options
        self._limit_s = options.mongo_timeout_s * _TIMEOUTS + _MARGIN_S

    async def ping(self) -> Ping:
        try:
            return await self._remote.call(self._limit_s, "a ping", SiteReads.ping)
        except OpevaError as error:
            return {"ok": False, "latency_ms": None, "error": error.detail}

    async def names(self) -> list[str]:
        return await self._remote.call(self._limit_s, "the list of sites", SiteReads.names)

    async def schema(self, site: str) -> dict[str, Any]:
        return await self._remote.call(self._limit_s, f"site '{site}'", SiteReads.schema, site)

    async def create_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        return await self._remote.call(self._limit_s, f"site '{site}'", SiteReads.create_schema, site, schema)

    async def update_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        return await self._remote.call(self._limit_s, f"site '{site}'", SiteReads.update_schema, site, schema)

    async def open_real_time(self, site: str, query: RealTimeQuery) -> Ticket:
        return ticket_of(
            await self._remote.call(self._limit_s, f"site '{site}'", SiteReads.open_real_time, site, query)
        )

    async def open_history(self, site: str, query: HistoryQuery) -> Ticket:
        return ticket_of(await self._remote.call(self._limit_s, f"site '{site}'", SiteReads.open_history, site, query))

    async def real_time(self, site: str, query: RealTimeQuery) -> AsyncGenerator[bytes, None]:
        """The stream of a site's documents, once its first bytes are there. Its `aclose` must be called.

        Raises NotFound without the site or a collection that the query names. While the stream is read, Unavailable
        says that it broke off.
        """
        return await self._fetch(site, await self.open_real_time(site, query))

    async def history(self, site: str, query: HistoryQuery) -> AsyncGenerator[bytes, None]:
        """The answer of a query of historical data, as `real_time`."""
        return await self._fetch(site, await self.open_history(site, query))

    async def _fetch(self, site: str, ticket: Ticket) -> PipeReader:
        options = self._options
        return await PipeReader.fetch(
            ticket,
            connect_timeout_s=options.mongo_timeout_s,
            timeout_s=options.site_stall_timeout_s,
            what=f"site '{site}'",
        )
