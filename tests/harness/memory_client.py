"""Jobs kept in memory, with the interface of `supervision.client.JobsClient`: for what the HTTP side does by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn
from fastapi import FastAPI

from deployments.datasets_client import DatasetsClient
from deployments.sites_client import SitesClient
from serve_app.app import build_app
from serve_app.services import Services
from serve_app.settings import Settings
from workers.common import names
from workers.common.clock import now
from workers.common.errors import Conflict, NotFound
from workers.common.layout import Layout
from workers.jobs.records import JobRecord, Reason, State
from workers.jobs.request import JobRequest
from workers.outputs import job_folder
from workers.supervision.client import Health
from workers.supervision.feed import ChangeFeed
from workers.supervision.supervisor_answers import HostsAnswer, HostState

HOST: HostState = {
    "online": True,
    "docker": True,
    "docker_error": None,
    "problem": None,
    "resources": {"cpus": 2.0, "gpus": 0.0, "memory": 8e9},
    "used": {"cpus": 0, "gpus": 0, "memory": 0},
    "gpu": [],
    "node_id": "ab12",
    "last_seen": 1.0,
}

_KEPT_BY_A_REQUEUE = (
    "job_name",
    "experiment_name",
    "run_name",
    "image",
    "config_path",
    "cpus",
    "gpus",
    "memory",
    "timeout_s",
    "stop_grace_s",
    "env",
    "target_host",
    "body_hash",
)


class MemoryJobs:
    """Keeps records and their folders; nothing ever runs unless a test says so with `change`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.records: dict[str, JobRecord] = {}
        self.feed = ChangeFeed()
        #: Raised by every call, as by a client whose supervisor is away.
        self.fault: Exception | None = None
        #: A submission waits for this, so that a test can do something meanwhile.
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer_hosts: HostsAnswer = {
            "available_hosts": [{"name": "head", "host": "10.0.0.1", "running_jobs": 0, **HOST}],
            "hosts": {"head": {"host": "10.0.0.1", "running": 0, "active_job_ids": [], "info": {}, **HOST}},
        }

    @property
    def number(self) -> int:
        return self.feed.number

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def add(self, snapshot: str = "metadata:\n  lr: 1e-4\n", **fields: Any) -> JobRecord:
        """A job with its folder, as if it had been submitted."""
        values = {"job_name": "a job", "image": "busybox", "submitted_at": now(), **fields}
        record = JobRecord(job_id=values.pop("job_id", None) or names.new_job_id(), **values)
        job_folder.create(self.layout, record.job_id, snapshot, {})
        self._put(record)
        return record

    def change(self, job_id: str, **fields: Any) -> JobRecord:
        """Replace fields of a record."""
        record = self.records[job_id].change(**fields)
        self._put(record)
        return record

    def _put(self, record: JobRecord) -> None:
        self.records[record.job_id] = record
        self.feed.note(record.job_id)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def submit(self, request: JobRequest) -> JobRecord:
        self._check()
        await self.gate.wait()
        key = request.idempotency_key
        known = next((one for one in self.records.values() if key is not None and one.idempotency_key == key), None)
        if known is not None and known.body_hash != request.body_hash:
            raise Conflict(f"The idempotency key {key!r} was used for another request", "idempotency_key_reused")
        if known is not None:
            return known
        fields = {name: value for name, value in request.to_dict().items() if name not in ("config_text", "save_as")}
        return self.add(request.config_text, **fields)

    async def stop(self, job_id: str) -> tuple[JobRecord, str | None]:
        record = await self.get(job_id)
        if not record.terminal:
            ended = {"state": State.CANCELED, "reason": Reason.USER_STOP, "finished_at": now()}
            record = self.change(job_id, **ended)
        return record, None

    async def requeue(self, job_id: str, submitted_by: str | None = None) -> JobRecord:
        record = await self.get(job_id)
        if not record.terminal:
            raise Conflict(f"Job {job_id} has not ended", "job_active")
        again = {name: getattr(record, name) for name in _KEPT_BY_A_REQUEUE}
        return self.add(
            job_folder.read_snapshot(self.layout, job_id),
            **again,
            submitted_by=submitted_by or record.submitted_by,
            requeued_from=job_id,
        )

    async def delete(self, job_id: str, force: bool) -> None:
        record = await self.get(job_id)
        if not record.terminal and not force:
            raise Conflict(f"Job {job_id} has not ended", "job_active")
        del self.records[job_id]
        job_folder.delete(self.layout, job_id)
        self.feed.note(job_id)

    async def get(self, job_id: str) -> JobRecord:
        self._check()
        if job_id not in self.records:
            raise NotFound(f"There is no job {job_id}", "job_not_found")
        return self.records[job_id]

    def known(self, job_id: str) -> JobRecord | None:
        return self.records.get(job_id)

    async def jobs(self) -> Sequence[JobRecord]:
        self._check()
        return sorted(self.records.values(), key=lambda r: (r.submitted_at, r.job_id), reverse=True)

    async def queue(self) -> list[JobRecord]:
        return [record for record in reversed(await self.jobs()) if record.state is State.QUEUED]

    async def hosts(self) -> HostsAnswer:
        self._check()
        return self.answer_hosts

    async def health(self) -> Health:
        self._check()
        return Health(0.1, "c1", None)

    async def wait_change(self, number: int, timeout_s: float) -> bool:
        return await self.feed.wait(number, timeout_s)

    async def changes(self, after: int) -> AsyncIterator[tuple[int, JobRecord | str]]:
        number = after
        while True:
            await self.feed.wait(number, 10)
            keys, number = self.feed.after(number), self.feed.number
            for key in keys:
                yield number, self.records.get(key) or key


class Served:
    """The HTTP app over jobs in memory, on a real socket; its files lie below `root`."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.settings = Settings.load({"shared_root": str(root), **settings})
        self.layout = Layout(root)
        self.jobs = MemoryJobs(self.layout)
        self.services = Services(
            self.settings,
            self.jobs,
            SitesClient(None, self.settings.sites),
            DatasetsClient(None, self.settings.datasets),
        )
        self.app: FastAPI = build_app(self.services)
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(self.app, host="127.0.0.1", port=0, log_level="error", lifespan="on")
        config.load()
        # The server's own loop only looks every 0.1 s whether it shall end, which many tests would wait for.
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        self.port = server.servers[0].sockets[0].getsockname()[1]

        async def end() -> None:
            # What still streams is broken off, as when a process ends.
            server.force_exit = True
            await server.shutdown()
            await server.lifespan.shutdown()

        self._exit.push_async_callback(end)
        url = f"http://127.0.0.1:{self.port}"
        # Loading certificates takes longer than most tests.
        client = httpx.AsyncClient(base_url=url, timeout=60, verify=False)  # noqa: S501 - there is no TLS here
        self.http = await self._exit.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()
