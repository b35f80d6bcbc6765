"""The job supervisor: the actor that owns all tracking of jobs.

It starts by itself after any end of its process: reads the records, looks at the hosts, adopts what runs and queues
what waits, before anybody asks. What its methods return is plain data, `{"ok": ...}` or `{"error": ...}`
(`workers.common.answers`), since classes do not survive the way between processes that carry different code.
"""

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from workers.common import identity
from workers.common.answers import failure, success
from workers.common.clock import Deadline, now
from workers.common.errors import Conflict, ErrorCode, NotFound, OpevaError, Unavailable
from workers.common.layout import Layout
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.host.agent_answers import Holders
from workers.jobs.record_files import load
from workers.jobs.records import JobRecord, State
from workers.jobs.request import JobRequest
from workers.outputs import job_folder
from workers.supervision.admission import Admission, job_info
from workers.supervision.book import JobBook
from workers.supervision.driver import JobDriver
from workers.supervision.hosts import HostDirectory
from workers.supervision.housekeeping import Housekeeping
from workers.supervision.listings import Listings
from workers.supervision.readers import Readers
from workers.supervision.removal import Removal
from workers.supervision.returning import take_up
from workers.supervision.root_watch import RootWatch
from workers.supervision.runners import Runners
from workers.supervision.stopper import Stopper
from workers.supervision.supervisor_answers import Given, News, hosts_answer
from workers.supervision.whereabouts import Whereabouts

logger = logging.getLogger(__name__)

