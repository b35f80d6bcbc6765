"""How the API reaches the datasets deployment."""

from typing import Any, Final

from deployments.calls import call
from workers.common.clock import Deadline
from workers.common.errors import Unavailable
from workers.datasets.builds.options import DatasetOptions

#: Beside MongoDB's own timeouts: the way to the replica and back, on a machine that is busy.
_MARGIN_S: Final = 10.0
#: Without an index on `timestamp`, finding a site's time takes a scan of each building.
_DATES_S: Final = 300.0
#: How long one call waits for a build; then the next one does.
_WAIT_S: Final = 20.0


class DatasetsClient:
    """Builds, through a handle of the deployment. Every method raises Unavailable where it does not answer in time."""

    def __init__(self, handle: Any, options: DatasetOptions) -> None:
        self._handle = handle
        self._options = options

    async def start(self, body: dict[str, Any]) -> dict[str, Any]:
        """Begin the build that a request's body asks for. Raises InvalidInput, NotFound, Conflict."""
        sites = self._options.sites
        started: dict[str, Any] = await self._call(
            "start", body, limit=2 * sites.mongo_timeout_s + _MARGIN_S, what="a build"
        )
        return started

    async def wait(self, name: str) -> dict[str, Any]:
        """What a build made (`name, rows, warnings`), once it has ended; raises what it ended with."""
        deadline = Deadline(self._options.dataset_build_timeout_s * 2 + _MARGIN_S)
        while True:
            outcome: dict[str, Any] | None = await self._call(
                "wait", name, _WAIT_S, limit=_WAIT_S + _MARGIN_S, what=f"dataset {name!r}"
            )
            if outcome is not None:
                return outcome
            if deadline.passed():
                raise Unavailable(f"The build of {name!r} has not ended within {deadline.seconds:g} s", "build_timeout")

    async def status(self, name: str) -> dict[str, Any]:
        """What is known of a dataset's build, running or ended. Raises NotFound."""
        status: dict[str, Any] = await self._call("status", name, limit=_MARGIN_S, what=f"dataset {name!r}")
        return status

    async def cancel(self, name: str) -> dict[str, Any]:
        """Ask a build to end. Raises NotFound."""
        status: dict[str, Any] = await self._call("cancel", name, limit=_MARGIN_S, what=f"dataset {name!r}")
        return status

    async def dates_available(self, site: str) -> list[dict[str, Any]]:
        """The time that each building of a site has documents of. Raises NotFound."""
        dates: list[dict[str, Any]] = await self._call("dates_available", site, limit=_DATES_S, what=f"site {site!r}")
        return dates

    async def _call(self, method: str, *args: Any, limit: float, what: str) -> Any:
        return await call(self._handle, method, *args, limit_s=limit, deployment="datasets", what=what)
