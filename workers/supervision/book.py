"""The jobs in memory: every record, the feed of changes, and the journal that makes them last."""

from collections.abc import Callable, Iterable
from typing import Any

from workers.common.errors import ErrorCode, NotFound
from workers.common.layout import Layout
from workers.jobs.events import JobEvent
from workers.jobs.records import JobRecord
from workers.jobs.states import transition
from workers.supervision.feed import ChangeFeed
from workers.supervision.journal import Journal
from workers.supervision.supervisor_answers import Changes


class JobBook:
    """All records. A change is in memory and in the feed at once, and on the disk after `flush`."""

    def __init__(
        self, layout: Layout, records: Iterable[JobRecord] = (), guard: Callable[[], None] = lambda: None
    ) -> None:
        """`guard` raises where nothing may be written (`workers.supervision.root_watch`)."""
        self.layout = layout
        self.feed = ChangeFeed()
        self._records: dict[str, JobRecord] = {}
        self._active: set[str] = set()
        self._keys: dict[str, str] = {}
        for record in sorted(records, key=lambda record: record.submitted_at):
            self._keep(record)
        self.journal = Journal(layout, self._records.get, lambda: list(self._records.values()), guard)

    def get(self, job_id: str) -> JobRecord:
        """The record of a job. Raises NotFound."""
        try:
            return self._records[job_id]
        except KeyError:
            raise NotFound(f"There is no job {job_id}", ErrorCode.JOB_NOT_FOUND) from None

    def find(self, job_id: str) -> JobRecord | None:
        """The record of a job, or None."""
        return self._records.get(job_id)

    def by_key(self, idempotency_key: str) -> JobRecord | None:
        """The job that was submitted with this key, or None."""
        job_id = self._keys.get(idempotency_key)
        return None if job_id is None else self._records.get(job_id)

    def all(self) -> list[JobRecord]:
        """Every record, oldest submission first."""
        return list(self._records.values())

    def active(self) -> list[JobRecord]:
        """The records of jobs that have not ended, oldest submission first."""
        return sorted((self._records[job_id] for job_id in self._active), key=lambda record: record.submitted_at)

    def put(self, record: JobRecord) -> None:
        """Keep a record, new or changed."""
        self._keep(record)
        self.feed.note(record.job_id)
        self.journal.mark(record.job_id)

    def apply(self, job_id: str, event: JobEvent) -> JobRecord:
        """Move a job by an event; the record after it."""
        record = self.get(job_id)
        after = transition(record, event)
        if after is not record:
            self.put(after)
        return after

    def remove(self, job_id: str) -> None:
        """Forget a job; its files are the caller's business."""
        record = self._records.pop(job_id, None)
        self._active.discard(job_id)
        if record is not None and record.idempotency_key is not None:
            self._keys.pop(record.idempotency_key, None)
        self.feed.note(job_id)
        self.journal.mark(job_id)

    async def flush(self, job_id: str) -> None:
        """Wait until the job's record is on the disk. Raises StorageFull, Unavailable."""
        await self.journal.flush(job_id)

    def changes(self, epoch: str, number: int) -> Changes:
        """What a reader at `number` of `epoch` lacks."""
        reset = epoch != self.feed.epoch or number > self.feed.number
        keys = list(self._records) if reset else self.feed.after(number)
        return {
            "epoch": self.feed.epoch,
            "number": self.feed.number,
            "reset": reset,
            "records": [self.with_change(self._records[key]) for key in keys if key in self._records],
            "removed": [key for key in keys if key not in self._records],
        }

    def with_change(self, record: JobRecord) -> dict[str, Any]:
        """A record as plain data, with the `change` (epoch and number) that made it what it is."""
        return {**record.to_dict(), "change": [self.feed.epoch, self.feed.number_of(record.job_id)]}

    def _keep(self, record: JobRecord) -> None:
        self._records[record.job_id] = record
        if record.terminal:
            self._active.discard(record.job_id)
        else:
            self._active.add(record.job_id)
        if record.idempotency_key is not None:
            self._keys[record.idempotency_key] = record.job_id
