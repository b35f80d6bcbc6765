"""What routes work with: made once per replica, reached through the app's state."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends
from starlette.requests import Request

from serve_app.settings import Settings
from workers.errors import Unavailable
from workers.layout import Layout
from workers.records import JobRecord

T = TypeVar("T")


class Jobs(Protocol):
    """The part of `workers.client.JobsClient` that routes use."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def submit(self, request: dict[str, Any]) -> JobRecord: ...
    async def stop(self, job_id: str) -> JobRecord: ...
    async def requeue(self, job_id: str, submitted_by: str | None = None) -> JobRecord: ...
    async def delete(self, job_id: str, force: bool = False) -> None: ...
    async def get(self, job_id: str) -> JobRecord: ...
    async def jobs(self) -> Sequence[JobRecord]: ...
    def changes(self, after: int) -> AsyncIterator[tuple[int, JobRecord]]: ...
    async def queue(self) -> list[dict[str, Any]]: ...
    async def hosts(self) -> dict[str, Any]: ...
    async def supervisor_health(self, timeout_s: float, /) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Services:
    """The services of one replica."""

    settings: Settings

    @property
    def layout(self) -> Layout:
        """Where the shared files lie."""
        return Layout(self.settings.jobs_options().root)

    async def on_storage(self, work: Callable[..., T], *args: Any) -> T:
        """The outcome of `work(*args)`, which reads or writes the shared storage, in a thread and with a deadline.

        Raises:
            Unavailable: the storage did not answer in time, as a network file system may.
        """
        limit = self.settings.storage_timeout_s
        try:
            return await asyncio.wait_for(asyncio.to_thread(work, *args), limit)
        except TimeoutError as error:
            raise Unavailable(
                f"The shared storage at {self.settings.shared_root} did not answer within {limit:g} s",
                "storage_unavailable",
            ) from error


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


#: A route's parameter that brings the services.
Here = Annotated[Services, Depends(_services)]
