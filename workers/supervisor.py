"""The job supervisor: the actor that owns all tracking of jobs.

It starts by itself after any end of its process: reads the records, looks at the hosts, adopts what runs and queues
what waits, before anybody asks. What its methods return is plain data, `{"ok": ...}` or `{"error": ...}`
(`workers.answers`), since classes do not survive the way between processes that carry different code.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from workers import identity, job_files
from workers.answers import failure, success
from workers.book import JobBook
from workers.clock import Deadline, now
from workers.driver import JobDriver
from workers.errors import Conflict, OpevaError, Unavailable
from workers.experiment_configs import ConfigStore
from workers.files import storage_error
from workers.host_answers import hosts_answer
from workers.hosts import Host, HostDirectory
from workers.housekeeping import Housekeeping
from workers.layout import Layout
from workers.listings import Listings
from workers.options import Options
from workers.placement import find_target
from workers.record_files import load, write_record
from workers.records import JobRecord, State
from workers.returning import take_up
from workers.stopper import Stopper

logger = logging.getLogger(__name__)

#: How long a call waits for a supervisor that is starting.
START_WAIT_S = 20.0
#: Pause between two tries to start on a storage that fails.
START_RETRY_S = 2.0
#: The longest that a reader is kept waiting for changes.
MAX_POLL_S = 30.0

P = ParamSpec("P")


def answered(
    method: Callable[Concatenate["JobSupervisor", P], Awaitable[Any]],
) -> Callable[Concatenate["JobSupervisor", P], Coroutine[Any, Any, dict[str, Any]]]:
    """Turn a method's value or error into plain data; wait for the start first."""

    async def answer(self: "JobSupervisor", /, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            await self.started()
            return success(await method(self, *args, **kwargs))
        except OpevaError as error:
            return failure(error)

    functools.update_wrapper(answer, method)
    return answer


class JobSupervisor:
    """The only writer of job tracking. One per cluster, detached, on the head node."""

    async def __init__(self, options: dict[str, Any], version: str) -> None:  # type: ignore[misc] # Ray awaits it.
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._options = Options.from_dict(options)
        self._given = {"options": options, "version": version}
        self._layout = Layout(Path(self._options.shared_root))
        self._configs = ConfigStore(self._layout, self._options.max_config_bytes)
        self._hosts = HostDirectory(self._options, version)
        self._ready = asyncio.Event()
        self._problem = "it is starting"
        self._submitting = asyncio.Lock()
        self._tasks = [asyncio.create_task(self._hosts.watch()), asyncio.create_task(self._start())]

    # -- start and end

    async def _start(self) -> None:
        while True:
            try:
                await self._take_up()
            except (OpevaError, OSError) as error:
                self._problem = str(error)
                logger.error("The start waits: %s", error)
                await asyncio.sleep(START_RETRY_S)
            else:
                return

    async def _take_up(self) -> None:
        self._cluster_id = await self._identify()
        loaded = await asyncio.to_thread(load, self._layout)
        self._book = JobBook(self._layout, loaded.records.values())
        self._book.journal.start()
        self._hosts.on_change = self._book.feed.touch
        self._listings = Listings(self._hosts, self._options, self._cluster_id)
        self._driver = JobDriver(self._book, self._hosts, self._listings, self._options, self._cluster_id)
        self._stopper = Stopper(self._book, self._hosts, self._driver, self._options, self._cluster_id)
        self._ready.set()
        housekeeping = Housekeeping(
            self._book, self._hosts, self._listings, self._options, self._cluster_id, self._forget
        )
        self._tasks.append(asyncio.create_task(housekeeping.run()))
        await take_up(self._book, self._hosts, self._listings, self._driver, self._stopper)

    async def _identify(self) -> str:
        known = await asyncio.to_thread(identity.read, self._layout)
        if known is not None:
            return known
        await asyncio.wait_for(self._hosts.settled.wait(), START_WAIT_S)
        for host in self._hosts.all():
            if not host.online:
                continue
            answer = await self._hosts.call(
                host, "holders", self._options.host_shared_root, timeout_s=self._options.docker_timeout_s
            )
            if answer["containers"]:
                raise Unavailable(
                    f"{self._layout.root} holds no installation, yet {len(answer['containers'])} containers of one run"
                    f" on the host {host.name}: is the shared folder mounted?",
                    "shared_root_missing",
                )
        return await asyncio.to_thread(identity.create, self._layout)

    async def started(self) -> None:
        """Wait until the records are known. Raises Unavailable."""
        try:
            await asyncio.wait_for(self._ready.wait(), START_WAIT_S)
        except TimeoutError:
            raise Unavailable(f"The job supervisor can't work: {self._problem}", "supervisor_starting") from None

    async def describe(self) -> dict[str, Any]:
        """The options and the code's version that this supervisor was made with."""
        return self._given

    async def retire(self) -> None:
        """Write what is to be written, before a successor takes over; containers go on."""
        for task in self._tasks:
            task.cancel()
        if self._ready.is_set():
            await self._book.journal.close(deadline_s=5.0)

    # -- what runners ask

    async def claim(self, job_id: str, attempt: int, node_id: str) -> bool:
        """Whether a runner on a node may create the container of this attempt. Once said, a yes is on the disk."""
        if not self._ready.is_set():
            return False
        record = self._book.find(job_id)
        if record is None or record.attempt != attempt or record.terminal or record.state is State.STOP_REQUESTED:
            return False
        if record.claimed:
            return record.node_id == node_id
        host = self._hosts.by_node(node_id)
        if host is None:
            return False
        event = {"event": "claimed", "at": now(), "host": host.name, "node_id": node_id, "address": host.address}
        self._book.apply(job_id, event)
        try:
            await self._book.flush(job_id)
        except OpevaError as error:
            logger.error("Job %s may not start: %s", job_id, error.detail)
            self._book.put(self._book.get(job_id).change(claimed=False))
            return False
        record = self._book.find(job_id)
        return record is not None and record.attempt == attempt and record.state is not State.STOP_REQUESTED

    # -- what the API asks

    @answered
    async def submit(self, job_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a job (`workers.job_request`); its record, once it is on the disk.

        The same `job_id`, or the same idempotency key with the same body, gives the job that is there already.
        """
        async with self._submitting:
            known = self._book.find(job_id) or self._known_by_key(request)
            if known is not None:
                return self._book.told(known)
            await self._admit(request)
            record = _record(job_id, request)
            await self._write(record, request)
            self._book.put(record)
        self._driver.drive(job_id)
        return self._book.told(record)

    def _known_by_key(self, request: dict[str, Any]) -> JobRecord | None:
        key = request.get("idempotency_key")
        known = None if key is None else self._book.by_key(key)
        if known is not None and known.body_hash != request["body_hash"]:
            raise Conflict(
                f"The idempotency key {key!r} was used for another request, which became job {known.job_id}",
                "idempotency_key_reused",
            )
        return known

    async def _admit(self, request: dict[str, Any]) -> None:
        """Refuse what can't be taken on now. Raises NotFound, InvalidInput, StorageFull, Unavailable."""
        if self._book.journal.fault is not None:
            raise self._book.journal.fault
        try:
            await asyncio.wait_for(self._hosts.settled.wait(), self._options.agent_timeout_s)
        except TimeoutError:
            logger.warning("A job is accepted before every host has answered")
        hosts = self._hosts.all()
        target = request.get("target_host")
        wanted = hosts if target is None else find_target(target, hosts)
        online = [host for host in wanted if host.online]
        if not online:
            which = "No host of the cluster" if target is None else f"The host {target}"
            raise Unavailable(f"{which} is reachable", "host_unreachable")
        if not any(host.docker for host in online):
            tells = "; ".join(f"docker unavailable on host {host.name}: {host.docker_error}" for host in online)
            raise Unavailable(tells, "docker_unavailable")

    async def _write(self, record: JobRecord, request: dict[str, Any]) -> None:
        save_as = request.get("save_as")
        if save_as is not None:
            await asyncio.to_thread(self._configs.save_as, save_as, request["config_text"])
        await asyncio.to_thread(job_files.create, self._layout, record.job_id, request["config_text"], job_info(record))
        try:
            await asyncio.to_thread(write_record, self._layout, record)
        except OSError as error:
            await asyncio.to_thread(job_files.delete, self._layout, record.job_id)
            raise storage_error(error, self._layout.record(record.job_id)) from error

    @answered
    async def get(self, job_id: str) -> dict[str, Any]:
        """A job's record."""
        return self._book.told(self._book.get(job_id))

    @answered
    async def stop(self, job_id: str) -> dict[str, Any]:
        """Ask for a job's end; its record. Asking again changes nothing."""
        before = self._book.get(job_id)
        after = self._book.apply(job_id, {"event": "stop", "at": now()})
        if after is not before:
            try:
                await self._book.flush(job_id)
            except OpevaError as error:
                # A stop must work on a full disk: it is acted on from memory, and written when there is room.
                logger.warning("The stop of job %s is not on the disk yet: %s", job_id, error.detail)
        if after.state is State.CANCELED:
            self._driver.withdraw(job_id)
        elif after.state is State.STOP_REQUESTED:
            self._stopper.ensure(job_id)
        return self._book.told(after)

    @answered
    async def requeue(self, job_id: str, new_id: str, submitted_by: str | None) -> dict[str, Any]:
        """A new job from an ended one's snapshot; its record."""
        async with self._submitting:
            made = self._book.find(new_id)
            if made is not None:
                return self._book.told(made)
            old = self._book.get(job_id)
            if not old.terminal:
                raise Conflict(f"Job {job_id} has not ended ({old.state}); stop it first", "job_active")
            request = {
                **old.to_dict(),
                "idempotency_key": None,
                "submitted_by": submitted_by or old.submitted_by,
                "requeued_from": job_id,
                "config_text": await asyncio.to_thread(job_files.read_snapshot, self._layout, job_id),
            }
            await self._admit(request)
            record = _record(new_id, request)
            await self._write(record, request)
            self._book.put(record)
        self._driver.drive(new_id)
        return self._book.told(record)

    @answered
    async def delete(self, job_id: str, force: bool) -> None:
        """Remove a job's record, folder and container; with `force` a job that has not ended is stopped first."""
        record = self._book.get(job_id)
        if not record.terminal:
            if not force:
                raise Conflict(
                    f"Job {job_id} has not ended ({record.state}); stop it first, or use force", "job_active"
                )
            await self.stop(job_id)
            record = await self._wait_for_end(record)
        await self._forget(record)

    async def _wait_for_end(self, record: JobRecord) -> JobRecord:
        deadline = Deadline(record.stop_grace_s + self._options.kill_deadline_s + self._options.docker_timeout_s)
        while not deadline.passed():
            current = self._book.get(record.job_id)
            if current.terminal:
                return current
            await self._book.feed.wait(self._book.feed.number, min(0.5, deadline.left()))
        raise Unavailable(
            f"Job {record.job_id} could not be stopped on the host {record.host} yet; it is tried on, delete it later",
            "stop_failed",
        )

    async def _forget(self, record: JobRecord) -> None:
        """Remove what there is of an ended job. A container on a host that is away is swept when the host is back."""
        host = self._hosts.by_name(record.host or "")
        reachable = host if host is not None and host.online else None
        if record.placed and reachable is not None:
            await self._on_host(reachable, "remove", self._cluster_id, record.job_id)
        self._book.remove(record.job_id)
        for folder in await asyncio.to_thread(job_files.delete, self._layout, record.job_id):
            # A container wrote there as another user; one of its kind may remove it.
            away = str(folder.relative_to(self._layout.root))
            if reachable is not None:
                await self._on_host(
                    reachable, "delete_tree", str(folder), record.image, f"{self._options.host_shared_root}/{away}"
                )

    async def _on_host(self, host: Host, method: str, *args: object) -> None:
        """Ask a host to tidy up; what it can't do now is left to the sweeper."""
        try:
            await self._hosts.call(host, method, *args, timeout_s=self._options.docker_timeout_s)
        except Exception as error:
            # It belongs to no job from here on, which is how the sweeper finds it.
            logger.warning("%s of %s is left to the sweeper on %s: %s", method, args[1], host.name, error)

    async def changes(self, epoch: str, number: int, timeout_s: float) -> dict[str, Any]:
        """What a copy at `number` of `epoch` lacks, and the hosts; waits for news up to `timeout_s`."""
        try:
            await self.started()
        except OpevaError as error:
            return failure(error)
        if epoch == self._book.feed.epoch:
            await self._book.feed.wait(number, min(timeout_s, MAX_POLL_S))
        fault = self._book.journal.fault
        return success(
            {
                **self._book.changes(epoch, number),
                "hosts": hosts_answer(self._hosts.all(), self._book.active()),
                "cluster_id": self._cluster_id,
                "storage": None if fault is None else fault.detail,
            }
        )


def job_info(record: JobRecord) -> dict[str, Any]:
    """What a job's `job_info.json` says of it."""
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
    }


def _record(job_id: str, request: dict[str, Any]) -> JobRecord:
    return JobRecord(
        job_id=job_id,
        job_name=request["job_name"],
        experiment_name=request["experiment_name"],
        run_name=request["run_name"],
        image=request["image"],
        submitted_at=now(),
        submitted_by=request.get("submitted_by"),
        config_path=request.get("config_path"),
        env=dict(request["env"]),
        cpus=request["cpus"],
        gpus=request["gpus"],
        memory=request["memory"],
        timeout_s=request["timeout_s"],
        stop_grace_s=request["stop_grace_s"],
        target_host=request.get("target_host"),
        idempotency_key=request.get("idempotency_key"),
        body_hash=request.get("body_hash"),
        requeued_from=request.get("requeued_from"),
    )
