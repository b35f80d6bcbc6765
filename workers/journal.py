"""Writes changed records to the storage, many per round, and tells who waits when theirs are safe.

One writer at a time works through what is marked; what is marked meanwhile goes into the next round, so that the
number of flushes does not grow with the load. A storage that fails is tried again until it works; until then
`fault` says what is wrong, nothing is forgotten, and reads go on from memory.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from workers.clock import Stopwatch
from workers.errors import OpevaError
from workers.files import storage_error
from workers.layout import Layout
from workers.record_files import write_record, write_track
from workers.records import JobRecord

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds between two tries on a storage that fails.
RETRY_S = 1.0
#: The map of all jobs is written at most this often, and less often where it is so large that writing takes time.
TRACK_EVERY_S = 0.2
_WRITERS = 4


class Journal:
    """The only writer of `record.json` and `job_track.json`."""

    def __init__(
        self,
        layout: Layout,
        record_of: Callable[[str], JobRecord | None],
        all_records: Callable[[], Iterable[JobRecord]],
    ) -> None:
        self._layout = layout
        self._record_of = record_of
        self._all_records = all_records
        self._dirty: dict[str, None] = {}
        self._waiters: list[tuple[str, asyncio.Future[None]]] = []
        self._marked = asyncio.Event()
        self._track_stale = asyncio.Event()
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

    async def flush(self, job_id: str) -> None:
        """Wait until the record as it is now is on the disk.

        Raises:
            StorageFull, Unavailable: the write failed; it is tried again without the caller.
        """
        if job_id not in self._dirty:
            self.mark(job_id)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((job_id, waiter))
        await waiter

    async def close(self, deadline_s: float) -> None:
        """Write what is marked, as far as `deadline_s` allows, and end."""
        for job_id in list(self._dirty):
            try:
                await asyncio.wait_for(self.flush(job_id), deadline_s)
            except (OpevaError, TimeoutError) as error:
                logger.warning("The record of job %s was not written before the end: %s", job_id, error)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._in_thread(self._track_now)
        self._threads.shutdown(wait=False)

    async def _write_records(self) -> None:
        while True:
            await self._marked.wait()
            self._marked.clear()
            batch, self._dirty = list(self._dirty), {}
            waiters, self._waiters = self._waiters, []
            results = await asyncio.gather(*(self._in_thread(self._write_one, job_id) for job_id in batch))
            failed = {job_id: error for job_id, error in zip(batch, results, strict=True) if error is not None}
            self._settle(waiters, failed)
            self.fault = next(iter(failed.values()), None)
            if failed:
                logger.error("Records could not be written, trying again: %s", self.fault)
                await asyncio.sleep(RETRY_S)
                for job_id in failed:
                    self.mark(job_id)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _write_one(self, job_id: str) -> OpevaError | None:
        record = self._record_of(job_id)
        if record is None:
            return None
        try:
            write_record(self._layout, record)
        except OSError as error:
            return storage_error(error, self._layout.record(job_id))
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
            write_track(self._layout, self._all_records())
        except OSError as error:
            logger.error("%s could not be written: %s", self._layout.job_track, error)
            return False
        return True
