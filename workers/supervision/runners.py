"""Sends runners (a Ray task each, `remote`) and attends them: takes their events into the book until they end.

A runner that waits for its place in Ray is looked at whenever the hosts change, and taken back if it should stand
elsewhere; one that works is looked at too, since it may not notice that its host went away (`decisions`).
"""

import asyncio
import logging
from enum import Enum, auto
from typing import Any

import ray

from workers.common import names
from workers.common.clock import Deadline, Stopwatch, now
from workers.common.errors import OpevaError
from workers.common.options import Options
from workers.host.remote import runner_function
from workers.jobs.attempt_spec import attempt_spec
from workers.jobs.events import RunnerEvent
from workers.jobs.records import JobRecord
from workers.supervision.book import JobBook
from workers.supervision.decisions import (
    ALIVE,
    LOOK_EVERY_S,
    RETRY_S,
    Errand,
    Leave,
    Sent,
    Stay,
    Work,
    Writing,
    container_of,
    engine_fault,
    for_the_book,
    patience_s,
    while_waiting,
    while_working,
    writing,
)
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.placement import Waiting, adopt_on
from workers.supervision.whereabouts import Whereabouts

logger = logging.getLogger(__name__)

#: How long an ended container's log may take to be completed before the next try.
COMPLETION_S = 120.0


class Attended(Enum):
    """How attending a runner ended."""

    #: The runner ended, by itself or with its process or node.
    ENDED = auto()
    #: It was taken back before it had its place, since it should stand elsewhere.
    MISPLACED = auto()


