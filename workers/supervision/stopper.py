"""Stops jobs until they are stopped: asks the host's agent, and asks again until the end is confirmed."""

import asyncio
import logging

from workers.common.clock import Deadline, now
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.jobs.records import JobRecord, State
from workers.supervision.book import JobBook
from workers.supervision.hosts import HostDirectory
from workers.supervision.runners import Runners

logger = logging.getLogger(__name__)

#: The runner has this long to report the end that the agent saw, log and all, before the agent is asked again.
CONCLUSION_S = 15.0
#: A container that a claim allowed may not be there yet: the agent is asked again after so long.
NOT_YET_S = 0.5


class Stopper:
    """One task for each job whose end was asked for; it lives until the job has ended."""

    def __init__(
        self, book: JobBook, hosts: HostDirectory, runners: Runners, options: Options, cluster_id: str
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._runners = runners
        self._options = options
        self._cluster_id = cluster_id
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ensure(self, job_id: str) -> None:
        """See to it that the job ends."""
        if job_id not in self._tasks:
            task = asyncio.create_task(self._stop(job_id), name=f"stop {job_id}")
            self._tasks[job_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _stop(self, job_id: str) -> None:
        pause = self._options.stop_retry_s
        while True:
            record = self._book.find(job_id)
            if record is None or record.state is not State.STOP_REQUESTED:
                return
            problem = await self._try_once(record)
            if problem is None:
                continue
            logger.warning("Job %s is not stopped yet: %s", job_id, problem)
            self._book.apply(job_id, {"event": "stop_failed", "at": now(), "detail": problem})
            seen = self._hosts.number
            await self._hosts.wait(seen, pause)
            pause = min(2 * pause, self._options.stop_retry_max_s)

    async def _try_once(self, record: JobRecord) -> str | None:
        """One try. A sentence if it did not succeed, None if the job ended or is to be looked at again at once."""
        host = self._hosts.by_name(record.host or "")
        if host is None or not host.online:
            return f"The stop could not be sent: the host {record.host} is not reachable"
        within = record.stop_grace_s + self._options.kill_deadline_s + 2 * self._options.docker_timeout_s
        try:
            answer = await self._hosts.call(
                host,
                within,
                HostAgent.stop,
                self._cluster_id,
                record.job_id,
                record.stop_grace_s,
                self._options.kill_deadline_s,
            )
        except Exception as error:
            # Whatever the call met, the stop is not confirmed and is tried again.
            said = str(error).strip().split("\n", 1)[0] or type(error).__name__
            return f"The stop could not be sent to the host {host.name}: {said}"
        outcome = answer["outcome"]
        if outcome == "absent":
            return await self._nothing_there(record)
        if outcome != "stopped":
            return f"The host {host.name} could not confirm the stop: {host.named(answer['detail']) or outcome}"
        # The runner reports the end: it has the log and the exit code.
        if await self._ended(record.job_id, CONCLUSION_S):
            return None
        return f"The container is stopped on {host.name}; its end is not concluded yet"

    async def _nothing_there(self, record: JobRecord) -> str | None:
        if self._runners.has(record.job_id):
            # Its container is about to be made, or its end is being reported.
            await self._ended(record.job_id, NOT_YET_S)
            return None
        self._book.apply(record.job_id, {"event": "missing", "at": now()})
        return None

    async def _ended(self, job_id: str, within_s: float) -> bool:
        deadline = Deadline(within_s)
        while not deadline.passed():
            record = self._book.find(job_id)
            if record is None or record.terminal:
                return True
            await self._book.feed.wait(self._book.feed.number, min(0.5, deadline.left()))
        return False
