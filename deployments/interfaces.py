"""What the deployments of sites and datasets can be asked: implemented by each one's replica and by its client.

The errors of the domain are the same on both sides. A client's methods raise Unavailable also where the deployment does
not answer.
"""

from typing import Any, Protocol

from deployments.pipe import Ticket
from workers.datasets.builds.build import BuildOutcome, BuildStatus
from workers.datasets.reading.extent import AvailableDates
from workers.sites.client import Ping
from workers.sites.history import HistoryQuery
from workers.sites.streams import RealTimeQuery


class SiteReads(Protocol):
    """The sites of MongoDB. Every method but `ping` raises Unavailable where MongoDB does not answer."""

    async def ping(self) -> Ping:
        """Whether MongoDB answers; raises nothing of ours."""
        ...

    async def names(self) -> list[str]:
        """The sites that may be read, sorted."""
        ...

    async def schema(self, site: str) -> dict[str, Any]:
        """A site's schema, as its owner wrote it. Raises NotFound without a site or a schema."""
        ...

    async def create_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Give a site its schema; returns warnings.

        Raises Conflict if there is one already, InvalidInput or TooLarge if MongoDB can't hold it.
        """
        ...

    async def update_schema(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Replace a site's schema; returns warnings.

        Raises NotFound if there is none, InvalidInput or TooLarge if MongoDB can't hold it.
        """
        ...

    async def open_real_time(self, site: str, query: RealTimeQuery) -> Ticket:
        """Where a stream of documents can be fetched. Raises NotFound without the site or a collection of the query."""
        ...

    async def open_history(self, site: str, query: HistoryQuery) -> Ticket:
        """Where an answer of historical data can be fetched. Raises as `open_real_time`."""
        ...


class DatasetBuilds(Protocol):
    """The builds of datasets. Methods raise Unavailable where MongoDB or the storage does not answer."""

    async def start(self, body: dict[str, Any]) -> BuildStatus:
        """Begin the build that a request's body asks for. Raises InvalidInput, NotFound, Conflict."""
        ...

    async def outcome_within(self, name: str, seconds: float) -> BuildOutcome | None:
        """What a build made; None if it goes on after `seconds`.

        Raises what the build ended with, NotFound without a build.
        """
        ...

    async def status(self, name: str) -> BuildStatus:
        """The status of a dataset's build, running or ended. Raises NotFound."""
        ...

    async def cancel(self, name: str) -> BuildStatus:
        """Ask a build to end; one that has ended stays as it is. Raises NotFound."""
        ...

    async def dates_available(self, site: str) -> list[AvailableDates]:
        """The time that each building of a site has documents of. Raises NotFound."""
        ...
