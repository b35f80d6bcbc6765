"""What routes work with: made once per replica, reached through the app's state."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends
from starlette.requests import Request

from deployments.datasets_client import DatasetsClient
from deployments.sites_client import SitesClient
from serve_app import job_views
from serve_app.job_listing import Rows
from serve_app.settings import Settings
from serve_app.streams import Seats
from workers.common.errors import ErrorCode, OpevaError, Unavailable
from workers.common.layout import Layout
from workers.common.options import Options
from workers.jobs.experiment_configs import ConfigStore
from workers.jobs.records import JobRecord
from workers.jobs.request import JobRequest
from workers.outputs.progress import ProgressFiles
from workers.supervision.client import Health
from workers.supervision.supervisor_answers import HostsAnswer

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: So many rows take about 2 ms.
_WARM_ROWS = 200


class Jobs(Protocol):
    """The part of `workers.supervision.client.JobsClient` that routes use."""

    @property
    def number(self) -> int: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def submit(self, request: JobRequest) -> JobRecord: ...
    async def stop(self, job_id: str) -> tuple[JobRecord, str | None]: ...
    async def requeue(self, job_id: str, submitted_by: str | None = None) -> JobRecord: ...
    async def delete(self, job_id: str, force: bool) -> None: ...
    async def get(self, job_id: str) -> JobRecord: ...
    def known(self, job_id: str) -> JobRecord | None: ...
    async def jobs(self) -> Sequence[JobRecord]: ...
    async def queue(self) -> list[JobRecord]: ...
    async def hosts(self) -> HostsAnswer: ...
    async def health(self) -> Health: ...
    async def wait_change(self, number: int, timeout_s: float) -> bool: ...
    def changes(self, after: int) -> AsyncIterator[tuple[int, JobRecord | str]]: ...


@dataclass
class Services:
    """The services of one replica."""

    settings: Settings
    jobs: Jobs
    sites: SitesClient
    datasets: DatasetsClient
    #: Tells this replica's stream positions from those of others.
    replica: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    rows: Rows = field(default_factory=lambda: Rows(job_views.row))

    @property
    def options(self) -> Options:
        """What the jobs' side needs of the settings."""
        return self.settings.jobs

    @cached_property
    def layout(self) -> Layout:
        """Where the shared files lie."""
        return Layout(self.options.root)

    @cached_property
    def configs(self) -> ConfigStore:
        """The experiment configs."""
        return ConfigStore(self.layout, self.options.max_config_bytes)

    @cached_property
    def progress_files(self) -> ProgressFiles:
        """The jobs' progress files, with the last complete content of each."""
        return ProgressFiles(self.layout)

    @cached_property
    def seats(self) -> Seats:
        """The streams that follow something."""
        return Seats(self.settings.api.max_follows)

    async def warm(self) -> None:
        """Make the JSON of the jobs that there are, a few at a time, so that the first list of many is quick too."""
        try:
            records = await self.jobs.jobs()
        except OpevaError as error:
            logger.info("The list of jobs is not made in advance: %s", error.detail)
            return
        for start in range(0, len(records), _WARM_ROWS):
            self.rows.render(records[start : start + _WARM_ROWS], len(records))
            await asyncio.sleep(0)

    async def on_storage(self, work: Callable[..., T], *args: Any) -> T:
        """The outcome of `work(*args)`, which reads or writes the shared storage, in a thread and with a deadline.

        Raises:
            Unavailable: the storage did not answer in time, as a network file system may.
        """
        limit = self.options.storage_timeout_s
        try:
            return await asyncio.wait_for(asyncio.to_thread(work, *args), limit)
        except TimeoutError as error:
            raise Unavailable(
                f"The shared storage at {self.options.shared_root} did not answer within {limit:g} s",
                ErrorCode.STORAGE_UNAVAILABLE,
            ) from error


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


#: A route's parameter that brings the services.
Here = Annotated[Services, Depends(_services)]
