"""How a job moves from state to state: one pure function over a record and an event.

    queued -> launching -> running -> finished | failed
       |          |           |
       |          +-----------+--> stop_requested -> stopped
       +--> canceled                    (canceled if no container ever existed)

    launching | running <-> unknown -> failed(host_lost)

The events are those of `workers.jobs.events`. An event that means nothing in a state leaves the record as it is: the
result is the same object. A terminal record takes no event at all. For example a `stop` on a queued job gives a
`canceled` record, and a `running` that comes after it, from a runner that had not heard of it, changes nothing
(`test_whatever_comes_an_end_is_final_and_a_started_job_never_returns_to_the_queue`).

`canceled` and `stopped` are public words: a job whose end was asked for is `canceled` if no container of it ever
ran, `stopped` otherwise.
"""

from workers.jobs.events import (
    Claimed,
    Exited,
    Failed,
    HostLost,
    JobEvent,
    KeptWaiting,
    Missing,
    Note,
    OnHost,
    Relaunch,
    Running,
    SeenRunning,
    Stop,
    StopFailed,
    Unreachable,
)
from workers.jobs.records import JobRecord, Reason, State

#: Exit codes of a container that a KILL or TERM ended.
_SIGNALLED = (137, 143)


def transition(record: JobRecord, event: JobEvent) -> JobRecord:
    """The record after `event`; the same object if the event changes nothing."""
    if record.terminal:
        return record
    match event["event"]:
        case "on_host":
            return _on_host(record, event)
        case "claimed":
            return _claimed(record, event)
        case "running":
            return _running(record, event)
        case "seen_running":
            return _seen_running(record, event)
        case "note":
            return _note(record, event)
        case "exited":
            return _exited(record, event)
        case "failed":
            return _failed(record, event)
        case "missing":
            return _missing(record, event)
        case "relaunch":
            return _relaunch(record, event)
        case "waiting":
            return _waiting(record, event)
        case "stop":
            return _stop(record, event)
        case "stop_failed":
            return _stop_failed(record, event)
        case "unreachable":
            return _unreachable(record, event)
        case "host_lost":
            return _host_lost(record, event)
        case _:
            # Of another version.
            return record


def _on_host(record: JobRecord, event: OnHost) -> JobRecord:
    here = {"host": event["host"], "node_id": event["node_id"], "address": event["address"]}
    if record.state is State.QUEUED:
        return record.change(state=State.LAUNCHING, launching_at=event["at"], reason=None, detail=None, **here)
    return record.change(**here)


def _claimed(record: JobRecord, event: Claimed) -> JobRecord:
    return record.change(claimed=True, host=event["host"], node_id=event["node_id"], address=event["address"])


def _running(record: JobRecord, event: Running | SeenRunning) -> JobRecord:
    record = record.change(
        claimed=True,
        container_id=event["container_id"],
        container_name=event["container_name"],
        gpu_ids=tuple(event["gpus"] or record.gpu_ids),
        started_at=event["started_at"] if record.started_at is None else record.started_at,
        unknown_since=None,
    )
    if record.state is State.STOP_REQUESTED:
        return record
    return record.change(state=State.RUNNING, reason=None, detail=None)


def _note(record: JobRecord, event: Note) -> JobRecord:
    """A note from the runner. While the engine is away nobody can say whether the container runs."""
    given, detail = event["reason"], event["detail"]
    reason = None if given is None else Reason(given)
    if record.state is State.STOP_REQUESTED:
        return record
    if record.state is State.UNKNOWN:
        if reason is None and record.reason is Reason.DOCKER_UNAVAILABLE:
            return record.change(state=State.RUNNING, reason=None, detail=None, unknown_since=None)
        return record
    if record.state is State.RUNNING and reason is Reason.DOCKER_UNAVAILABLE:
        return record.change(state=State.UNKNOWN, reason=reason, detail=detail, unknown_since=event["at"])
    return record.change(reason=reason, detail=detail or None)


def _exited(record: JobRecord, event: Exited) -> JobRecord:
    code, started = event["exit_code"], event["started_at"]
    ended = record.change(
        claimed=True,
        exit_code=code,
        log_bytes=event["log_bytes"],
        started_at=started,
        finished_at=max(started, event["finished_at"] or event["at"]),
        unknown_since=None,
    )
    if record.state is State.STOP_REQUESTED:
        return ended.change(
            state=State.STOPPED, reason=Reason.USER_STOP, detail=f"Stopped on request; the exit code was {code}"
        )
    if event["timed_out"]:
        limit = f" of {record.timeout_s:g} s" if record.timeout_s is not None else ""
        return ended.change(
            state=State.FAILED, reason=Reason.TIMEOUT, detail=f"Ended because it ran longer than its limit{limit}"
        )
    if event["oom_killed"]:
        return ended.change(
            state=State.FAILED, reason=Reason.OOM_KILLED, detail="Ended by the kernel: its memory limit was reached"
        )
    if code == 0:
        return ended.change(state=State.FINISHED, reason=None, detail=None)
    if code in _SIGNALLED:
        return ended.change(
            state=State.FAILED,
            reason=Reason.KILLED,
            detail=f"Ended by signal {code - 128} from outside this system (exit code {code})",
        )
    return ended.change(
        state=State.FAILED, reason=Reason.NONZERO_EXIT, detail=f"The simulation ended with exit code {code}"
    )


