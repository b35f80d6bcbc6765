"""How the API reaches the datasets deployment."""

from typing import Any, Final

from deployments.calls import Remote
from deployments.interfaces import DatasetBuilds
from workers.common.clock import Deadline
from workers.common.errors import ErrorCode, Unavailable
from workers.datasets.builds.build import BuildOutcome, BuildStatus
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.reading.extent import AvailableDates

#: Beside MongoDB's own timeouts: the way to the replica and back, on a machine that is busy.
_MARGIN_S: Final = 10.0
#: Without an index on `timestamp`, finding a site's time takes a scan of each building.
_DATES_S: Final = 300.0
#: How long one call waits for a build; then the next one does.
_WAIT_S: Final = 20.0


class DatasetsClient(DatasetBuilds):
    """Builds, through a handle of the deployment. Every method raises Unavailable where it does not answer in time."""

    def __init__(self, handle: Any, options: DatasetOptions) -> None:
        self._remote = Remote("datasets", handle)
        self._options = options

    async def start(self, body: dict[str, Any]) -> BuildStatus:
        limit_s = 2 * self._options.sites.mongo_timeout_s + _MARGIN_S
        return await self._remote.call(limit_s, "a build", DatasetBuilds.start, body)

    async def wait(self, name: str) -> BuildOutcome:
        """What a build made, once it has ended. Raises what it ended with."""
        deadline = Deadline(self._options.dataset_build_timeout_s * 2 + _MARGIN_S)
        while True:
            outcome = await self.outcome_within(name, _WAIT_S)
            if outcome is not None:
                return outcome
            if deadline.passed():
                raise Unavailable(
                    f"The build of {name!r} has not ended within {deadline.seconds:g} s", ErrorCode.BUILD_TIMEOUT
                )

    async def outcome_within(self, name: str, seconds: float) -> BuildOutcome | None:
        limit_s = seconds + _MARGIN_S
        return await self._remote.call(limit_s, f"dataset {name!r}", DatasetBuilds.outcome_within, name, seconds)

    async def status(self, name: str) -> BuildStatus:
        return await self._remote.call(_MARGIN_S, f"dataset {name!r}", DatasetBuilds.status, name)

    async def cancel(self, name: str) -> BuildStatus:
        return await self._remote.call(_MARGIN_S, f"dataset {name!r}", DatasetBuilds.cancel, name)

    async def dates_available(self, site: str) -> list[AvailableDates]:
        return await self._remote.call(_DATES_S, f"site {site!r}", DatasetBuilds.dates_available, site)
