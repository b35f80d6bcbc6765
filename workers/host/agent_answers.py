"""What a host's agent answers: plain data, made in `workers.host.agent` and read in `workers.supervision`.

For type checkers: the agent travels by value, and at run time an answer is a dictionary of strings, numbers, booleans
and lists. An `error` or `detail` is a sentence for people; None means that nothing went wrong.
"""

from typing import Literal, TypedDict


class EngineFacts(TypedDict):
    """What a host's Docker engine says of itself; `memory` is in bytes."""

    docker: bool  # whether the engine answers
    docker_error: str | None
    docker_here: bool  # whether there is an engine, also one that does not answer now
    docker_version: str | None
    ncpu: int | None
    memory: int | None


class FolderFacts(TypedDict):
    """What a host has at the path of the shared root: the installation's id that lies there."""

    cluster_id: str | None
    folder_error: str | None


class HostInfo(EngineFacts, FolderFacts):
    """A host, its engine and its shared root; `gpus` are the device ids that the NVIDIA driver has."""

    hostname: str
    address: str
    node_id: str
    version: str
    pid: int
    gpus: list[str]


class ListedContainer(TypedDict):
    """A container of this installation; `state` is Docker's word, times are epoch seconds (None: never)."""

    id: str
    name: str
    job_id: str
    attempt: int
    state: str
    exit_code: int | None
    oom_killed: bool
    started_at: float | None
    finished_at: float | None
    gpus: list[str]
    labels: dict[str, str]


class Listing(TypedDict):
    """The installation's containers on a host; none of them is known unless `ok`."""

    ok: bool
    error: str | None
    containers: list[ListedContainer]


class Holders(TypedDict):
    """The ids of running containers, of whatever installation, that use a shared root."""

    containers: list[str]
    error: str | None


#: The container has ended; the host has none of the job; it may still run; the engine could not be asked.
StopOutcome = Literal["stopped", "absent", "not_confirmed", "docker_unavailable"]


class StopAnswer(TypedDict):
    """What became of a job's container; how it ended is None unless the outcome is `stopped`."""

    outcome: StopOutcome
    detail: str
    exit_code: int | None
    oom_killed: bool | None
    started_at: float | None
    finished_at: float | None


class Removed(TypedDict):
    """The ids of the containers that were removed, also where an error kept others."""

    removed: list[str]
    error: str | None


class Pulled(TypedDict):
    """Whether an image was fetched; `reason` is a `workers.jobs.events.Trouble`."""

    ok: bool
    reason: str | None
    error: str | None


class TreeRemoved(TypedDict):
    """Whether a folder is gone."""

    ok: bool
    error: str | None
