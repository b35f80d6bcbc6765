"""What to do about a job, decided from what is known of it: pure functions, which ask nobody and wait for nothing.

The driver asks about jobs (`next_step`, `waiting_for_storage`, `after_launch`, `adoption`), `Runners` about a
runner (`while_waiting`, `while_working`, `for_the_book`). An example: a job runs on the host `lab`, whose
list has its container with the state `exited`. Then `adoption` gives `TakeOver(container, Errand.CONCLUDE)`, and the
driver sends a runner to `lab` that takes no room there. Tests: `tests/unit/workers/supervision/test_decisions.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from workers.common.errors import OpevaError, StorageFull
from workers.host.agent_answers import ListedContainer
from workers.jobs.events import JobEvent, RunnerEvent
from workers.jobs.records import JobRecord, Reason
from workers.jobs.spec import Mode
from workers.supervision.hosts import Host
from workers.supervision.placement import Placement, Waiting, adopt_on, place

#: A queued job that Ray did not place within this time is said to wait for room.
ROOM_AFTER_S = 1.0
#: Pause before a job is looked at again after something unforeseen.
RETRY_S = 1.0
#: While nothing changes, a waiting job's situation is looked at again after so long.
LOOK_EVERY_S = 5.0
#: A job whose launches come to nothing waits longer and longer, at most so long.
LONGEST_RETRY_S = 30.0
#: The shortest that an adoption is waited for before it is looked at again.
SHORTEST_LOOK_S = 0.05
#: Docker's words for a container that has not ended.
ALIVE = ("running", "paused", "restarting")
#: What a runner meets that is no fault of its job: the job goes back to the queue.
_NOT_ITS_FAULT = (Reason.DOCKER_UNAVAILABLE, Reason.STORAGE_UNAVAILABLE)


class Errand(StrEnum):
    """What a runner is sent for."""

    #: Make the attempt's container and see it to its end.
    LAUNCH = "launch"
    #: Take over a container that is there and alive; Ray counts the job's room for it.
    ADOPT = "adopt"
    #: The same where Ray has no room left: the container runs, whether Ray counts it or not.
    ADOPT_WITHOUT_ROOM = "adopt without room"
    #: Report the end of a container that has ended; that takes no room.
    CONCLUDE = "conclude"
    #: Complete the log of an ended job's container, and remove the container.
    COMPLETE = "complete"

    @property
    def mode(self) -> Mode:
        """The runner's mode (`workers.jobs.spec`)."""
        return "launch" if self is Errand.LAUNCH else "adopt"


@dataclass(frozen=True)
class Sent:
    """A runner that was sent: for which job as it was then, with which request to Ray, for what."""

    record: JobRecord
    placement: Placement
    errand: Errand


# -- jobs


class Step(Enum):
    """What a job needs next."""

    #: There is no such job any more.
    FORGET = auto()
    #: It has ended.
    CLOSE = auto()
    #: It never had a container.
    LAUNCH = auto()
    #: It may have a container.
    ADOPT = auto()


def next_step(record: JobRecord | None) -> Step:
    """What a job with this record needs next."""
    if record is None:
        return Step.FORGET
    if record.terminal:
        return Step.CLOSE
    return Step.ADOPT if record.may_have_container else Step.LAUNCH


def waiting_for_storage(fault: OpevaError | None) -> Waiting | None:
    """Why nothing can be launched while the storage has this fault: what is not on the disk may not start."""
    if fault is None:
        return None
    full = isinstance(fault, StorageFull)
    return Waiting(Reason.STORAGE_FULL if full else Reason.STORAGE_UNAVAILABLE, fault.detail)


class AfterLaunch(Enum):
    """What the end of a launching runner means for its job."""

    #: The job has ended, is gone, or may have a container: it is no launch any more.
    SETTLED = auto()
    #: The runner ended before it was allowed to make a container: the job needs a new attempt.
    NEW_ATTEMPT = auto()
    #: The job has its new attempt already.
    QUEUED_AGAIN = auto()


def after_launch(sent: JobRecord, record: JobRecord | None) -> AfterLaunch:
    """`sent`: the record for which the runner was sent; `record`: as it is now that the runner has ended."""
    if record is None or record.terminal or record.may_have_container:
        return AfterLaunch.SETTLED
    return AfterLaunch.NEW_ATTEMPT if record.attempt == sent.attempt else AfterLaunch.QUEUED_AGAIN


