"""The events of a job: what its runner reports, and what the supervisor makes of that and adds.

Each kind has one type, which its `event` names, so that makers and readers agree. At run time an event is a dictionary
of strings, numbers, booleans and lists: a runner's crosses from its machine as such. `at` is when it was made, in epoch
seconds; times are epoch seconds throughout.

    RunnerEvent   made in workers/host/runner.py, container_start.py (and remote.py), read in workers/supervision
    JobEvent      what `workers.jobs.states.transition` takes: those that say the same of a record, and the supervisor's
"""

from typing import Literal, NotRequired, TypedDict

#: Reasons in `failed` and `note`; each is also a `workers.jobs.records.Reason`.
Trouble = Literal[
    "image_not_found",
    "image_pull_failed",
    "docker_unavailable",
    "gpu_unavailable",
    "start_failed",
    "storage_full",
    "storage_unavailable",
]

# -- what a runner reports


class RunnerPlaced(TypedDict):
    """The runner has its slot. `hostname` is the machine's own name for itself, `address` Ray's."""

    event: Literal["placed"]
    at: float
    node_id: str
    hostname: str
    address: str
    pid: int


class Launching(TypedDict):
    """The claim was granted and the container is about to be created."""

    event: Literal["launching"]
    at: float


class Started(TypedDict):
    """What is known of a container that has started; `gpus` are device ids."""

    at: float
    container_id: str
    container_name: str
    started_at: float
    gpus: list[str]


class Running(Started):
    """The container runs, or ran; `attempt` is what its label says."""

    event: Literal["running"]
    attempt: int


class Note(TypedDict):
    """Something that people should know while the attempt goes on; a `reason` of None clears it."""

    event: Literal["note"]
    at: float
    reason: Trouble | None
    detail: str | None


class Exited(TypedDict):
    """The container's end.

    `log_bytes` is the length of container.log. `log_complete` is False where the storage stayed full or away for
    `log_wait_s`: the container is kept for its log.
    """

    event: Literal["exited"]
    at: float
    container_id: str
    exit_code: int
    oom_killed: bool
    started_at: float
    finished_at: float | None
    log_bytes: int
    log_complete: bool
    timed_out: bool


class ExitTaken(TypedDict):
    """On Ray only, after `exited`: that event was taken from the stream, so the end is on record.

    The container is removed next, unless its log is incomplete.
    """

    event: Literal["exit_taken"]
    at: float


class Failed(TypedDict):
    """The attempt came to nothing and nothing of it is left on the host. `config_invalid` is the supervisor's word."""

    event: Literal["failed"]
    at: float
    reason: Trouble | Literal["config_invalid"]
    detail: NotRequired[str | None]


class Missing(TypedDict):
    """The job's host is there and has no container of the job."""

    event: Literal["missing"]
    at: float


class RunnerMissing(Missing):
    """The same from a runner; `started`: it had seen the container run, which was removed while it watched."""

    detail: str
    started: bool


class Refused(TypedDict):
    """Nothing was created: the claim was not granted, or (`answered` is False) nobody answered in time."""

    event: Literal["refused"]
    at: float
    detail: str
    answered: bool


RunnerEvent = RunnerPlaced | Launching | Running | Note | Exited | ExitTaken | Failed | RunnerMissing | Refused

# -- what the supervisor makes of it, and adds


class Where(TypedDict):
    """On which host a job is, by the name that people know it by."""

    at: float
    host: str
    node_id: str
    address: str


class OnHost(Where):
    """The job is on this host: its runner has its slot there, or its container was found there."""

    event: Literal["on_host"]


class Claimed(Where):
    """A runner was allowed to create the container on this host."""

    event: Literal["claimed"]


class SeenRunning(Started):
    """A host's list says that the container runs, or ran and awaits its conclusion."""

    event: Literal["seen_running"]


class Relaunch(TypedDict):
    """The attempt came to nothing through no fault of the job: back to the queue as a new attempt."""

    event: Literal["relaunch"]
    at: float
    reason: NotRequired[str | None]
    detail: NotRequired[str | None]


class KeptWaiting(TypedDict):
    """Why a queued job is not placed yet."""

    event: Literal["waiting"]
    at: float
    reason: str
    detail: str


class Stop(TypedDict):
    """Somebody asked for the job's end."""

    event: Literal["stop"]
    at: float


class StopFailed(TypedDict):
    """A stop could not be confirmed; it is tried again."""

    event: Literal["stop_failed"]
    at: float
    detail: str


class Unreachable(TypedDict):
    """The job's host, or its Docker engine, can't be asked. Without a `reason` it is the host."""

    event: Literal["unreachable"]
    at: float
    reason: NotRequired[str]
    detail: str


class HostLost(TypedDict):
    """The host could not be asked for too long."""

    event: Literal["host_lost"]
    at: float
    detail: str


JobEvent = (
    OnHost
    | Claimed
    | Running
    | SeenRunning
    | Note
    | Exited
    | Failed
    | Missing
    | Relaunch
    | KeptWaiting
    | Stop
    | StopFailed
    | Unreachable
    | HostLost
)
