"""Drives each job from its record to its end: one task per job, which sends runners and follows what they tell.

The loop closes the gap between what a record says and what is there. A job that never had a container is launched; one
that may have a container is adopted where it ran; a host that can't be asked is waited for. Whatever ends a runner (its
process, its node, Ray), the loop looks again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import ray

from workers import names
from workers.book import JobBook
from workers.clock import Stopwatch, now
from workers.errors import OpevaError
from workers.hosts import Host, HostDirectory
from workers.listings import Listings
from workers.options import Options
from workers.placement import Placement, Waiting, adopt_on, place
from workers.records import JobRecord, Reason
from workers.remote import runner_function

logger = logging.getLogger(__name__)

#: A queued job that Ray did not place within this time is said to wait for room.
ROOM_AFTER_S = 1.0
#: Pause before a job is looked at again after something unforeseen.
RETRY_S = 1.0
#: While nothing changes, a waiting job's situation is looked at again after so long.
LOOK_EVERY_S = 5.0
#: A container that a claim allowed and that is nowhere is looked for once more after so long before a new launch.
SECOND_LOOK_S = 2.0


class JobDriver:
    """Sends runners for jobs and applies their events to the book."""

    def __init__(
        self, book: JobBook, hosts: HostDirectory, listings: Listings, options: Options, cluster_id: str
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._listings = listings
        self._options = options
        self._cluster_id = cluster_id
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runners: dict[str, Any] = {}
        #: Called with a job's id when it has ended.
        self.on_end: Callable[[str], None] = lambda job_id: None

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
            if record is None:
                return
            if record.terminal:
                self.on_end(job_id)
                return
            try:
                await (self._adopt(record) if record.placed else self._launch(record))
            except Exception:
                # Nothing may end the supervision of a job; what went wrong is told and tried again.
                logger.exception("The supervision of job %s failed and goes on", job_id)
                await asyncio.sleep(RETRY_S)

    # -- jobs that never had a container

    async def _launch(self, record: JobRecord) -> None:
        seen = self._hosts.number
        placement = place(record, self._hosts.all())
        if isinstance(placement, Waiting):
            self._tell_waiting(record.job_id, placement)
            await self._hosts.wait(seen, LOOK_EVERY_S)
            return
        if placement.obstacle is not None:
            self._tell_waiting(record.job_id, placement.obstacle)
        await self._follow(record, placement, "launch")
        after = self._book.find(record.job_id)
        if after is not None and not after.terminal and not after.placed and after.attempt == record.attempt:
            # Its runner ended before it was allowed to make a container: another may try.
            self._book.apply(record.job_id, {"event": "relaunch", "at": now()})
            await asyncio.sleep(RETRY_S)

    def _tell_waiting(self, job_id: str, waiting: Waiting) -> None:
        self._book.apply(job_id, {"event": "waiting", "at": now(), "reason": waiting.reason, "detail": waiting.detail})

    # -- jobs that may have a container

    async def _adopt(self, record: JobRecord) -> None:
        seen = self._hosts.number
        host = self._hosts.by_name(record.host or "")
        containers = None
        if host is not None and host.online:
            containers = await self._listings.of(host)
        if host is None or containers is None:
            self._unreachable(record, host)
            await self._hosts.wait(seen, LOOK_EVERY_S)
            return
        mine = [c for c in containers if c["job_id"] == record.job_id and int(c["attempt"]) == record.attempt]
        if not mine and record.started_at is None and not await self._absent_for_sure(record, host):
            return
        if not mine:
            self._book.apply(record.job_id, {"event": "missing", "at": now()})
            return
        self.recognise(record, host, mine[0])
        await self._follow(record, adopt_on(record, host, take_room=True), "adopt")

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
        placed = {"event": "placed", "host": host.name, "node_id": host.node_id, "address": host.address, "at": now()}
        self._book.apply(record.job_id, placed)

    def _unreachable(self, record: JobRecord, host: Host | None) -> None:
        where = record.host or "an unknown host"
        if host is not None and host.online:
            detail = f"Docker does not answer on the host {where}: {host.docker_error or 'no list of its containers'}"
        else:
            detail = f"The host {where} is not reachable"
        after = self._book.apply(record.job_id, {"event": "unreachable", "at": now(), "detail": detail})
        since = after.unknown_since
        if since is not None and now() - since > self._options.host_lost_s:
            lost = f"The host {where} was not reachable for {self._options.host_lost_s:g} s"
            self._book.apply(record.job_id, {"event": "host_lost", "at": now(), "detail": lost})

    # -- runners

    async def _follow(self, record: JobRecord, placement: Placement, mode: str) -> None:
        """Send a runner and apply its events until it ends, or until it should stand elsewhere."""
        runner = self._send(record, placement, mode)
        self._runners[record.job_id] = runner
        waited = Stopwatch()
        placed = False
        try:
            seen = self._hosts.number
            upcoming = asyncio.ensure_future(_next_event(runner))
            while True:
                if not placed:
                    changed = asyncio.ensure_future(self._hosts.wait(seen, self._patience(mode, waited)))
                    await asyncio.wait({upcoming, changed}, return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
                    if not upcoming.done():
                        seen = self._hosts.number
                        if self._misplaced(record.job_id, placement, mode, waited):
                            ray.cancel(runner, force=False)
                            upcoming.cancel()
                            if mode == "adopt":
                                await self._follow_without_room(record)
                            return
                        continue
                event = await upcoming
                if event is None:
                    return
                placed = True
                await self._apply(record, event)
                upcoming = asyncio.ensure_future(_next_event(runner))
        except ray.exceptions.RayError as error:
            logger.warning("The runner of job %s ended: %s", record.job_id, _first_line(error))
            await asyncio.sleep(0.1)
        finally:
            if self._runners.get(record.job_id) is runner:
                del self._runners[record.job_id]

    async def _follow_without_room(self, record: JobRecord) -> None:
        host = self._hosts.by_name(record.host or "")
        if host is not None and host.online:
            await self._follow(record, adopt_on(record, host, take_room=False), "adopt without room")

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
        if mode == "adopt without room":
            host = self._hosts.by_name(record.host or "")
            return host is None or not host.online
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
            .remote(self._spec(record, "adopt" if mode.startswith("adopt") else "launch"))
        )

    def _spec(self, record: JobRecord, mode: str) -> dict[str, Any]:
        options = self._options
        words = {"config": f"/data/jobs/{record.job_id}/config.yaml", "job_id": record.job_id}
        return {
            "mode": mode,
            "job_id": record.job_id,
            "attempt": record.attempt,
            "job_name": record.job_name,
            "cluster_id": self._cluster_id,
            "image": record.image,
            "command": [_filled(word, words) for word in options.command_for(record.image)],
            "env": {**options.container_env, "OPEVA_JOB_NAME": record.job_name, **record.env},
            "cpus": record.cpus,
            "gpus": record.gpus,
            "memory": record.memory,
            "timeout_s": record.timeout_s,
            "stop_grace_s": record.stop_grace_s,
            "shared_root": options.shared_root,
            "host_root": options.host_shared_root,
            "writable": list(options.writable_paths),
            "open_root": options.open_root,
            "network": options.container_network,
            "user": options.container_user,
            "pull": options.pull_policy,
            "pull_timeout_s": options.pull_timeout_s,
            "start_timeout_s": options.start_timeout_s,
            "docker_timeout_s": options.docker_timeout_s,
            "kill_deadline_s": options.kill_deadline_s,
            "claim_timeout_s": options.claim_timeout_s,
            "supervisor": {"name": names.SUPERVISOR_NAME, "namespace": names.NAMESPACE},
        }

    async def _apply(self, sent: JobRecord, event: dict[str, Any]) -> None:
        record = self._book.find(sent.job_id)
        if record is None or record.attempt != sent.attempt:
            return
        kind = event["event"]
        if kind == "placed":
            host = self._hosts.by_node(event["node_id"])
            event = {**event, "host": host.name if host is not None else event["hostname"]}
        if kind == "failed" and event["reason"] == Reason.DOCKER_UNAVAILABLE and record.started_at is None:
            # Not the job's fault: it goes back to the queue until an engine answers.
            self._hosts.engine_failed(record.node_id or "", event.get("detail") or "it does not answer")
            event = {**event, "event": "relaunch"}
        after = self._book.apply(sent.job_id, event)
        if kind in ("running", "exited", "failed", "missing"):
            await self._make_last(after)

    async def _make_last(self, record: JobRecord) -> None:
        """Have the record on the disk before the runner goes on (after an exit it removes the container)."""
        try:
            await self._book.flush(record.job_id)
        except OpevaError as error:
            # The journal keeps trying; the sweeper sees to a container that is left.
            logger.warning("The record of job %s is not on the disk yet: %s", record.job_id, error.detail)


async def _next_event(runner: Any) -> dict[str, Any] | None:
    """The runner's next event; None after its last."""
    try:
        ref = await anext(runner)
    except StopAsyncIteration:
        return None
    event: dict[str, Any] = await ref
    return event


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
