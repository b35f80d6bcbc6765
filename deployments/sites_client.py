"""How the API reaches the sites deployment."""

from collections.abc import AsyncGenerator
from typing import Any, Final

from deployments.calls import call
from deployments.pipe import PipeReader, ticket_of
from workers.common.errors import OpevaError
from workers.sites.history import HistoryQuery
from workers.sites.options import SitesOptions
from workers.sites.streams import RealTimeQuery

#: Beside MongoDB's own timeout: the way to the replica and back, on a machine that is busy.
_MARGIN_S: Final = 5.0
#: Calls that use MongoDB more than once, each time within its timeout.
_TIMEOUTS: Final = 2


class SitesClient:
    """The sites, through a handle of the deployment (`handle.<method>.remote(…)` is awaitable).

    Every method raises Unavailable where MongoDB or the deployment does not answer within its time.
    """

    def __init__(self, handle: Any, options: SitesOptions) -> None:
        self._handle = handle
        self._options = options

    async def ping(self) -> dict[str, Any]:
        """`{ok, latency_ms, error}`, whatever happens."""
        try:
            answer: dict[str, Any] = await self._call("ping", what="a ping")
        except OpevaError as error:
            return {"ok": False, "latency_ms": None, "error": error.detail}
        return answer

    async def names(self) -> list[str]:
        """The sites that may be read, sorted."""
        found: list[str] = await self._call("names", what="the list of sites")
        return found

    async def schema(self, site: str) -> dict[str, Any]:
        """A site's schema. Raises NotFound without a site or a schema."""
        found: dict[str, Any] = await self._call("schema", site, what=f"site '{site}'")
        return found

    async def create_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Give a site its schema; returns warnings. Raises Conflict, InvalidInput, TooLarge."""
        warnings: list[str] = await self._call("create_schema", site, schema, what=f"site '{site}'")
        return warnings

    async def update_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Replace a site's schema; returns warnings. Raises NotFound, InvalidInput, TooLarge."""
        warnings: list[str] = await self._call("update_schema", site, schema, what=f"site '{site}'")
        return warnings

    async def real_time(self, site: str, query: RealTimeQuery) -> AsyncGenerator[bytes, None]:
        """The stream of a site's documents, once its first bytes are there. Its `aclose` must be called.

        Raises NotFound without the site or a collection that the query names. While the stream is read, Unavailable
        says that it broke off.
        """
        return await self._fetch("open_real_time", site, query)

    async def history(self, site: str, query: HistoryQuery) -> AsyncGenerator[bytes, None]:
        """The answer of a query of historical data, as `real_time`."""
        return await self._fetch("open_history", site, query)

    async def _fetch(self, method: str, site: str, query: RealTimeQuery | HistoryQuery) -> PipeReader:
        ticket = ticket_of(await self._call(method, site, query, what=f"site '{site}'"))
        options = self._options
        return await PipeReader.fetch(
            ticket,
            connect_timeout_s=options.mongo_timeout_s,
            timeout_s=options.site_stall_timeout_s,
            what=f"site '{site}'",
        )

    async def _call(self, method: str, *args: Any, what: str) -> Any:
        limit = self._options.mongo_timeout_s * _TIMEOUTS + _MARGIN_S
        return await call(self._handle, method, *args, limit_s=limit, deployment="sites", what=what)
