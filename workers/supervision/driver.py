"""Drives each job from its record to its end: one task per job, which sends runners and follows what they tell.

The loop closes the gap between what a record says and what is there. A job that never had a container is launched; one
that may have a container is adopted where it ran; a host that can't be asked is waited for. Whatever ends a runner (its
process, its node, Ray), the loop looks again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any

import ray

from workers.common import names
from workers.common.clock import Deadline, Stopwatch, now
from workers.common.errors import OpevaError, StorageFull
from workers.common.options import Options
from workers.host.remote import runner_function
from workers.jobs.attempt_spec import attempt_spec
from workers.jobs.records import JobRecord, Reason
from workers.jobs.spec import ADOPT, LAUNCH
from workers.supervision.book import JobBook
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.placement import Placement, Waiting, adopt_on, place
from workers.supervision.whereabouts import ALIVE, Absence, container_of, placed_on

logger = logging.getLogger(__name__)

#: A queued job that Ray did not place within this time is said to wait for room.
ROOM_AFTER_S = 1.0
#: Pause before a job is looked at again after something unforeseen.
RETRY_S = 1.0
#: While nothing changes, a waiting job's situation is looked at again after so long.
LOOK_EVERY_S = 5.0
#: A job whose launches come to nothing waits longer and longer, at most so long.
LONGEST_RETRY_S = 30.0
#: A container that a claim allowed and that is nowhere is looked for once more after so long before a new launch.
SECOND_LOOK_S = 2.0
#: How long an ended container's log may take to be completed before the next try.
COMPLETION_S = 120.0
#: What a runner meets that is no fault of its job: the job goes back to the queue.
_NOT_ITS_FAULT = (Reason.DOCKER_UNAVAILABLE, Reason.STORAGE_UNAVAILABLE)


class Followed(Enum):
    """How following a runner ended."""

    #: The runner ended, by itself or with its process or node.
    ENDED = auto()
    #: It was taken back before it had its place, since it should stand elsewhere.
    MISPLACED = auto()


class JobDriver:
    """Sends runners for jobs and applies their events to the book."""

    def __init__(
        self,
        book: JobBook,
        hosts: HostDirectory,
        listings: Listings,
        storage_fault: Callable[[], OpevaError | None],
        options: Options,
        cluster_id: str,
    ) -> None:
        """`storage_fault` says why nothing can be written at the moment."""
        self._book = book
        self._storage_fault = storage_fault
        self._hosts = hosts
        self._listings = listings
        self._options = options
        self._cluster_id = cluster_id
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runners: dict[str, Any] = {}
        self._failures: dict[str, int] = {}
        self._absences: dict[str, Absence] = {}
        #: Set once what runs already has its runners, so that no queued job takes the room of a running one.
        self.may_launch = asyncio.Event()
        #: Called when a job has ended.
        self.on_end: Callable[[JobRecord], Awaitable[None]] | None = None

    def drive(self, job_id: str) -> None:
        """See to a job until it has ended."""
        if job_id not in self._tasks:
            task = asyncio.create_task(self._drive(job_id), name=f"drive {job_id}")
            self._tasks[job_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    def has_runner(self, job_id: str) -> bool:
        """Whether a runner of the job waits or works."""
        return job_id in self._runners

    def withdraw(self, job_id: str) -> None:
        """Take back the runner of a job that was canceled: it must not start any more."""
        runner = self._runners.get(job_id)
        if runner is not None:
            ray.cancel(runner, force=False)

    async def _drive(self, job_id: str) -> None:
        while True:
            record = self._book.find(job_id)
            if record is None or record.terminal:
                self._failures.pop(job_id, None)
                self._absences.pop(job_id, None)
            if record is None:
                return
            if record.terminal:
                if self.on_end is not None:
                    await self.on_end(record)
                return
            try:
                await (self._adopt(record) if record.placed else self._launch(record))
            except Exception:
                # Nothing may end the supervision of a job; what went wrong is told and tried again.
                logger.exception("The supervision of job %s failed and goes on", job_id)
                await asyncio.sleep(RETRY_S)

    # -- jobs that never had a container

    async def _launch(self, record: JobRecord) -> None:
        await self.may_launch.wait()
        seen = self._hosts.number
        fault = self._storage_fault()
        if fault is not None:
            # Nothing could be claimed: what is not on the disk may not start.
            full = isinstance(fault, StorageFull)
            self._tell_waiting(
                record.job_id, Waiting(Reason.STORAGE_FULL if full else Reason.STORAGE_UNAVAILABLE, fault.detail)
            )
            await asyncio.sleep(RETRY_S)
            return
        placement = place(record, self._hosts.all())
        if isinstance(placement, Waiting):
            self._tell_waiting(record.job_id, placement)
            await self._hosts.wait(seen, LOOK_EVERY_S)
            return
        if placement.obstacle is not None:
            self._tell_waiting(record.job_id, placement.obstacle)
        moved = await self._follow(record, placement, "launch") is Followed.MISPLACED
        after = self._book.find(record.job_id)
        if after is None or after.terminal or after.placed:
            return
        if after.attempt == record.attempt:
            # Its runner ended before it was allowed to make a container, and as an older attempt's it never will be.
            again = {"event": "relaunch", "at": now(), "reason": after.reason, "detail": after.detail}
            self._book.apply(record.job_id, again)
        if not moved:
            failures = self._failures[record.job_id] = self._failures.get(record.job_id, 0) + 1
            await self._hosts.wait(seen, min(LONGEST_RETRY_S, RETRY_S * 2 ** min(failures - 1, 10)))

    def _tell_waiting(self, job_id: str, waiting: Waiting) -> None:
        self._book.apply(job_id, {"event": "waiting", "at": now(), "reason": waiting.reason, "detail": waiting.detail})

    # -- jobs that may have a container

    async def _adopt(self, record: JobRecord) -> None:
        seen = self._hosts.number
        if record.host is None:
            await self._look_everywhere(record)
            return
        host = self._hosts.by_name(record.host)
        containers = await self._listings.of(host) if host is not None and host.online else None
        if host is None or containers is None:
            self._unreachable(record, host)
            await self._hosts.wait(seen, LOOK_EVERY_S)
            return
        mine = container_of(record, containers)
        if mine is None and record.started_at is None and not await self._absent_for_sure(record, host):
            return
        if mine is None:
            self._book.apply(record.job_id, {"event": "missing", "at": now()})
            return
        alive = mine["state"] in ALIVE
        if alive:
            self.recognise(record, host, mine)
        # What has ended takes no room any more: it is concluded at once.
        await self._follow(record, adopt_on(record, host, take_room=alive), "adopt" if alive else "conclude")

    async def _look_everywhere(self, record: JobRecord) -> None:
        """Find the host of a job whose record was rebuilt and names none."""
        seen = self._hosts.number
        for host in self._hosts.all():
            containers = await self._listings.of(host) if host.online else None
            if containers is not None and container_of(record, containers) is not None:
                self._book.apply(record.job_id, placed_on(host))
                return
        self._end_if_lost(record)
        await self._hosts.wait(seen, LOOK_EVERY_S)

    async def _absent_for_sure(self, record: JobRecord, host: Host) -> bool:
        """A create that a dead runner had sent may still be under way in the engine: look twice."""
        await asyncio.sleep(SECOND_LOOK_S)
        again = await self._listings.of(host, fresh=True)
        return again is not None and all(c["job_id"] != record.job_id for c in again)

    def recognise(self, record: JobRecord, host: Host, container: dict[str, Any]) -> None:
        """Take a container of the host's list as the job's: its state is right at once, its runner follows."""
        if not container.get("started_at"):
            return
        self._book.apply(
            record.job_id,
            {
                "event": "seen_running",
                "at": now(),
                "container_id": container["id"],
                "container_name": container["name"],
                "started_at": container["started_at"],
                "gpus": container.get("gpus") or [],
            },
        )
        self._book.apply(record.job_id, placed_on(host))

    def _unreachable(self, record: JobRecord, host: Host | None) -> None:
        if host is not None and host.online:
            reason = Reason.DOCKER_UNAVAILABLE
            why = host.docker_error or "no list of its containers"
            detail = f"Docker does not answer on the host {record.host}: {why}"
        else:
            reason = Reason.HOST_UNREACHABLE
            detail = f"The host {record.host} is not reachable"
        event = {"event": "unreachable", "at": now(), "reason": reason, "detail": detail}
        self._end_if_lost(self._book.apply(record.job_id, event))

    def _end_if_lost(self, record: JobRecord) -> bool:
        """Whether nobody could say for too long what became of the job; it has ended then."""
        if record.unknown_since is None:
            self._absences.pop(record.job_id, None)
            return False
        absence = self._absences.setdefault(record.job_id, Absence(record.unknown_since))
        if absence.seconds() <= self._options.host_lost_s:
            return False
        where = f"The host {record.host}" if record.host else "The host of this job"
        lost = f"{where} could not be asked for {self._options.host_lost_s:g} s"
        self._book.apply(record.job_id, {"event": "host_lost", "at": now(), "detail": lost})
        return True

    # -- runners

    async def _follow(self, record: JobRecord, placement: Placement, mode: str) -> "Followed":
        """Send a runner and apply its events until it ends, or until it should stand elsewhere."""
        runner = self._send(record, placement, mode)
        self._runners[record.job_id] = runner
        waited = Stopwatch()
        # The Ray node on which the runner works, once it does.
        node_id: str | None = None
        try:
            seen = self._hosts.number
            upcoming = asyncio.ensure_future(_next_event(runner))
            while True:
                patience = LOOK_EVERY_S if node_id else self._patience(mode, waited)
                changed = asyncio.ensure_future(self._hosts.wait(seen, patience))
                await asyncio.wait({upcoming, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if not upcoming.done():
                    seen = self._hosts.number
                    if node_id:
                        wanted = await self._wanted_on(record.job_id, node_id)
                    else:
                        wanted = not self._misplaced(record.job_id, placement, mode, waited)
                    if wanted:
                        continue
                    upcoming.cancel()
                    ray.cancel(runner, force=False)
                    if mode == "adopt" and not node_id:
                        return await self._follow_without_room(record)
                    return Followed.ENDED if node_id else Followed.MISPLACED
                event = await upcoming
                if event is None:
                    return Followed.ENDED
                node_id = event.get("node_id") or node_id
                await self._apply(record, event)
                upcoming = asyncio.ensure_future(_next_event(runner))
        except ray.exceptions.RayError as error:
            logger.warning("The runner of job %s ended: %s", record.job_id, _first_line(error))
            await asyncio.sleep(0.1)
            return Followed.ENDED
        finally:
            if self._runners.get(record.job_id) is runner:
                del self._runners[record.job_id]

    async def _follow_without_room(self, record: JobRecord) -> "Followed":
        host = self._hosts.by_name(record.host or "")
        if host is not None and host.online:
            return await self._follow(record, adopt_on(record, host, take_room=False), "adopt without room")
        return Followed.MISPLACED

    async def _wanted_on(self, job_id: str, node_id: str) -> bool:
        """Whether a runner that has nothing to tell should go on working on its Ray node."""
        record = self._book.find(job_id)
        if record is None:
            return False
        host = self._hosts.by_name(record.host or "")
        if host is not None and host.node_id != node_id:
            # NOTE: Ray (2.60) does not always end the stream of a task whose node it gave up: nobody would follow.
            logger.warning("The runner of job %s was on a node that host %s had before", job_id, host.name)
            return False
        if record.terminal:
            return True
        await self._watch_host(record)
        return not self._end_if_lost(self._book.find(job_id) or record)

    async def _watch_host(self, record: JobRecord) -> None:
        """While the host or its engine is away nobody knows of a running job, though its runner may not notice."""
        host = self._hosts.by_name(record.host or "")
        if host is None or not host.online or not host.docker:
            self._unreachable(record, host)
        elif record.unknown_since is not None:
            container = container_of(record, await self._listings.of(host) or [])
            if container is not None and container["state"] in ALIVE:
                self.recognise(record, host, container)

    async def complete(self, record: JobRecord, host: Host) -> bool:
        """Have the log of an ended job's container completed and the container removed; whether that was done."""
        runner = self._send(record, adopt_on(record, host, take_room=False), "complete")
        deadline = Deadline(COMPLETION_S)
        try:
            while True:
                event = await asyncio.wait_for(_next_event(runner), deadline.left())
                if event is None:
                    return False
                if event["event"] == "exited" and event["log_complete"]:
                    self._book.put(self._book.get(record.job_id).change(log_bytes=event["log_bytes"]))
                    await self._book.flush(record.job_id)
                elif event["event"] == "told":
                    return True
                elif event["event"] in ("missing", "failed"):
                    return False
        except (TimeoutError, OpevaError, ray.exceptions.RayError) as error:
            logger.warning("The log of job %s is not complete yet: %s", record.job_id, _first_line(error))
            ray.cancel(runner, force=False)
            return False

    def _patience(self, mode: str, waited: Stopwatch) -> float:
        if mode == "adopt":
            return max(0.05, self._options.adoption_wait_s - waited.elapsed())
        return ROOM_AFTER_S if waited.elapsed() < ROOM_AFTER_S else LOOK_EVERY_S

    def _misplaced(self, job_id: str, placement: Placement, mode: str, waited: Stopwatch) -> bool:
        """Whether a runner that still waits for its place should be sent anew."""
        record = self._book.find(job_id)
        if record is None or record.terminal:
            return True
        if mode == "adopt":
            return waited.elapsed() >= self._options.adoption_wait_s
        if mode in ("adopt without room", "conclude"):
            host = self._hosts.by_name(record.host or "")
            return host is None or not host.online or adopt_on(record, host, take_room=False) != placement
        wanted = place(record, self._hosts.all())
        if isinstance(wanted, Waiting) or wanted.options != placement.options:
            return True
        if wanted.obstacle is not None:
            self._tell_waiting(job_id, wanted.obstacle)
        elif waited.elapsed() >= ROOM_AFTER_S:
            self._tell_waiting(job_id, Waiting(Reason.WAITING_FOR_ROOM, "Every host that could run it is busy"))
        return False

    def _send(self, record: JobRecord, placement: Placement, mode: str) -> Any:
        return (
            runner_function()
            .options(name=names.runner_name(record.job_name, record.job_id), **placement.options)
            .remote(attempt_spec(record, LAUNCH if mode == "launch" else ADOPT, self._options, self._cluster_id))
        )

    async def _apply(self, sent: JobRecord, event: dict[str, Any]) -> None:
        record = self._book.find(sent.job_id)
        if record is None or record.attempt != sent.attempt:
            return
        kind = event["event"]
        if kind == "placed":
            host = self._hosts.by_node(event["node_id"])
            event = {**event, "host": host.name if host is not None else event["hostname"]}
        where = self._hosts.by_name(record.host or "")
        if where is not None and event.get("detail"):
            event = {**event, "detail": where.told(event["detail"])}
        if kind == "failed" and event["reason"] in _NOT_ITS_FAULT and record.started_at is None:
            if event["reason"] == Reason.DOCKER_UNAVAILABLE:
                self._hosts.engine_failed(record.node_id or "", event.get("detail") or "it does not answer")
            event = {**event, "event": "relaunch"}
        if kind == "running":
            self._failures.pop(sent.job_id, None)
        after = self._book.apply(sent.job_id, event)
        if kind in ("exited", "failed", "missing"):
            await self._make_last(after)
        elif kind == "running":
            await self._try_to_make_last(after)

    async def _try_to_make_last(self, record: JobRecord) -> bool:
        try:
            await self._book.flush(record.job_id)
        except OpevaError as error:
            logger.warning("The record of job %s is not on the disk yet: %s", record.job_id, error.detail)
            return False
        return True

    async def _make_last(self, record: JobRecord) -> None:
        """Have an end on the disk before the runner goes on, which removes the container: one of both must tell it."""
        while True:
            if await self._try_to_make_last(record):
                return
            await asyncio.sleep(RETRY_S)


async def _next_event(runner: Any) -> dict[str, Any] | None:
    """The runner's next event; None after its last."""
    try:
        ref = await anext(runner)
    except StopAsyncIteration:
        return None
    event: dict[str, Any] = await ref
    return event


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
