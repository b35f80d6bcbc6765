"""Accepting jobs: what is taken on is on the disk before it is acknowledged, once for each id and idempotency key."""

import asyncio
import logging
from typing import Any

from workers.common.clock import now
from workers.common.errors import Conflict, ErrorCode, Unavailable
from workers.common.files import storage_error
from workers.common.options import Options
from workers.jobs.experiment_configs import ConfigStore
from workers.jobs.record_files import write_record
from workers.jobs.records import JobRecord
from workers.jobs.request import JobRequest
from workers.outputs import job_folder
from workers.supervision.book import JobBook
from workers.supervision.hosts import HostDirectory
from workers.supervision.placement import find_target
from workers.supervision.root_watch import RootWatch

logger = logging.getLogger(__name__)


class Admission:
    """Makes records of requests, one at a time."""

    def __init__(self, book: JobBook, hosts: HostDirectory, root: RootWatch, options: Options) -> None:
        self._book = book
        self._hosts = hosts
        self._root = root
        self._options = options
        self._configs = ConfigStore(book.layout, options.max_config_bytes)
        self._one_at_a_time = asyncio.Lock()

    async def accept(self, job_id: str, request: JobRequest) -> tuple[JobRecord, bool]:
        """The record of the accepted job, and whether it is a new one: the same `job_id`, or the same idempotency key
        with the same body, gives the job that is there already.

        Raises:
            Conflict: the key was used with another body.
            NotFound, InvalidInput, StorageFull, Unavailable: it can't be taken on now; nothing of it is left.
        """
        async with self._one_at_a_time:
            known = self._book.find(job_id) or self._known_by_key(request)
            if known is not None:
                return known, False
            return await self._make(job_id, request), True

    async def requeue(self, job_id: str, new_id: str, submitted_by: str | None) -> tuple[JobRecord, bool]:
        """A new job from an ended one's snapshot; else as `accept`."""
        async with self._one_at_a_time:
            made = self._book.find(new_id)
            if made is not None:
                return made, False
            old = self._book.get(job_id)
            if not old.terminal:
                raise Conflict(f"Job {job_id} has not ended ({old.state}); stop it first", ErrorCode.JOB_ACTIVE)
            snapshot = await asyncio.to_thread(job_folder.read_snapshot, self._book.layout, job_id)
            request = _request_again(old, snapshot, submitted_by or old.submitted_by)
            return await self._make(new_id, request, requeued_from=job_id), True

    def _known_by_key(self, request: JobRequest) -> JobRecord | None:
        key = request.idempotency_key
        known = None if key is None else self._book.by_key(key)
        if known is not None and known.body_hash != request.body_hash:
            raise Conflict(
                f"The idempotency key {key!r} was used for another request, which became job {known.job_id}",
                ErrorCode.IDEMPOTENCY_KEY_REUSED,
            )
        return known

    async def _make(self, job_id: str, request: JobRequest, requeued_from: str | None = None) -> JobRecord:
        await self._admit(request)
        record = _record(job_id, request, requeued_from)
        await self._write(record, request)
        self._book.put(record)
        return record

    async def _admit(self, request: JobRequest) -> None:
        """Refuse what can't be taken on now. Raises NotFound, InvalidInput, StorageFull, Unavailable."""
        await self._root.checked()
        fault = self._book.journal.fault
        if fault is not None:
            raise type(fault)(fault.detail, fault.code)
        try:
            await asyncio.wait_for(self._hosts.settled.wait(), self._options.agent_timeout_s)
        except TimeoutError:
            logger.warning("A job is accepted before every host has answered")
        hosts = self._hosts.all()
        target = request.target_host
        wanted = hosts if target is None else find_target(target, hosts)
        online = [host for host in wanted if host.online]
        if not online:
            which = "No host of the cluster" if target is None else f"The host {target}"
            raise Unavailable(f"{which} is reachable", ErrorCode.HOST_UNREACHABLE)
        if not any(host.docker for host in online):
            faults = "; ".join(f"docker unavailable on host {host.name}: {host.docker_error}" for host in online)
            raise Unavailable(faults, ErrorCode.DOCKER_UNAVAILABLE)

    async def _write(self, record: JobRecord, request: JobRequest) -> None:
        layout = self._book.layout
        if request.save_as is not None:
            await asyncio.to_thread(self._configs.save_as, request.save_as, request.config_text)
        await asyncio.to_thread(job_folder.create, layout, record.job_id, request.config_text, job_info(record))
        try:
            await asyncio.to_thread(write_record, layout, record)
        except OSError as error:
            await asyncio.to_thread(job_folder.delete, layout, record.job_id)
            raise storage_error(error, layout.record(record.job_id)) from error


def job_info(record: JobRecord) -> dict[str, Any]:
    """What a job's `job_info.json` says of it: enough to know the job by, should its record be lost."""
    return {
        "job_id": record.job_id,
        "job_name": record.job_name,
        "experiment_name": record.experiment_name,
        "run_name": record.run_name,
        "config_path": record.config_path,
        "target_host": record.target_host,
        "image": record.image,
        "submitted_by": record.submitted_by,
        "submitted_at": record.submitted_at,
        "requeued_from": record.requeued_from,
        "status": str(record.state),
        "reason": None if record.reason is None else str(record.reason),
        "host": record.host,
        "container_id": record.container_id,
        "container_name": record.container_name,
        "exit_code": record.exit_code,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _record(job_id: str, request: JobRequest, requeued_from: str | None) -> JobRecord:
    return JobRecord(
        job_id=job_id,
        job_name=request.job_name,
        experiment_name=request.experiment_name,
        run_name=request.run_name,
        image=request.image,
        submitted_at=now(),
        submitted_by=request.submitted_by,
        config_path=request.config_path,
        env=dict(request.env),
        cpus=request.cpus,
        gpus=request.gpus,
        memory=request.memory,
        timeout_s=request.timeout_s,
        stop_grace_s=request.stop_grace_s,
        target_host=request.target_host,
        idempotency_key=request.idempotency_key,
        body_hash=request.body_hash,
        requeued_from=requeued_from,
    )


def _request_again(record: JobRecord, snapshot: str, submitted_by: str | None) -> JobRequest:
    """The request for the same job once more; it bears no idempotency key."""
    return JobRequest(
        config_text=snapshot,
        config_path=record.config_path,
        save_as=None,
        job_name=record.job_name,
        experiment_name=record.experiment_name,
        run_name=record.run_name,
        image=record.image,
        cpus=record.cpus,
        gpus=record.gpus,
        memory=record.memory,
        timeout_s=record.timeout_s,
        stop_grace_s=record.stop_grace_s,
        env=record.env,
        target_host=record.target_host,
        submitted_by=submitted_by,
        body_hash=record.body_hash,
    )
