"""The jobs as an API process sees them: a copy of the records, kept up with the supervisor's, and calls to it.

Reads are answered from the copy, so they are quick and go on while the supervisor restarts. Calls carry ids made here,
so that a call whose answer was lost can be sent again without doing its work twice.
"""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVarTuple

import ray

from workers.common import names
from workers.common.answers import value_of
from workers.common.clock import Deadline, Stopwatch
from workers.common.errors import ErrorCode, NotFound, OpevaError, Unavailable
from workers.common.options import Options
from workers.jobs.records import JobRecord, State
from workers.jobs.request import JobRequest
from workers.supervision.feed import ChangeFeed
from workers.supervision.launch import launch
from workers.supervision.supervisor import JobSupervisor
from workers.supervision.supervisor_answers import HostsAnswer, News

logger = logging.getLogger(__name__)

Arguments = TypeVarTuple("Arguments")
#: A method of the supervisor whose answer is one of `workers.common.answers`, as it is declared.
Method = Callable[[JobSupervisor, *Arguments], Coroutine[Any, Any, dict[str, Any]]]

#: How long a call may take altogether, retries after a restart of the supervisor included.
CALL_TIMEOUT_S = 30.0
#: The supervisor keeps a reader of changes waiting at most so long.
POLL_S = 2.0
#: Pause before the next try after the supervisor did not answer.
RETRY_S = 0.3


@dataclass(frozen=True)
class Health:
    """How the supervision is: `latency_ms` of one call; `storage` says what is wrong there, if anything is."""

    latency_ms: float
    cluster_id: str | None
    storage: str | None


