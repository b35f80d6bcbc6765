"""What crosses the border between the supervisor and the code that works beside a Docker engine: plain data only.

That code travels to its machine by value, so the classes here are for readers and type checkers: at run time a spec and
an event are dictionaries of strings, numbers, booleans, lists and dictionaries.

    runner:  run_attempt(spec, claim, place) -> Iterator[event]          workers/host/runner.py
    on Ray:  runner_function().options(...).remote(spec) -> events       workers/host/remote.py
    agent:   agent_class().options(...).remote(version) -> HostAgent     the same
"""

from collections.abc import Sequence
from typing import Final, NotRequired, TypedDict

#: `spec["mode"]`: make a container, or take over the one that is there.
LAUNCH: Final = "launch"
ADOPT: Final = "adopt"

#: `spec["pull"]`: fetch the image if the host lacks it, each time, or not at all.
PULL_MISSING: Final = "missing"
PULL_ALWAYS: Final = "always"
PULL_NEVER: Final = "never"

#: The runner has its slot: `node_id`, `hostname`, `address`, `pid`.
PLACED: Final = "placed"
#: The claim was granted and the container is about to be created. No fields.
LAUNCHING: Final = "launching"
#: The container runs, or ran: `container_id`, `container_name`, `attempt` (as its label says), `started_at` (epoch
#: seconds), `gpus` (device ids).
RUNNING: Final = "running"
#: Something that people should know while the attempt goes on: `reason`, `detail`; a `reason` of None clears it.
NOTE: Final = "note"
#: The container's end: `exit_code`, `oom_killed`, `started_at`, `finished_at` (epoch seconds), `log_bytes` (length of
#: container.log), `log_complete` (False: the storage stayed full or away for `log_wait_s`, and the container is kept
#: for its log), `timed_out`, `container_id`.
EXITED: Final = "exited"
#: On Ray only, after `exited`: taken from the stream, it says that the exit is on record, and the container is removed.
TOLD: Final = "told"
#: The attempt came to nothing and nothing of it is left on the host: `reason`, `detail`.
FAILED: Final = "failed"
#: This host has no container of this job, or it was removed while it was watched: `detail`, `started` (whether this
#: runner saw it run).
MISSING: Final = "missing"
#: The claim was not granted, or not answered in time; nothing was created: `detail`, `answered`.
REFUSED: Final = "refused"

#: Reasons in `failed` and `note`.
IMAGE_NOT_FOUND: Final = "image_not_found"
IMAGE_PULL_FAILED: Final = "image_pull_failed"
DOCKER_UNAVAILABLE: Final = "docker_unavailable"
GPU_UNAVAILABLE: Final = "gpu_unavailable"
START_FAILED: Final = "start_failed"
STORAGE_FULL: Final = "storage_full"
STORAGE_UNAVAILABLE: Final = "storage_unavailable"

#: What `HostAgent.stop` says in `outcome`.
STOPPED: Final = "stopped"
ABSENT: Final = "absent"
NOT_CONFIRMED: Final = "not_confirmed"


class Supervisor(TypedDict):
    """Where the claim is asked: a named Ray actor."""

    name: str
    namespace: str


class Spec(TypedDict):
    """One attempt of one job, as the runner is told to run or adopt it."""

    mode: str  # LAUNCH or ADOPT
    job_id: str
    attempt: int  # from 1
    job_name: str  # any text; only ever a label
    cluster_id: str  # the installation, as in `.opeva/cluster_id`
    image: str
    command: Sequence[str]  # complete; given to the image's entrypoint
    env: dict[str, str]
    cpus: float
    gpus: int
    memory: int | None  # bytes, Docker's limit with swap; None: no limit
    timeout_s: float | None  # from the container's start; None: none
    stop_grace_s: float  # from TERM to KILL when `timeout_s` has passed
    shared_root: str  # the shared folder as the runner sees it
    host_root: str  # the shared folder as this host's Docker engine sees it
    writable: Sequence[str]  # folders below the root that containers may write, e.g. ["mlflow"]
    open_root: bool  # the whole root read-write, for images that want it so
    network: str | None  # used where the engine has a network of that name
    pull: str  # PULL_MISSING, PULL_ALWAYS or PULL_NEVER
    pull_timeout_s: float
    start_timeout_s: float  # creating and starting the container
    docker_timeout_s: float  # one Docker call
    kill_deadline_s: float  # from KILL to a confirmed end
    supervisor: Supervisor
    claim_timeout_s: float
    user: str | None  # Docker's user, e.g. "1000:1000"; None: the image's
    cpu_limit: NotRequired[bool]  # whether `cpus` also caps the container (default False)
    log_wait_s: NotRequired[float]  # how long an ended container's log may wait for storage (default 600)


class Place(TypedDict):
    """Where a runner runs, and what Ray gave it there."""

    node_id: str
    hostname: str
    address: str
    gpus: Sequence[str]  # device ids that Ray allotted to this task
    node_gpus: int  # GPUs of the node
