"""The building of datasets as a Serve deployment: one replica, which has the registry of builds.

It does little itself: builds are Ray Data pipelines whose tasks run wherever the package is. Datasets that are there
already need no deployment: the API reads them from the shared storage.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from ray import serve
from ray.exceptions import RayError
from ray.serve import Application

from deployments.interfaces import DatasetBuilds
from deployments.placing import replica_of
from workers.common.errors import ErrorCode, NotFound
from workers.datasets.builds import pipeline
from workers.datasets.builds.build import BuildOutcome, BuildStatus
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.builds.registry import BuildRegistry
from workers.datasets.reading.extent import AvailableDates

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Calls that wait for MongoDB or for a build at once.
_THREADS: Final = 64


class DatasetsReplica(DatasetBuilds):
    """What the replica does."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._builds = BuildRegistry(DatasetOptions.from_dict(options))
        self._threads = ThreadPoolExecutor(_THREADS, "datasets")
        self._builds.take_up()
        threading.Thread(target=_warm, name="warm", daemon=True).start()

    async def start(self, body: dict[str, Any]) -> BuildStatus:
        return (await self._run(self._builds.start, body)).as_status()

    async def outcome_within(self, name: str, seconds: float) -> BuildOutcome | None:
        build = self._builds.get(name)
        if build is None:
            raise NotFound(f"No dataset {name!r} is being built", ErrorCode.BUILD_NOT_FOUND)
        return build.outcome() if await self._run(build.ended.wait, seconds) else None

    async def status(self, name: str) -> BuildStatus:
        return await self._run(self._builds.status, name)

    async def cancel(self, name: str) -> BuildStatus:
        return await self._run(self._builds.cancel, name)

    async def dates_available(self, site: str) -> list[AvailableDates]:
        return await self._run(self._builds.dates_available, site)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def close(self) -> None:
        """End all builds."""
        self._builds.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __del__(self) -> None:
        # What Serve calls when it ends a replica; after a constructor that failed there is nothing to close.
        if hasattr(self, "_threads"):
            self.close()


def _warm() -> None:
    try:
        pipeline.warm()
    except RayError as error:
        logger.warning("No process for builds could be started in advance: %s", error)


_deployment = serve.deployment(
    name="datasets",
    num_replicas=1,
    health_check_period_s=1,
    # Many clients may wait for one build.
    max_ongoing_requests=500,
)


def application(options: DatasetOptions, code: str | None) -> Application:
    """The deployment, for the API to be bound with; its handle there makes a `DatasetsClient`. Runs the copy `code`."""
    return replica_of(_deployment, code, "deployments.datasets:DatasetsReplica", options.to_dict())
