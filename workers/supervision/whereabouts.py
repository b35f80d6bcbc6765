"""Where a job's container is: what a host's list of containers says of it, and how long nobody could say."""

from workers.common.clock import Stopwatch, now
from workers.common.options import Options
from workers.host.agent_answers import ListedContainer
from workers.jobs.records import JobRecord
from workers.supervision import decisions
from workers.supervision.book import JobBook
from workers.supervision.hosts import Host


class Absence:
    """How long nobody could say what became of a job.

    Counted by the monotonic clock: a wall clock that steps forward must not end jobs. Only what lies before this
    process is known by the wall clock alone.
    """

    def __init__(self, since: float) -> None:
        self._before = max(0.0, now() - since)
        self._watch = Stopwatch()

    def seconds(self) -> float:
        """Seconds of it so far."""
        return self._before + self._watch.elapsed()


class Whereabouts:
    """Notes in the book where a job's container was seen, or that nobody can say, and for how long that may last."""

    def __init__(self, book: JobBook, options: Options) -> None:
        self._book = book
        self._options = options
        self._absences: dict[str, Absence] = {}

    def forget(self, job_id: str) -> None:
        """The job has ended, or is gone."""
        self._absences.pop(job_id, None)

    def seen(self, record: JobRecord, host: Host, container: ListedContainer) -> None:
        """Take a container of the host's list as the job's: its state is right at once, before its runner reports."""
        started_at = container["started_at"]
        if not started_at:
            return
        self._book.apply(
            record.job_id,
            {
                "event": "seen_running",
                "at": now(),
                "container_id": container["id"],
                "container_name": container["name"],
                "started_at": started_at,
                "gpus": container["gpus"],
            },
        )
        self.at(record.job_id, host)

    def at(self, job_id: str, host: Host) -> None:
        """Note on which host a job is."""
        self._book.apply(
            job_id,
            {"event": "on_host", "host": host.name, "node_id": host.node_id, "address": host.address, "at": now()},
        )

    def unreachable(self, record: JobRecord, host: Host | None) -> None:
        """Note that the job's host, or its Docker engine, can't be asked; ends a job that is lost by that."""
        cause = decisions.unreachable(record, host)
        after = self._book.apply(
            record.job_id, {"event": "unreachable", "at": now(), "reason": cause.reason, "detail": cause.detail}
        )
        self.end_if_lost(after)

    def end_if_lost(self, record: JobRecord) -> bool:
        """Whether nobody could say for too long what became of the job; it has ended then."""
        if record.terminal or record.unknown_since is None:
            self._absences.pop(record.job_id, None)
            return False
        absence = self._absences.setdefault(record.job_id, Absence(record.unknown_since))
        lost = decisions.lost(record, absence.seconds(), self._options.host_lost_s)
        if lost is None:
            return False
        self._book.apply(record.job_id, {"event": "host_lost", "at": now(), "detail": lost})
        return True