class JobsClient:
    """One per API process. `start` before use, `close` at the end."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._records: dict[str, JobRecord] = {}
        #: The number of each job's last change in the supervisor's feed of this epoch.
        self._changes: dict[str, int] = {}
        self._newest_first: list[JobRecord] | None = None
        self._hosts: HostsAnswer = {"available_hosts": [], "hosts": {}}
        self._feed = ChangeFeed()
        self._epoch = ""
        self._number = 0
        self._news: News | None = None
        #: Tells the supervisor which of its readers this one is.
        self._name = uuid.uuid4().hex
        self._synced = asyncio.Event()
        self._supervisor: Any = None
        self._problem = "it was not asked yet"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep the copy; a supervisor is made if there is none."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_up(), name="keep up with the job supervisor")

    async def close(self) -> None:
        """Keep the copy no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # -- reads

    async def get(self, job_id: str) -> JobRecord:
        """A job's record. Raises NotFound, Unavailable."""
        await self._have_copy()
        record = self._records.get(job_id)
        if record is None:
            # Another API process may have accepted it a moment ago.
            record = self._keep(await self._call(JobSupervisor.get, job_id))
        return record

    def known(self, job_id: str) -> JobRecord | None:
        """A job's record as the copy has it now, or None."""
        return self._records.get(job_id)

    async def jobs(self) -> Sequence[JobRecord]:
        """All records, newest submission first; not to be changed. Raises Unavailable before the first copy."""
        await self._have_copy()
        if self._newest_first is None:
            self._newest_first = sorted(
                self._records.values(), key=lambda record: (record.submitted_at, record.job_id), reverse=True
            )
        return self._newest_first

    async def queue(self) -> list[JobRecord]:
        """The jobs that wait, in the order of their submission."""
        return [record for record in reversed(await self.jobs()) if record.state is State.QUEUED]

    async def hosts(self) -> HostsAnswer:
        """The hosts."""
        await self._have_copy()
        return self._hosts

    @property
    def number(self) -> int:
        """The number of the copy's last change, for `changes` and `wait_change`."""
        return self._feed.number

    async def wait_change(self, number: int, timeout_s: float) -> bool:
        """Wait until any job changed after `number`; False if none did in time."""
        return await self._feed.wait(number, timeout_s)

    async def changes(self, after: int) -> AsyncIterator[tuple[int, JobRecord | str]]:
        """The changes after a number, for ever: the job's record, or its id where it was removed."""
        number = after
        while True:
            await self._feed.wait(number, POLL_S)
            keys, number = self._feed.after(number), self._feed.number
            for key in keys:
                yield number, self._records.get(key) or key

    async def health(self) -> Health:
        """Ask the supervisor itself. Raises Unavailable."""
        watch = Stopwatch()
        await self._have_copy()
        await self._call(JobSupervisor.changes, self._epoch, -1, 0.0, None)
        latency_ms = 1000 * watch.elapsed()
        if self._news is None:
            return Health(latency_ms, None, None)
        return Health(latency_ms, self._news["cluster_id"], self._news["storage"])

    # -- calls

    async def submit(self, request: JobRequest) -> JobRecord:
        """Have a job accepted: its record, once it is on the disk.

        Raises:
            NotFound, Conflict, StorageFull, Unavailable: it was not accepted, and nothing of it is left.
        """
        return await self._changed(JobSupervisor.submit, names.new_job_id(), request.to_dict())

    async def stop(self, job_id: str) -> tuple[JobRecord, str | None]:
        """Ask for a job's end: its record, and why that is not on the disk yet, if so. Raises NotFound, Unavailable."""
        answer = await self._call(JobSupervisor.stop, job_id)
        return self._keep(answer), answer.get("unwritten")

    async def requeue(self, job_id: str, submitted_by: str | None = None) -> JobRecord:
        """A new job from an ended one's snapshot. Raises NotFound, Conflict, Unavailable."""
        return await self._changed(JobSupervisor.requeue, job_id, names.new_job_id(), submitted_by)

    async def delete(self, job_id: str, force: bool) -> None:
        """Remove a job. Raises NotFound, Conflict, Unavailable."""
        record = await self.get(job_id)
        longest = record.stop_grace_s + self._options.kill_deadline_s + 2 * self._options.docker_timeout_s
        try:
            await self._call(JobSupervisor.delete, job_id, force, timeout_s=CALL_TIMEOUT_S + (longest if force else 0))
        except NotFound:
            # An earlier try of this very call may have removed it; the copy knew the job.
            logger.info("Job %s was removed already", job_id)
        self._drop(job_id)

    # -- the way to the supervisor

    async def _changed(self, method: Method[*Arguments], *args: *Arguments) -> JobRecord:
        return self._keep(await self._call(method, *args))

    async def _call(self, method: Method[*Arguments], *args: *Arguments, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Call a method of the supervisor, e.g. `_call(JobSupervisor.get, job_id)`; wait for one that restarts, within
        the deadline."""
        deadline = Deadline(timeout_s)
        while True:
            try:
                return value_of(await self._send(method, *args, timeout_s=deadline.left()))
            except ray.exceptions.RayTaskError:
                # An error of the supervisor itself: sending the call again would not mend it.
                raise
            except (ray.exceptions.RayError, TimeoutError, ValueError) as error:
                self._problem = _sentence(error)
                self._supervisor = None
            if deadline.left() < RETRY_S:
                raise Unavailable(
                    f"The job supervisor does not answer: {self._problem}", ErrorCode.SUPERVISOR_UNAVAILABLE
                ) from None
            await asyncio.sleep(RETRY_S)

    async def _send(self, method: Method[*Arguments], *args: *Arguments, timeout_s: float) -> dict[str, Any]:
        # Looking a name up asks Ray's control service, which may be away: not in the event loop.
        if self._supervisor is None:
            self._supervisor = await asyncio.wait_for(asyncio.to_thread(_look_up), timeout_s)
        # The one place where a method is found by its name: Ray's handles have no types.
        called = getattr(self._supervisor, method.__name__)
        # In a context of its own: calls made in a request's context are canceled with the request.
        reference = contextvars.Context().run(called.remote, *args)
        answer: dict[str, Any] = await asyncio.wait_for(
            asyncio.shield(asyncio.wrap_future(reference.future())), timeout_s
        )
        return answer

    # -- the copy

    async def _have_copy(self) -> None:
        """Wait for the first copy. Raises Unavailable."""
        try:
            await asyncio.wait_for(self._synced.wait(), CALL_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable(
                f"The job supervisor does not answer: {self._problem}", ErrorCode.SUPERVISOR_UNAVAILABLE
            ) from None

    async def _keep_up(self) -> None:
        replace = True
        while True:
            try:
                if self._supervisor is None or replace:
                    await self._ensure(replace=replace)
                    replace = False
                answer = await self._send(
                    JobSupervisor.changes,
                    self._epoch,
                    self._number,
                    POLL_S,
                    self._name,
                    timeout_s=POLL_S + CALL_TIMEOUT_S,
                )
                self._take(value_of(answer))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                # Whatever it is, the copy must be kept up.
                self._problem = _sentence(error)
                self._supervisor = None
                logger.warning("The job supervisor does not answer, trying again: %s", self._problem)
                await asyncio.sleep(RETRY_S)

    async def _ensure(self, *, replace: bool) -> None:
        """Have a supervisor. Only at the start is one with other options or code replaced: later, it is newer."""
        if not replace:
            try:
                self._supervisor = await asyncio.to_thread(_look_up)
            except ValueError:
                logger.info("There is no job supervisor; making one")
            else:
                return
        address = ray.get_runtime_context().gcs_address
        await asyncio.to_thread(launch, self._options.to_dict(), address, replace=replace)
        self._supervisor = await asyncio.to_thread(_look_up)

    def _take(self, news: News) -> None:
        if news["reset"]:
            gone = set(self._records) - {data["job_id"] for data in news["records"]}
            for job_id in gone:
                self._drop(job_id)
            self._changes.clear()
        self._epoch, self._number = news["epoch"], news["number"]
        for data in news["records"]:
            self._keep(data)
        for job_id in news["removed"]:
            self._drop(job_id)
        if news["hosts_settled"] or not self._synced.is_set():
            self._hosts = news["hosts"]
        self._news = news
        self._synced.set()

    def _keep(self, data: dict[str, Any]) -> JobRecord:
        """Take a record as the supervisor gives it, unless the copy has a later change of it already."""
        record = JobRecord.from_dict(data)
        epoch, number = data["change"]
        known = self._records.get(record.job_id)
        if epoch == self._epoch:
            if known is not None and number < self._changes.get(record.job_id, 0):
                return known
            self._changes[record.job_id] = number
        if known != record:
            self._records[record.job_id] = record
            self._newest_first = None
            self._feed.note(record.job_id)
        return record

    def _drop(self, job_id: str) -> None:
        if self._records.pop(job_id, None) is not None:
            self._newest_first = None
            self._feed.note(job_id)


def _look_up() -> Any:
    """The supervisor's handle. Raises ValueError if there is none."""
    return ray.get_actor(names.SUPERVISOR_NAME, namespace=names.NAMESPACE)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OpevaError):
        return error.detail
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