#: How long a call waits for a supervisor that is starting.
START_WAIT_S = 20.0
#: Pause between two tries to start on a storage that fails.
START_RETRY_S = 2.0
#: How long a claim waits for a host that has only just joined to be met.
MEETING_S = 5.0
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
        self._given: Given = {"options": options, "version": version}
        self._layout = Layout(Path(self._options.shared_root))
        self._hosts = HostDirectory(self._options, version)
        self._readers = Readers()
        self._ready = asyncio.Event()
        self._problem: OpevaError = Unavailable("it is starting", ErrorCode.SUPERVISOR_STARTING)
        self._retired = False
        self._tasks = [asyncio.create_task(self._hosts.watch()), asyncio.create_task(self._start())]

    # -- start and end

    async def _start(self) -> None:
        while True:
            try:
                await self._open()
                break
            except OpevaError as error:
                self._problem = type(error)(error.detail, error.code)
                logger.error("The start waits: %s", error)
            except Exception as error:
                # Whatever it is, only another try can make it a supervisor that works.
                self._problem = Unavailable(str(error) or type(error).__name__, ErrorCode.SUPERVISOR_STARTING)
                logger.exception("The start failed and is tried again")
            await asyncio.sleep(START_RETRY_S)
        self._ready.set()
        self._tasks.append(asyncio.create_task(self._housekeeping.run()))
        await take_up(self._book, self._hosts, self._listings, self._driver, self._runners, self._stopper)

    async def _open(self) -> None:
        """Read the records and make what works with them. Raises OpevaError, OSError."""
        self._cluster_id = self._hosts.cluster_id = await self._identify()
        loaded = await asyncio.to_thread(load, self._layout)
        for job_id in loaded.unfinished:
            # Its client got no answer, and may ask again with the same id.
            await asyncio.to_thread(job_folder.delete, self._layout, job_id)
        options, hosts, cluster_id = self._options, self._hosts, self._cluster_id
        self._root = RootWatch(self._layout, cluster_id, options.storage_timeout_s)
        self._book = JobBook(self._layout, loaded.records.values(), self._root.check)
        self._listings = Listings(hosts, options, cluster_id)
        whereabouts = Whereabouts(self._book, options)
        self._runners = Runners(self._book, hosts, self._listings, whereabouts, options, cluster_id)
        self._driver = JobDriver(self._book, hosts, self._listings, whereabouts, self._runners, self._storage_fault)
        self._stopper = Stopper(self._book, hosts, self._runners, options, cluster_id)
        self._removal = Removal(self._book, hosts, self._root, options, cluster_id)
        self._admission = Admission(self._book, hosts, self._root, options)
        self._housekeeping = Housekeeping(
            self._book, hosts, self._listings, self._runners, self._removal, self._storage_fault, options, cluster_id
        )
        self._driver.on_end = self._write_info
        hosts.on_change = self._book.feed.touch
        self._root.on_change = self._book.feed.touch
        self._root.on_other = self._begin_anew
        self._book.journal.start()
        self._tasks.append(asyncio.create_task(self._root.run()))

    async def _identify(self) -> str:
        """The installation's id; a new one for a root that has none and that nobody uses. Raises Unavailable."""
        known = await asyncio.to_thread(identity.read, self._layout)
        if known is not None:
            return known
        await asyncio.wait_for(self._hosts.settled.wait(), START_WAIT_S)
        for host in self._hosts.all():
            if host.online and (host.docker or (host.info is not None and host.info.get("docker_here"))):
                answer = await self._hosts.call(
                    host, self._options.docker_timeout_s, HostAgent.holders, self._options.host_shared_root
                )
                self._check_unused(host.name, answer)
        return await asyncio.to_thread(identity.create, self._layout)

    def _check_unused(self, host: str, answer: Holders) -> None:
        root = self._layout.root
        if answer["error"]:
            raise Unavailable(
                f"{root} holds no installation, and whether containers of one run can't be known: {answer['error']}",
                ErrorCode.SHARED_ROOT_MISSING,
            )
        if answer["containers"]:
            raise Unavailable(
                f"{root} holds no installation, yet {len(answer['containers'])} containers of one run on the host"
                f" {host}: is the shared folder mounted?",
                ErrorCode.SHARED_ROOT_MISSING,
            )

    def _storage_fault(self) -> OpevaError | None:
        """Why nothing can be written on the shared storage at the moment, or None."""
        return self._root.problem or self._book.journal.fault

    def _begin_anew(self) -> None:
        """The root is another installation's for good: with no job of the former one left, this one is taken up."""
        if not self._book.active():
            logger.error("%s: the supervisor starts anew with what is there", self._root.problem)
            # Ray restarts the actor, and a start takes up whatever it finds.
            os._exit(1)

    async def started(self) -> None:
        """Wait until the records are known. Raises Unavailable, or what keeps them from being read (StorageFull)."""
        if self._retired:
            raise Unavailable("The job supervisor makes way for a new one", ErrorCode.SUPERVISOR_STARTING)
        try:
            await asyncio.wait_for(self._ready.wait(), START_WAIT_S)
        except TimeoutError:
            problem = self._problem
            raise type(problem)(f"The job supervisor can't work: {problem.detail}", problem.code) from None

    async def describe(self) -> Given:
        """The options and the code's version that this supervisor was made with."""
        return self._given

    async def retire(self) -> None:
        """Accept and allow nothing more, and write what is to be written; a successor takes over, containers go on."""
        self._retired = True
        for task in self._tasks:
            task.cancel()
        if self._ready.is_set():
            await self._book.journal.close(deadline_s=5.0)

    async def _write_info(self, record: JobRecord) -> None:
        """Set an ended job's `job_info.json` right: its MLflow run as the container wrote it, and our own fields."""
        try:
            await self._root.checked()
            info = await asyncio.to_thread(job_folder.merge_info, self._layout, record.job_id, job_info(record))
            await asyncio.to_thread(job_folder.write_info, self._layout, record.job_id, info)
        except OpevaError as error:
            # It is a copy; the record has it all.
            logger.warning("job_info.json of job %s is left as it is: %s", record.job_id, error)

    # -- what runners ask

    async def claim(self, job_id: str, attempt: int, node_id: str) -> bool:
        """Whether a runner on a node may create the container of this attempt. Once said, a yes is on the disk."""
        if self._retired or not self._ready.is_set():
            return False
        host = await self._hosts.met(node_id, MEETING_S)
        record = self._claimable(job_id, attempt)
        if record is None or host is None:
            return False
        if record.claimed:
            return record.node_id == node_id
        self._book.apply(
            job_id,
            {"event": "claimed", "at": now(), "host": host.name, "node_id": node_id, "address": host.address},
        )
        try:
            # A container finds there what was submitted, even if somebody changed the folder meanwhile.
            await asyncio.to_thread(job_folder.restore, self._layout, job_id, job_info(record))
            await self._book.flush(job_id)
        except NotFound as error:
            self._book.apply(
                job_id, {"event": "failed", "at": now(), "reason": "config_invalid", "detail": error.detail}
            )
            return False
        except OpevaError as error:
            logger.error("Job %s may not start: %s", job_id, error.detail)
            claimed = self._book.find(job_id)
            if claimed is not None and claimed.attempt == attempt and not claimed.terminal:
                self._book.put(claimed.change(claimed=False))
            return False
        return self._claimable(job_id, attempt) is not None and not self._retired

    def _claimable(self, job_id: str, attempt: int) -> JobRecord | None:
        """The job's record if a container of this attempt may be made for it."""
        record = self._book.find(job_id)
        if record is None or record.attempt != attempt or record.terminal or record.state is State.STOP_REQUESTED:
            return None
        return record

    # -- what the API asks

    @answered
    async def submit(self, job_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a job; its record, once it is on the disk. `request` is a `JobRequest` as plain data.

        The same `job_id`, or the same idempotency key with the same body, gives the job that is there already.
        """
        record, new = await self._admission.accept(job_id, JobRequest.from_dict(request))
        if new:
            self._driver.drive(record.job_id)
        await self._readers.have(self._book.feed.number_of(record.job_id))
        return self._book.with_change(record)

    @answered
    async def get(self, job_id: str) -> dict[str, Any]:
        """A job's record."""
        return self._book.with_change(self._book.get(job_id))

    @answered
    async def stop(self, job_id: str) -> dict[str, Any]:
        """Ask for a job's end; its record. Asking again changes nothing.

        `unwritten` in it is why that is not on the disk yet, or None.
        """
        record, unwritten = await self._stop(job_id)
        await self._readers.have(self._book.feed.number_of(job_id))
        return {**self._book.with_change(record), "unwritten": unwritten}

    async def _stop(self, job_id: str) -> tuple[JobRecord, str | None]:
        before = self._book.get(job_id)
        after = self._book.apply(job_id, {"event": "stop", "at": now()})
        if after.state is State.CANCELED:
            self._runners.withdraw(job_id)
        elif after.state is State.STOP_REQUESTED:
            self._stopper.ensure(job_id)
        unwritten = None
        if after is not before or self._book.journal.unwritten(job_id):
            try:
                await self._book.flush(job_id)
            except OpevaError as error:
                # A stop must work on a full disk: it is acted on from memory, and written when there is room.
                logger.warning("The stop of job %s is not on the disk yet: %s", job_id, error.detail)
                unwritten = error.detail
        return self._book.find(job_id) or after, unwritten

    @answered
    async def requeue(self, job_id: str, new_id: str, submitted_by: str | None) -> dict[str, Any]:
        """A new job from an ended one's snapshot; its record."""
        record, new = await self._admission.requeue(job_id, new_id, submitted_by)
        if new:
            self._driver.drive(new_id)
        await self._readers.have(self._book.feed.number_of(new_id))
        return self._book.with_change(record)

    @answered
    async def delete(self, job_id: str, force: bool) -> None:
        """Remove a job's record, folder and container; with `force` a job that has not ended is stopped first."""
        record = self._book.get(job_id)
        if not record.terminal:
            if not force:
                raise Conflict(
                    f"Job {job_id} has not ended ({record.state}); stop it first, or use force", ErrorCode.JOB_ACTIVE
                )
            await self._stop(job_id)
            record = await self._wait_for_end(record)
        await self._removal.forget(record)
        await self._readers.have(self._book.feed.number_of(job_id))

    async def _wait_for_end(self, record: JobRecord) -> JobRecord:
        deadline = Deadline(record.stop_grace_s + self._options.kill_deadline_s + self._options.docker_timeout_s)
        while not deadline.passed():
            current = self._book.get(record.job_id)
            if current.terminal:
                return current
            await self._book.feed.wait(self._book.feed.number, min(0.5, deadline.left()))
        raise Unavailable(
            f"Job {record.job_id} could not be stopped on the host {record.host} yet; it is tried on, delete it later",
            ErrorCode.STOP_FAILED,
        )

    async def changes(self, epoch: str, number: int, timeout_s: float, reader: str | None = None) -> dict[str, Any]:
        """What a copy at `number` of `epoch` lacks, and the hosts; waits for news up to `timeout_s`.

        A `reader` that names itself is waited for by those who change something (`workers.supervision.readers`).
        """
        try:
            await self.started()
        except OpevaError as error:
            return failure(error)
        if epoch == self._book.feed.epoch:
            if reader is not None:
                self._readers.asks(reader, number)
            await self._book.feed.wait(number, min(timeout_s, MAX_POLL_S))
        fault = self._storage_fault()
        news: News = {
            **self._book.changes(epoch, number),
            "hosts": hosts_answer(self._hosts.all(), self._book.active()),
            "hosts_settled": self._hosts.settled.is_set(),
            "cluster_id": self._cluster_id,
            "storage": None if fault is None else fault.detail,
        }
        return success(news)
