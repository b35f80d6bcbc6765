"""Where a job's container is: what a host's list of containers says of it, and how long nobody could say."""

from typing import Any

from workers.common.clock import Stopwatch, now
from workers.jobs.records import JobRecord
from workers.supervision.hosts import Host

#: Docker's words for a container that has not ended.
ALIVE = ("running", "paused", "restarting")


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


def container_of(record: JobRecord, containers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A job's container in a host's list: the one on record, else that of its attempt, else one that has started."""
    mine = [container for container in containers if container["job_id"] == record.job_id]
    mine = [one for one in mine if int(one["attempt"]) == record.attempt or one["started_at"] is not None]
    return max(
        mine,
        key=lambda one: (one["id"] == record.container_id, one["state"] in ALIVE, one["started_at"] or 0.0),
        default=None,
    )


def placed_on(host: Host) -> dict[str, Any]:
    """The event that says on which host a job is."""
    return {"event": "placed", "host": host.name, "node_id": host.node_id, "address": host.address, "at": now()}
