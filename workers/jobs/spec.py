"""What crosses the border between the supervisor and the code that works beside a Docker engine: plain data only.

That code travels to its machine by value, so the types here are for readers and type checkers: at run time a spec is a
dictionary of strings, numbers, booleans, lists and dictionaries. What comes back is in `workers.jobs.events` (of a
runner) and `workers.host.agent_answers` (of a host's agent).

    runner:  run_attempt(spec, claim, place) -> Iterator[RunnerEvent]    workers/host/runner.py
    on Ray:  runner_function().options(...).remote(spec) -> events       workers/host/remote.py
    agent:   agent_class().options(...).remote(version) -> HostAgent     the same
"""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

#: Make a container, or take over the one that is there.
Mode = Literal["launch", "adopt"]
#: Fetch the image if the host lacks it, each time, or not at all.
PullPolicy = Literal["missing", "always", "never"]


class Supervisor(TypedDict):
    """Where the claim is asked: a named Ray actor."""

    name: str
    namespace: str


class Spec(TypedDict):
    """One attempt of one job, as the runner is to run or adopt it."""

    mode: Mode
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
    pull: PullPolicy
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