def launch_pause_s(failures: int) -> float:
    """How long a job waits after so many launches in a row that came to nothing: 1, 2, 4 ... 30 s."""
    return min(LONGEST_RETRY_S, RETRY_S * 2.0 ** min(failures - 1, 10))


class NoContainer(Enum):
    """Why a job that may have a container can't be taken over now."""

    #: Its record names no host: every host is to be searched.
    HOST_NOT_KNOWN = auto()
    #: Its host, or the Docker engine there, can't be asked.
    UNREACHABLE = auto()
    #: Its host does not list it, and it never started: a create may still be under way, so look once more.
    LOOK_AGAIN = auto()
    #: It started and its host does not list it: it is gone.
    GONE = auto()


@dataclass(frozen=True)
class TakeOver:
    """The job's container was found: send a runner for it."""

    container: ListedContainer
    errand: Errand


def adoption(
    record: JobRecord, host: Host | None, containers: Sequence[ListedContainer] | None
) -> TakeOver | NoContainer:
    """What to do for a job that may have a container; `containers`: its host's list, None if that can't be had."""
    if record.host is None:
        return NoContainer.HOST_NOT_KNOWN
    if host is None or containers is None:
        return NoContainer.UNREACHABLE
    container = container_of(record, containers)
    if container is not None:
        return TakeOver(container, Errand.ADOPT if container["state"] in ALIVE else Errand.CONCLUDE)
    return NoContainer.LOOK_AGAIN if record.started_at is None else NoContainer.GONE


def container_of(record: JobRecord, containers: Sequence[ListedContainer]) -> ListedContainer | None:
    """A job's container in a host's list: the one on record, else that of its attempt, else one that has started."""
    mine = [container for container in containers if container["job_id"] == record.job_id]
    mine = [one for one in mine if one["attempt"] == record.attempt or one["started_at"] is not None]
    return max(
        mine,
        key=lambda one: (one["id"] == record.container_id, one["state"] in ALIVE, one["started_at"] or 0.0),
        default=None,
    )


def unreachable(record: JobRecord, host: Host | None) -> Waiting:
    """Why nobody can say what a job's container does; `host` is None if it is not known."""
    if host is None or not host.online:
        return Waiting(Reason.HOST_UNREACHABLE, f"The host {record.host} is not reachable")
    why = host.docker_error or "no list of its containers"
    return Waiting(Reason.DOCKER_UNAVAILABLE, f"Docker does not answer on the host {record.host}: {why}")


def lost(record: JobRecord, absent_s: float, host_lost_s: float) -> str | None:
    """The sentence with which a job ends that nobody could say anything of for `absent_s`; None: wait on."""
    if absent_s <= host_lost_s:
        return None
    where = f"The host {record.host}" if record.host else "The host of this job"
    return f"{where} could not be asked for {host_lost_s:g} s"


# -- runners


def patience_s(errand: Errand, waited_s: float, adoption_wait_s: float) -> float:
    """How long a runner that Ray has not placed for `waited_s` is left alone before it is looked at again."""
    if errand is Errand.ADOPT:
        return max(SHORTEST_LOOK_S, adoption_wait_s - waited_s)
    return ROOM_AFTER_S if waited_s < ROOM_AFTER_S else LOOK_EVERY_S


@dataclass(frozen=True)
class Stay:
    """Leave the runner where it waits; `say` is why it waits, if that is to be on record."""

    say: Waiting | None = None


class Leave(Enum):
    """Take the runner back."""

    #: It should stand elsewhere, or nowhere.
    MISPLACED = auto()
    #: Ray has no room for it, and it shall adopt without.
    NO_ROOM = auto()


