"""The list of jobs: filtered, cut into pages, and as JSON that is made once per change of a job.

Clients ask for the whole list every two seconds, and nearly all of it is as it was: the bytes of a job are kept until
its record is another object.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from serve_app.http import to_json
from workers.common.errors import ErrorCode, InvalidInput
from workers.jobs.records import JobRecord, State

_STATES: Final = frozenset(State)


@dataclass(frozen=True)
class Filter:
    """Which jobs are asked for. `q` is looked for in names, ids and experiments, whatever its case."""

    states: frozenset[State] | None = None
    host: str | None = None
    submitted_by: str | None = None
    q: str | None = None

    @classmethod
    def of(cls, status: str | None, host: str | None, submitted_by: str | None, q: str | None) -> Self:
        """From the query's texts, where empty ones ask for nothing; `status` is a comma-separated list.

        Raises:
            InvalidInput: a status that jobs don't have.
        """
        words = [word.strip().lower() for word in (status or "").split(",") if word.strip()]
        unknown = [word for word in words if word not in _STATES]
        if unknown:
            raise InvalidInput(
                f"There is no status {unknown[0]!r}; there are {', '.join(State)}", ErrorCode.INVALID_STATUS
            )
        states = frozenset(State(word) for word in words) or None
        return cls(states, host or None, submitted_by or None, q.casefold() if q else None)

    def __call__(self, record: JobRecord) -> bool:
        """Whether the job is asked for."""
        if self.states is not None and record.state not in self.states:
            return False
        if self.host is not None and self.host not in (record.host, record.address):
            return False
        if self.submitted_by is not None and record.submitted_by != self.submitted_by:
            return False
        if self.q is not None:
            texts = (record.job_name, record.job_id, record.experiment_name, record.run_name)
            return any(self.q in text.casefold() for text in texts)
        return True

    @property
    def everything(self) -> bool:
        """Whether it lets all jobs through."""
        return self == Filter()


def page(
    records: Sequence[JobRecord], wanted: Filter, limit: int | None, cursor: str | None
) -> tuple[Sequence[JobRecord], str | None]:
    """The wanted jobs, newest first, and the cursor of the next page if there is one.

    A cursor names a place between two jobs, not a number of jobs: what is submitted or deleted meanwhile shifts none.

    Raises:
        InvalidInput: the cursor is not one of ours.
    """
    chosen: Iterable[JobRecord] = records if wanted.everything else filter(wanted, records)
    if limit is None and cursor is None:
        return (records if wanted.everything else list(chosen)), None
    ordered = sorted(chosen, key=_place, reverse=True)
    if cursor is not None:
        after = _decode(cursor)
        ordered = [record for record in ordered if _place(record) < after]
    if limit is None or len(ordered) <= limit:
        return ordered, None
    return ordered[:limit], _encode(_place(ordered[limit - 1]))


def _place(record: JobRecord) -> tuple[float, str]:
    return record.submitted_at, record.job_id


def _encode(place: tuple[float, str]) -> str:
    return base64.urlsafe_b64encode(f"{place[0]!r} {place[1]}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[float, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, job_id = text.split(" ")
        return float(at), job_id
    except (ValueError, binascii.Error) as error:
        raise InvalidInput(
            "`cursor` must be the X-Next-Cursor of an earlier answer", ErrorCode.INVALID_CURSOR
        ) from error


class Rows:
    """The JSON of each job, made again only when its record is replaced."""

    def __init__(self, make: Callable[[JobRecord], dict[str, Any]]) -> None:
        self._make = make
        self._kept: dict[str, tuple[JobRecord, bytes]] = {}

    def render(self, records: Sequence[JobRecord], total: int) -> bytes:
        """The JSON array of `records`, of `total` jobs that there are."""
        kept = self._kept
        parts = []
        for record in records:
            entry = kept.get(record.job_id)
            if entry is None or entry[0] is not record:
                entry = kept[record.job_id] = (record, to_json(self._make(record)))
            parts.append(entry[1])
        if len(kept) > 2 * total + 100:
            # Deleted jobs are dropped when they are many, rather than looked for at each call.
            self._kept = {record.job_id: kept[record.job_id] for record in records}
        return b"[" + b",".join(parts) + b"]"
