"""What nobody owns: which containers and job folders belong to no job, by comparing two lists.

Only containers that bear this installation's label ever come here. A thing must have been nobody's for a grace period
before it is touched, so that nothing is swept that is just coming to be.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from workers.common.clock import Stopwatch
from workers.host.agent_answers import ListedContainer
from workers.jobs.records import JobRecord


@dataclass(frozen=True)
class Orphan:
    """A container or folder that no job owns: how it is found again, why it is nobody's, the job that it bears."""

    key: str
    why: str
    job_id: str


def ownerless_containers(
    containers: Iterable[ListedContainer], host: str, record_of: Callable[[str], JobRecord | None]
) -> list[Orphan]:
    """The containers of a host's list that no job owns."""
    orphans = []
    for container in containers:
        why = _why_ownerless(container, host, record_of(container["job_id"]))
        if why is not None:
            orphans.append(Orphan(container["id"], why, container["job_id"]))
    return orphans


def _why_ownerless(container: ListedContainer, host: str, record: JobRecord | None) -> str | None:
    job_id, attempt = container["job_id"], container["attempt"]
    if record is None:
        return f"there is no job {job_id}"
    if record.terminal:
        return f"job {job_id} has ended ({record.state})"
    if attempt != record.attempt and container["id"] != record.container_id:
        return f"it is of attempt {attempt} of job {job_id}, which is at attempt {record.attempt}"
    if record.may_have_container and record.host is not None and record.host != host:
        return f"job {job_id} runs on the host {record.host}"
    return None


@dataclass
class Grace:
    """Remembers since when each thing has been nobody's."""

    seconds: float
    _since: dict[str, Stopwatch] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)

    def tries(self, scope: str, orphan: Orphan) -> int:
        """Count a try at a thing on the list of `scope`: how many there were before."""
        key = f"{scope}/{orphan.key}"
        before = self._tries.get(key, 0)
        self._tries[key] = before + 1
        return before

    def due(self, scope: str, orphans: Iterable[Orphan]) -> list[Orphan]:
        """Those of `orphans` that have been on the list of `scope` for the whole grace period."""
        now_seen = {f"{scope}/{orphan.key}": orphan for orphan in orphans}
        for key in [key for key in self._since if key.startswith(f"{scope}/") and key not in now_seen]:
            del self._since[key]
            self._tries.pop(key, None)
        for key in now_seen:
            self._since.setdefault(key, Stopwatch())
        return [orphan for key, orphan in now_seen.items() if self._since[key].elapsed() >= self.seconds]