def _failed(record: JobRecord, event: Failed) -> JobRecord:
    if record.state is State.STOP_REQUESTED:
        return _given_up(record, event["at"])
    return record.change(
        state=State.FAILED,
        reason=Reason(event["reason"]),
        detail=event.get("detail"),
        finished_at=event["at"],
        unknown_since=None,
    )


def _missing(record: JobRecord, event: Missing) -> JobRecord:
    """The host is there and has no container of the job."""
    if record.state is State.STOP_REQUESTED:
        return _given_up(record, event["at"])
    if record.started_at is not None:
        return record.change(
            state=State.FAILED,
            reason=Reason.CONTAINER_LOST,
            detail=f"Its container is no longer on the host {record.host}",
            finished_at=event["at"],
            unknown_since=None,
        )
    return _queued_again(record, event["at"], None, None)


def _given_up(record: JobRecord, at: float) -> JobRecord:
    """A stop was asked for, and there is nothing left to stop."""
    ran = record.started_at is not None
    return record.change(
        state=State.STOPPED if ran else State.CANCELED,
        reason=Reason.USER_STOP,
        detail="Stopped on request; its container is gone" if ran else "Stopped before it ran",
        finished_at=at,
        unknown_since=None,
    )


def _relaunch(record: JobRecord, event: Relaunch) -> JobRecord:
    return _queued_again(record, event["at"], event.get("reason"), event.get("detail"))


def _queued_again(record: JobRecord, at: float, reason: str | None, detail: str | None) -> JobRecord:
    """Back to the queue as a new attempt: no container of the job ever started."""
    if record.started_at is not None:
        return record
    if record.state is State.STOP_REQUESTED:
        return _given_up(record, at)
    return record.change(
        state=State.QUEUED,
        reason=None if reason is None else Reason(reason),
        detail=detail,
        attempt=record.attempt + 1,
        claimed=False,
        host=None,
        node_id=None,
        address=None,
        launching_at=None,
        unknown_since=None,
    )


def _stop(record: JobRecord, event: Stop) -> JobRecord:
    if record.state is State.STOP_REQUESTED:
        return record
    asked = record.change(stop_requested_at=event["at"])
    if not record.may_have_container:
        # The claim is refused from here on, so no container can come to be.
        return asked.change(
            state=State.CANCELED, reason=Reason.USER_STOP, detail="Stopped before it ran", finished_at=event["at"]
        )
    return asked.change(state=State.STOP_REQUESTED, reason=Reason.USER_STOP, detail="Its container is being stopped")


def _stop_failed(record: JobRecord, event: StopFailed) -> JobRecord:
    if record.state is not State.STOP_REQUESTED:
        return record
    return record.change(reason=Reason.STOP_FAILED, detail=event["detail"])


def _unreachable(record: JobRecord, event: Unreachable) -> JobRecord:
    if record.state is State.QUEUED or record.unknown_since is not None:
        return record
    waiting = record.change(unknown_since=event["at"])
    if record.state is State.STOP_REQUESTED:
        return waiting.change(reason=Reason.STOP_FAILED, detail=event["detail"])
    reason = Reason(event.get("reason", Reason.HOST_UNREACHABLE))
    return waiting.change(state=State.UNKNOWN, reason=reason, detail=event["detail"])


def _seen_running(record: JobRecord, event: SeenRunning) -> JobRecord:
    """The host's list says that the container runs, or ran and awaits its conclusion."""
    if record.state is State.STOP_REQUESTED:
        return record.change(unknown_since=None)
    return _running(record, event)


def _host_lost(record: JobRecord, event: HostLost) -> JobRecord:
    return record.change(
        state=State.FAILED,
        reason=Reason.HOST_LOST,
        detail=event["detail"],
        finished_at=event["at"],
        unknown_since=None,
    )


def _waiting(record: JobRecord, event: KeptWaiting) -> JobRecord:
    if record.state is not State.QUEUED:
        return record
    reason = Reason(event["reason"])
    if (record.reason, record.detail) == (reason, event["detail"]):
        return record
    return record.change(reason=reason, detail=event["detail"])
