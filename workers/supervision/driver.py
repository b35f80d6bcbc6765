"""Drives each job from its record to its end: one task per job, which sends runners and looks at hosts.

The loop closes the gap between what a record says and what is there. A job that never had a container is launched; one
that may have a container is adopted where it ran; a host that can't be asked is waited for. Whatever ends a runner (its
process, its node, Ray), the loop looks again. What to do is decided in `decisions`; here it is done.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from workers.common.clock import now
from workers.common.errors import OpevaError
from workers.jobs.records import JobRecord
from workers.supervision.book import JobBook
from workers.supervision.decisions import (
    LOOK_EVERY_S,
    RETRY_S,
    AfterLaunch,
    Errand,
    NoContainer,
    Sent,
    Step,
    adoption,
    after_launch,
    container_of,
    launch_pause_s,
    next_step,
    waiting_for_storage,
)
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.placement import Waiting, adopt_on, place
from workers.supervision.runners import Attended, Runners
from workers.supervision.whereabouts import Whereabouts

logger = logging.getLogger(__name__)

#: A container that a claim allowed and that is nowhere is looked for once more after so long before a new launch.
SECOND_LOOK_S = 2.0


class JobDriver:
    """Sees each job to its end."""

    def __init__(
        self,
        book: JobBook,
        hosts: HostDirectory,
        listings: Listings,
        whereabouts: Whereabouts,
        runners: Runners,
        storage_fault: Callable[[], OpevaError | None],
    ) -> None:
        """`storage_fault` says why nothing can be written at the moment."""
        self._book = book
        self._hosts = hosts
        self._listings = listings
        self._whereabouts = whereabouts
        self._runners = runners
        self._storage_fault = storage_fault
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: A job's launches in a row that came to nothing.
        self._failures: dict[str, int] = {}
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

    async def _drive(self, job_id: str) -> None:
        while True:
            record = self._book.find(job_id)
            step = next_step(record)
            if record is None or step is Step.CLOSE:
                self._failures.pop(job_id, None)
                self._whereabouts.forget(job_id)
                if record is not None and self.on_end is not None:
                    await self.on_end(record)
                return
            try:
                await (self._adopt(record) if step is Step.ADOPT else self._launch(record))
            except Exception:
                # Nothing may end the supervision of a job; what went wrong is logged and tried again.
                logger.exception("The supervision of job %s failed and goes on", job_id)
                await asyncio.sleep(RETRY_S)

    # -- jobs that never had a container

    async def _launch(self, record: JobRecord) -> None:
        await self.may_launch.wait()
        job_id = record.job_id
        seen = self._hosts.number
        held = waiting_for_storage(self._storage_fault())
        if held is not None:
            self._runners.say_waiting(job_id, held)
            await asyncio.sleep(RETRY_S)
            return
        placement = place(record, self._hosts.all())
        if isinstance(placement, Waiting):
            self._runners.say_waiting(job_id, placement)
            await self._hosts.wait(seen, LOOK_EVERY_S)
            return
        if placement.obstacle is not None:
            self._runners.say_waiting(job_id, placement.obstacle)
        attended = await self._runners.attend(Sent(record, placement, Errand.LAUNCH))
        after = self._book.find(job_id)
        outcome = after_launch(record, after)
        if after is None or outcome is AfterLaunch.SETTLED:
            return
        if outcome is AfterLaunch.NEW_ATTEMPT:
            # As an older attempt's, the runner that ended will never be allowed to make a container.
            self._book.apply(job_id, {"event": "relaunch", "at": now(), "reason": after.reason, "detail": after.detail})
        if attended is not Attended.MISPLACED:
            failures = self._failures[job_id] = self._failures.get(job_id, 0) + 1
            await self._hosts.wait(seen, launch_pause_s(failures))

    # -- jobs that may have a container

    async def _adopt(self, record: JobRecord) -> None:
        seen = self._hosts.number
        host = self._hosts.by_name(record.host or "")
        containers = await self._listings.of(host) if host is not None and host.online else None
        decision = adoption(record, host, containers)
        if decision is NoContainer.HOST_NOT_KNOWN:
            await self._look_everywhere(record)
        elif host is None or decision is NoContainer.UNREACHABLE:
            self._whereabouts.unreachable(record, host)
            await self._hosts.wait(seen, LOOK_EVERY_S)
        elif isinstance(decision, NoContainer):
            if decision is NoContainer.GONE or await self._absent_for_sure(record, host):
                self._book.apply(record.job_id, {"event": "missing", "at": now()})
        else:
            alive = decision.errand is Errand.ADOPT
            if alive:
                self._whereabouts.seen(record, host, decision.container)
            # What has ended takes no room any more: it is concluded at once.
            await self._runners.attend(Sent(record, adopt_on(record, host, take_room=alive), decision.errand))

    async def _look_everywhere(self, record: JobRecord) -> None:
        """Find the host of a job whose record was rebuilt and names none."""
        seen = self._hosts.number
        for host in self._hosts.all():
            containers = await self._listings.of(host) if host.online else None
            if containers is not None and container_of(record, containers) is not None:
                self._whereabouts.at(record.job_id, host)
                return
        self._whereabouts.end_if_lost(record)
        await self._hosts.wait(seen, LOOK_EVERY_S)

    async def _absent_for_sure(self, record: JobRecord, host: Host) -> bool:
        """A create that a dead runner had sent may still be under way in the engine: look twice."""
        await asyncio.sleep(SECOND_LOOK_S)
        again = await self._listings.of(host, fresh=True)
        return again is not None and all(c["job_id"] != record.job_id for c in again)
