"""Writes changed records to the storage, many per round, and wakes those who wait for theirs to be safe.

One writer at a time works through what is marked; what is marked meanwhile goes into the next round, so that the
number of flushes does not grow with the load. A storage that fails is tried again until it works; until then
`fault` says what is wrong, nothing is forgotten, and reads go on from memory. A root that is not the installation's
(`guard`) is not written to.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from workers.common.clock import Stopwatch
from workers.common.errors import ErrorCode, OpevaError, StorageFull, Unavailable
from workers.common.files import storage_error
from workers.common.layout import Layout
from workers.jobs.record_files import TrackLines, write_record, write_track
from workers.jobs.records import JobRecord

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds between two tries on a storage that fails.
RETRY_S = 1.0
#: The map of all jobs is written at most this often, and less often where it is so large that writing takes time.
TRACK_EVERY_S = 0.2
#: A storage that has not taken a record within this time is said to be away; the write itself goes on.
FLUSH_TIMEOUT_S = 20.0
_WRITERS = 4


class Journal:
    """The only writer of `record.json` and `job_track.json`."""

    def __init__(
        self,
        layout: Layout,
        record_of: Callable[[str], JobRecord | None],
        all_records: Callable[[], Iterable[JobRecord]],
        guard: Callable[[], None],
    ) -> None:
        """`guard` is called in the writing threads before each write; what it raises keeps the write from happening."""
        self._layout = layout
        self._guard = guard
        self._record_of = record_of
        self._all_records = all_records
        self._dirty: dict[str, None] = {}
        self._in_flight: set[str] = set()
        self._failed: set[str] = set()
        self._waiters: list[tuple[str, asyncio.Future[None]]] = []
        self._marked = asyncio.Event()
        self._track_stale = asyncio.Event()
        self._track_lines = TrackLines()
        self._threads = ThreadPoolExecutor(_WRITERS, thread_name_prefix="journal")
        self._tasks: list[asyncio.Task[None]] = []
        #: Why the storage can't be written at the moment, or None.
        self.fault: OpevaError | None = None

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._write_records()), asyncio.create_task(self._write_tracks())]

    def mark(self, job_id: str) -> None:
        """Say that a record changed (or went): it is written soon."""
        self._dirty[job_id] = None
        self._marked.set()
        self._track_stale.set()

    def unwritten(self, job_id: str) -> bool:
        """Whether a change of the job is not known to be on the disk."""
        return job_id in self._dirty or job_id in self._in_flight or job_id in self._failed

    async def flush(self, job_id: str, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until the record as it is now is on the disk.

        Raises:
            StorageFull, Unavailable: the write failed or takes too long; it is tried again without the caller.
        """
        if job_id not in self._dirty:
            self.mark(job_id)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((job_id, waiter))
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            path = self._layout.record(job_id)
            late = Unavailable(
                f"The shared storage has not taken {path} for {timeout_s:g} s", ErrorCode.STORAGE_UNAVAILABLE
            )
            self.fault = self.fault or late
            raise late from None

    async def close(self, deadline_s: float) -> None:
        """Write what is marked, as far as `deadline_s` allows, and end."""
        left = [*self._dirty, *self._failed]
        outcomes = await asyncio.gather(*(self.flush(job_id, deadline_s) for job_id in left), return_exceptions=True)
        for job_id, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                logger.warning("The record of job %s was not written before the end: %s", job_id, outcome)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(self._in_thread(self._track_now), deadline_s)
        except TimeoutError:
            logger.warning("%s was not written before the end", self._layout.job_track)
        self._threads.shutdown(wait=False)

    async def _write_records(self) -> None:
        while True:
            await self._marked.wait()
            self._marked.clear()
            batch, self._dirty = list(self._dirty), {}
            self._in_flight = set(batch)
            waiters, self._waiters = self._waiters, []
            results = await asyncio.gather(*(self._in_thread(self._write_one, job_id) for job_id in batch))
            failed = {job_id: error for job_id, error in zip(batch, results, strict=True) if error is not None}
            self._in_flight, self._failed = set(), set(failed)
            self._settle(waiters, failed)
            self.fault = next((why for why in failed.values() if isinstance(why, StorageFull | Unavailable)), None)
            if failed:
                why = next(iter(failed.values()))
                logger.error("%d records could not be written, trying again: %s", len(failed), why)
                await asyncio.sleep(RETRY_S)
                for job_id in failed:
                    self.mark(job_id)
                self._failed = set()

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _write_one(self, job_id: str) -> OpevaError | None:
        record = self._record_of(job_id)
        if record is None:
            return None
        try:
            self._guard()
            write_record(self._layout, record)
        except OpevaError as error:
            return error
        except OSError as error:
            return storage_error(error, self._layout.record(job_id))
        except Exception as error:
            # One record that can't be written must not keep the others from the disk.
            logger.exception("The record of job %s can't be written", job_id)
            return OpevaError(f"The record of job {job_id} can't be written: {error}")
        return None

    @staticmethod
    def _settle(waiters: list[tuple[str, asyncio.Future[None]]], failed: dict[str, OpevaError]) -> None:
        for job_id, waiter in waiters:
            if waiter.done():
                continue
            if job_id in failed:
                error = failed[job_id]
                waiter.set_exception(type(error)(error.detail, error.code))
            else:
                waiter.set_result(None)

    async def _write_tracks(self) -> None:
        while True:
            await self._track_stale.wait()
            self._track_stale.clear()
            watch = Stopwatch()
            if not await self._in_thread(self._track_now):
                self._track_stale.set()
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(max(TRACK_EVERY_S, 10 * watch.elapsed()))

    def _track_now(self) -> bool:
        try:
            self._guard()
            write_track(self._layout, self._all_records(), self._track_lines)
        except (OpevaError, OSError) as error:
            logger.error("%s could not be written: %s", self._layout.job_track, error)
            return False
        return True