class Runners:
    """The runners that wait or work, one per job."""

    def __init__(
        self,
        book: JobBook,
        hosts: HostDirectory,
        listings: Listings,
        whereabouts: Whereabouts,
        options: Options,
        cluster_id: str,
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._listings = listings
        self._whereabouts = whereabouts
        self._options = options
        self._cluster_id = cluster_id
        self._runners: dict[str, Any] = {}

    def has(self, job_id: str) -> bool:
        """Whether a runner of the job waits or works."""
        return job_id in self._runners

    def withdraw(self, job_id: str) -> None:
        """Take back the runner of a job that was canceled: it must not start any more."""
        runner = self._runners.get(job_id)
        if runner is not None:
            ray.cancel(runner, force=False)

    def say_waiting(self, job_id: str, waiting: Waiting) -> None:
        """Put on record why a queued job waits."""
        self._book.apply(job_id, {"event": "waiting", "at": now(), "reason": waiting.reason, "detail": waiting.detail})

    async def attend(self, sent: Sent) -> Attended:
        """Send a runner and apply its events until it ends, or until it should stand elsewhere."""
        job_id = sent.record.job_id
        runner = self._send(sent)
        self._runners[job_id] = runner
        waited = Stopwatch()
        # The Ray node on which the runner works, once it does.
        node_id: str | None = None
        try:
            seen = self._hosts.number
            upcoming = asyncio.ensure_future(_next_event(runner))
            while True:
                waiting_s = patience_s(sent.errand, waited.elapsed(), self._options.adoption_wait_s)
                changed = asyncio.ensure_future(self._hosts.wait(seen, LOOK_EVERY_S if node_id else waiting_s))
                await asyncio.wait({upcoming, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if upcoming.done():
                    event = await upcoming
                    if event is None:
                        return Attended.ENDED
                    if event["event"] == "placed":
                        node_id = event["node_id"]
                    await self._apply(sent.record, event)
                    upcoming = asyncio.ensure_future(_next_event(runner))
                    continue
                seen = self._hosts.number
                if node_id:
                    if await self._goes_on(job_id, node_id):
                        continue
                    parting = None
                else:
                    decision = self._look(sent, waited.elapsed())
                    if isinstance(decision, Stay):
                        continue
                    parting = decision
                upcoming.cancel()
                ray.cancel(runner, force=False)
                if parting is Leave.NO_ROOM:
                    return await self._adopt_without_room(sent)
                return Attended.ENDED if parting is None else Attended.MISPLACED
        except ray.exceptions.RayError as error:
            logger.warning("The runner of job %s ended: %s", job_id, _first_line(error))
            await asyncio.sleep(0.1)
            return Attended.ENDED
        finally:
            if self._runners.get(job_id) is runner:
                del self._runners[job_id]

    def _look(self, sent: Sent, waited_s: float) -> Stay | Leave:
        """What becomes of a runner that waits for its place; says why a queued job waits."""
        record = self._book.find(sent.record.job_id)
        decision = while_waiting(sent, record, self._hosts.all(), waited_s, self._options.adoption_wait_s)
        if isinstance(decision, Stay) and decision.say is not None:
            self.say_waiting(sent.record.job_id, decision.say)
        return decision

    async def _adopt_without_room(self, sent: Sent) -> Attended:
        host = self._hosts.by_name(sent.record.host or "")
        if host is None:
            return Attended.MISPLACED
        placement = adopt_on(sent.record, host, take_room=False)
        return await self.attend(Sent(sent.record, placement, Errand.ADOPT_WITHOUT_ROOM))

    async def _goes_on(self, job_id: str, node_id: str) -> bool:
        """Whether a runner that has nothing to report should go on working on its Ray node."""
        record = self._book.find(job_id)
        host = None if record is None else self._hosts.by_name(record.host or "")
        work = while_working(record, host, node_id)
        if record is None or work is Work.GIVE_UP:
            # NOTE: Ray (2.60) does not always end the stream of a task whose node it gave up, so it is not waited for.
            logger.warning("The runner of job %s is given up: its job or its node is gone", job_id)
            return False
        if work is Work.UNREACHABLE:
            self._whereabouts.unreachable(record, host)
        elif work is Work.LOOK and host is not None:
            container = container_of(record, await self._listings.of(host) or [])
            if container is not None and container["state"] in ALIVE:
                self._whereabouts.seen(record, host, container)
        return not self._whereabouts.end_if_lost(self._book.find(job_id) or record)

    async def complete(self, record: JobRecord, host: Host) -> bool:
        """Have the log of an ended job's container completed and the container removed; whether that was done."""
        runner = self._send(Sent(record, adopt_on(record, host, take_room=False), Errand.COMPLETE))
        deadline = Deadline(COMPLETION_S)
        try:
            while True:
                event = await asyncio.wait_for(_next_event(runner), deadline.left())
                if event is None:
                    return False
                if event["event"] == "exited" and event["log_complete"]:
                    self._book.put(self._book.get(record.job_id).change(log_bytes=event["log_bytes"]))
                    await self._book.flush(record.job_id)
                elif event["event"] == "exit_taken":
                    return True
                elif event["event"] in ("missing", "failed"):
                    return False
        except (TimeoutError, OpevaError, ray.exceptions.RayError) as error:
            logger.warning("The log of job %s is not complete yet: %s", record.job_id, _first_line(error))
            ray.cancel(runner, force=False)
            return False

    def _send(self, sent: Sent) -> Any:
        record = sent.record
        return (
            runner_function()
            .options(name=names.runner_name(record.job_name, record.job_id), **sent.placement.options)
            .remote(attempt_spec(record, sent.errand.mode, self._options, self._cluster_id))
        )

    async def _apply(self, sent: JobRecord, event: RunnerEvent) -> None:
        record = self._book.find(sent.job_id)
        if record is None or record.attempt != sent.attempt:
            return
        kind = event["event"]
        reported = for_the_book(event, record, self._hosts.all())
        fault = engine_fault(reported)
        if fault is not None:
            self._hosts.engine_failed(record.node_id or "", fault)
        after = record if reported is None else self._book.apply(sent.job_id, reported)
        if writing(kind) is Writing.DONE:
            await self._write(after)
        elif writing(kind) is Writing.TRIED:
            await self._written(after)

    async def _write(self, record: JobRecord) -> None:
        while True:
            if await self._written(record):
                return
            await asyncio.sleep(RETRY_S)

    async def _written(self, record: JobRecord) -> bool:
        try:
            await self._book.flush(record.job_id)
        except OpevaError as error:
            logger.warning("The record of job %s is not on the disk yet: %s", record.job_id, error.detail)
            return False
        return True


async def _next_event(runner: Any) -> RunnerEvent | None:
    """The runner's next event; None after its last."""
    try:
        ref = await anext(runner)
    except StopAsyncIteration:
        return None
    event: RunnerEvent = await ref
    return event


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