def while_waiting(
    sent: Sent, record: JobRecord | None, hosts: Sequence[Host], waited_s: float, adoption_wait_s: float
) -> Stay | Leave:
    """What becomes of a runner that Ray has not placed for `waited_s`; `record` and `hosts` as they are now."""
    if record is None or record.terminal:
        return Leave.MISPLACED
    if sent.errand is Errand.ADOPT:
        if waited_s < adoption_wait_s:
            return Stay()
        host = _named(hosts, sent.record.host)
        return Leave.NO_ROOM if host is not None and host.online else Leave.MISPLACED
    if sent.errand is not Errand.LAUNCH:
        host = _named(hosts, record.host)
        there = host is not None and host.online and adopt_on(record, host, take_room=False) == sent.placement
        return Stay() if there else Leave.MISPLACED
    wanted = place(record, hosts)
    if isinstance(wanted, Waiting) or wanted.options != sent.placement.options:
        return Leave.MISPLACED
    if wanted.obstacle is None and waited_s >= ROOM_AFTER_S:
        return Stay(Waiting(Reason.WAITING_FOR_ROOM, "Every host that could run it is busy"))
    return Stay(wanted.obstacle)


class Work(Enum):
    """What becomes of a runner that works and has nothing to report."""

    #: All is well, as far as anybody knows.
    GO_ON = auto()
    #: Nobody needs it, or its node is not its host's any more.
    GIVE_UP = auto()
    #: Its host or the engine there is away: nobody knows of the job, though the runner may not notice.
    UNREACHABLE = auto()
    #: The job is unknown and its host is back: see in the host's list whether the container is alive.
    LOOK = auto()


def while_working(record: JobRecord | None, host: Host | None, node_id: str) -> Work:
    """What becomes of a runner on the Ray node `node_id`; `host` is the job's, as it is now."""
    if record is None or (host is not None and host.node_id != node_id):
        return Work.GIVE_UP
    if record.terminal:
        return Work.GO_ON
    if host is None or not host.online or not host.docker:
        return Work.UNREACHABLE
    return Work.GO_ON if record.unknown_since is None else Work.LOOK


# -- events


def for_the_book(event: RunnerEvent, record: JobRecord, hosts: Sequence[Host]) -> JobEvent | None:
    """What a runner's event says of the job's record; None if nothing.

    Hosts get the names that people know them by, since a runner knows only its machine's own name. A failure that is no
    fault of the job (the engine's, the storage's) becomes a `relaunch`: the job goes back to the queue.
    """
    where = _named(hosts, record.host)
    match event["event"]:
        case "placed":
            here = next((host for host in hosts if host.node_id == event["node_id"]), None)
            return {
                "event": "on_host",
                "at": event["at"],
                "host": event["hostname"] if here is None else here.name,
                "node_id": event["node_id"],
                "address": event["address"],
            }
        case "failed":
            reason, detail = event["reason"], _known_by(where, event.get("detail"))
            if reason in _NOT_ITS_FAULT and record.started_at is None:
                return {"event": "relaunch", "at": event["at"], "reason": reason, "detail": detail}
            return {"event": "failed", "at": event["at"], "reason": reason, "detail": detail}
        case "note":
            detail = _known_by(where, event["detail"])
            return {"event": "note", "at": event["at"], "reason": event["reason"], "detail": detail}
        case "running" | "exited" | "missing":
            return event
        case _:
            # launching, refused, exit_taken
            return None


def engine_fault(event: JobEvent | None) -> str | None:
    """What a `relaunch` says of the Docker engine on its host; None if it came from something else."""
    if event is None or event["event"] != "relaunch" or event.get("reason") != Reason.DOCKER_UNAVAILABLE:
        return None
    return event.get("detail") or "it does not answer"


class Writing(Enum):
    """How the record that an event made must get to the disk before the runner goes on."""

    #: It is written in its turn.
    LATER = auto()
    #: It is waited for, and a failure is not: the container's label says the same.
    TRIED = auto()
    #: It is waited for until it is there: the runner then removes the container, and one of both must say how it ended.
    DONE = auto()


def writing(kind: str) -> Writing:
    """How the record after a runner's event of this kind is written."""
    if kind in ("exited", "failed", "missing"):
        return Writing.DONE
    return Writing.TRIED if kind == "running" else Writing.LATER


def _named(hosts: Sequence[Host], name: str | None) -> Host | None:
    return next((host for host in hosts if host.name == name), None)


def _known_by(host: Host | None, detail: str | None) -> str | None:
    return detail if host is None else host.named(detail)
