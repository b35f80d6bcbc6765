"""A job's record: what is known of a job, as it stands in memory, on disk and in answers."""

from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

#: Version of the record's form on disk. A reader leaves out fields that it does not know, so that a downgrade can read
#: what an upgrade wrote; the number rises only when the meaning of a field changes.
FORMAT: Final = 1


class State(StrEnum):
    """Where a job stands; `states.transition` decides how it moves."""

    #: Waits for a host with room.
    QUEUED = "queued"
    #: A host was found; the image is fetched and the container made.
    LAUNCHING = "launching"
    #: The container runs.
    RUNNING = "running"
    #: Somebody asked for its end, which is not confirmed yet.
    STOP_REQUESTED = "stop_requested"
    #: Its host can't be reached, so nobody can say.
    UNKNOWN = "unknown"
    #: Ended with exit code 0.
    FINISHED = "finished"
    #: Ended otherwise, or could not start; the reason says why.
    FAILED = "failed"
    #: Ended because somebody asked for it.
    STOPPED = "stopped"
    #: Stopped before it ever ran.
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether a job in this state has ended; such a state never changes."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.FINISHED, State.FAILED, State.STOPPED, State.CANCELED})


class Reason(StrEnum):
    """Why a job is in its state, for programs; `detail` says it to people."""

    #: The image is neither on the host nor in a registry that the host reaches.
    IMAGE_NOT_FOUND = "image_not_found"
    #: The registry refused or broke off.
    IMAGE_PULL_FAILED = "image_pull_failed"
    #: The host's Docker engine does not answer.
    DOCKER_UNAVAILABLE = "docker_unavailable"
    #: No GPU is free, or the engine can't hand one out.
    GPU_UNAVAILABLE = "gpu_unavailable"
    #: Docker refused to create or start the container.
    START_FAILED = "start_failed"
    #: No live host can ever satisfy the request.
    UNSCHEDULABLE = "unschedulable"
    #: Hosts could run it, all are busy.
    WAITING_FOR_ROOM = "waiting_for_room"
    #: The kernel killed it for its memory, and Docker says so.
    OOM_KILLED = "oom_killed"
    #: A signal from elsewhere ended it.
    KILLED = "killed"
    NONZERO_EXIT = "nonzero_exit"
    #: Somebody asked for its end.
    USER_STOP = "user_stop"
    #: A stop was asked for and could not be confirmed; it is tried again.
    STOP_FAILED = "stop_failed"
    #: It ran longer than its `timeout_s`.
    TIMEOUT = "timeout"
    #: Its host is there, its container is not.
    CONTAINER_LOST = "container_lost"
    #: Its host does not answer.
    HOST_UNREACHABLE = "host_unreachable"
    #: Its host stayed away for longer than the deadline.
    HOST_LOST = "host_lost"
    CONFIG_INVALID = "config_invalid"
    STORAGE_FULL = "storage_full"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    #: The supervision itself failed; the detail has the error.
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """All that is known of a job. Times are epoch seconds (UTC), memory is in bytes; None is 'not (yet) known'."""

    job_id: str
    job_name: str
    image: str
    submitted_at: float
    experiment_name: str = ""
    run_name: str = ""
    submitted_by: str | None = None
    #: The config's file name under `configs/`, if it came from there or was saved there.
    config_path: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    cpus: float = 1.0
    gpus: int = 0
    memory: int | None = None
    timeout_s: float | None = None
    stop_grace_s: float = 10.0
    #: What the request asked for: a host's name or address, `local`, or a tag.
    target_host: str | None = None
    idempotency_key: str | None = None
    body_hash: str | None = None
    requeued_from: str | None = None

    state: State = State.QUEUED
    reason: Reason | None = None
    detail: str | None = None
    exit_code: int | None = None
    #: Counts launches; a relaunch happens only while no container ever existed.
    attempt: int = 1
    #: A runner of this attempt was allowed to create the container.
    claimed: bool = False
    host: str | None = None
    node_id: str | None = None
    address: str | None = None
    container_id: str | None = None
    container_name: str | None = None
    gpu_ids: tuple[str, ...] = ()
    launching_at: float | None = None
    started_at: float | None = None
    #: When the container ended, or when a job that never ran was given up.
    finished_at: float | None = None
    stop_requested_at: float | None = None
    unknown_since: float | None = None
    #: The length of the container's log, known once it is complete.
    log_bytes: int | None = None

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state.terminal

    @property
    def may_have_container(self) -> bool:
        """Whether a container of the job may exist somewhere: one was allowed, or has started."""
        return self.claimed or self.started_at is not None

    def change(self, **values: Any) -> Self:
        """A copy with some fields replaced."""
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        data = asdict(self)
        data["format"] = FORMAT
        data["state"] = str(self.state)
        data["reason"] = None if self.reason is None else str(self.reason)
        data["gpu_ids"] = list(self.gpu_ids)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From plain JSON data.

        Raises:
            ValueError, KeyError, TypeError: it is not a record.
        """
        if not isinstance(data, dict):
            raise TypeError("a record must be an object")
        values = {key: data[key] for key in _FIELDS if key in data}
        state = data["state"]
        # A state that a newer version invented is none of ours: its host shows what it means.
        newer = isinstance(data.get("format"), int) and data["format"] > FORMAT and isinstance(state, str)
        values["state"] = State.UNKNOWN if newer and state not in set(State) else State(state)
        reason = data.get("reason")
        # A reason of a newer version is left out; the detail has it in words.
        values["reason"] = Reason(reason) if reason in set(Reason) else None
        values["gpu_ids"] = tuple(str(gpu) for gpu in data.get("gpu_ids") or ())
        values["env"] = {str(k): str(v) for k, v in (data.get("env") or {}).items()}
        for key, kind in _NEEDED.items():
            if not isinstance(values.get(key), kind):
                raise TypeError(f"a record's {key} must be of type {kind}")
        return cls(**values)


_FIELDS = frozenset(f.name for f in fields(JobRecord))
_NEEDED: dict[str, Any] = {
    "job_id": str,
    "job_name": str,
    "image": str,
    "submitted_at": (int, float),
    "attempt": int,
    "cpus": (int, float),
    "claimed": bool,
}
