"""How a job moves from state to state: one pure function over a record and an event.

    queued -> launching -> running -> finished | failed
       |          |           |
       |          +-----------+--> stop_requested -> stopped
       +--> canceled                    (canceled if no container ever existed)

    launching | running <-> unknown -> failed(host_lost)

Events are plain dicts with an `event` and the time `at` (epoch seconds). Those of a runner are described in
`workers.jobs.spec`; the supervisor adds `claimed`, `stop`, `stop_failed`, `unreachable`, `seen_running`, `host_lost`,
`relaunch` and `waiting`. An event that means nothing in a state leaves the record as it is (the same object), which is
also how terminal states stay what they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from workers.jobs.records import JobRecord, Reason, State

Event = Mapping[str, Any]

_SIGNALLED = (137, 143)


def transition(record: JobRecord, event: Event) -> JobRecord:
    """The record after `event`; the same object if the event changes nothing."""
    if record.terminal:
        return record
    handler = _HANDLERS.get(event["event"])
    if handler is None:
        return record
    return handler(record, event)


def _placed(record: JobRecord, event: Event) -> JobRecord:
    here = {"host": event["host"], "node_id": event["node_id"], "address": event["address"]}
    if record.state is State.QUEUED:
        return record.change(state=State.LAUNCHING, launching_at=event["at"], reason=None, detail=None, **here)
    return record.change(**here)


def _claimed(record: JobRecord, event: Event) -> JobRecord:
    return record.change(claimed=True, host=event["host"], node_id=event["node_id"], address=event["address"])


def _running(record: JobRecord, event: Event) -> JobRecord:
    record = record.change(
        claimed=True,
        container_id=event["container_id"],
        container_name=event["container_name"],
        gpu_ids=tuple(event.get("gpus") or record.gpu_ids),
        started_at=event["started_at"] if record.started_at is None else record.started_at,
        unknown_since=None,
    )
    if record.state is State.STOP_REQUESTED:
        return record
    return record.change(state=State.RUNNING, reason=None, detail=None)


def _note(record: JobRecord, event: Event) -> JobRecord:
    """What the runner tells meanwhile. While the engine is away nobody can say whether the container runs."""
    given = event.get("reason")
    reason, detail = None if given is None else Reason(given), event.get("detail")
    if record.state is State.STOP_REQUESTED:
        return record
    if record.state is State.UNKNOWN:
        if reason is None and record.reason is Reason.DOCKER_UNAVAILABLE:
            return record.change(state=State.RUNNING, reason=None, detail=None, unknown_since=None)
        return record
    if record.state is State.RUNNING and reason is Reason.DOCKER_UNAVAILABLE:
        return record.change(state=State.UNKNOWN, reason=reason, detail=detail, unknown_since=event["at"])
    return record.change(reason=reason, detail=detail or None)


def _exited(record: JobRecord, event: Event) -> JobRecord:
    code = int(event["exit_code"])
    started = event.get("started_at") or record.started_at or event["at"]
    ended = record.change(
        claimed=True,
        exit_code=code,
        log_bytes=event.get("log_bytes"),
        started_at=started,
        finished_at=max(started, event.get("finished_at") or event["at"]),
        unknown_since=None,
    )
    if record.state is State.STOP_REQUESTED:
        return ended.change(
            state=State.STOPPED, reason=Reason.USER_STOP, detail=f"Stopped on request; the exit code was {code}"
        )
    if event.get("timed_out"):
        limit = f" of {record.timeout_s:g} s" if record.timeout_s is not None else ""
        return ended.change(
            state=State.FAILED, reason=Reason.TIMEOUT, detail=f"Ended because it ran longer than its limit{limit}"
        )
    if event.get("oom_killed"):
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


def _failed(record: JobRecord, event: Event) -> JobRecord:
    if record.state is State.STOP_REQUESTED:
        return _given_up(record, event["at"])
    return record.change(
        state=State.FAILED,
        reason=Reason(event["reason"]),
        detail=event.get("detail"),
        finished_at=event["at"],
        unknown_since=None,
    )


def _missing(record: JobRecord, event: Event) -> JobRecord:
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
    return _relaunch(record, event)


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


def _relaunch(record: JobRecord, event: Event) -> JobRecord:
    """Back to the queue as a new attempt: no container of the job ever started."""
    if record.started_at is not None:
        return record
    if record.state is State.STOP_REQUESTED:
        return _given_up(record, event["at"])
    reason = event.get("reason")
    return record.change(
        state=State.QUEUED,
        reason=None if reason is None else Reason(reason),
        detail=event.get("detail"),
        attempt=record.attempt + 1,
        claimed=False,
        host=None,
        node_id=None,
        address=None,
        launching_at=None,
        unknown_since=None,
    )


def _stop(record: JobRecord, event: Event) -> JobRecord:
    if record.state is State.STOP_REQUESTED:
        return record
    asked = record.change(stop_requested_at=event["at"])
    if not record.placed:
        # The claim is refused from here on, so no container can come to be.
        return asked.change(
            state=State.CANCELED, reason=Reason.USER_STOP, detail="Stopped before it ran", finished_at=event["at"]
        )
    return asked.change(state=State.STOP_REQUESTED, reason=Reason.USER_STOP, detail="Its container is being stopped")


def _stop_failed(record: JobRecord, event: Event) -> JobRecord:
    if record.state is not State.STOP_REQUESTED:
        return record
    return record.change(reason=Reason.STOP_FAILED, detail=event["detail"])


def _unreachable(record: JobRecord, event: Event) -> JobRecord:
    if record.state is State.QUEUED or record.unknown_since is not None:
        return record
    waiting = record.change(unknown_since=event["at"])
    if record.state is State.STOP_REQUESTED:
        return waiting.change(reason=Reason.STOP_FAILED, detail=event["detail"])
    reason = Reason(event.get("reason", Reason.HOST_UNREACHABLE))
    return waiting.change(state=State.UNKNOWN, reason=reason, detail=event["detail"])


def _seen_running(record: JobRecord, event: Event) -> JobRecord:
    """The host's list says that the container runs, or ran and awaits its conclusion."""
    if record.state is State.STOP_REQUESTED:
        return record.change(unknown_since=None)
    return _running(record, event)


def _host_lost(record: JobRecord, event: Event) -> JobRecord:
    return record.change(
        state=State.FAILED,
        reason=Reason.HOST_LOST,
        detail=event["detail"],
        finished_at=event["at"],
        unknown_since=None,
    )


def _waiting(record: JobRecord, event: Event) -> JobRecord:
    if record.state is not State.QUEUED:
        return record
    reason = Reason(event["reason"])
    if (record.reason, record.detail) == (reason, event["detail"]):
        return record
    return record.change(reason=reason, detail=event["detail"])


_HANDLERS: dict[str, Callable[[JobRecord, Event], JobRecord]] = {
    "placed": _placed,
    "claimed": _claimed,
    "running": _running,
    "note": _note,
    "exited": _exited,
    "failed": _failed,
    "missing": _missing,
    "relaunch": _relaunch,
    "stop": _stop,
    "stop_failed": _stop_failed,
    "unreachable": _unreachable,
    "seen_running": _seen_running,
    "host_lost": _host_lost,
    "waiting": _waiting,
}
