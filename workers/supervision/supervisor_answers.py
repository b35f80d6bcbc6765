"""What the supervisor answers: plain data, made by it and read in `client` and `launch`.

They may be of different versions while a new one is deployed, so a key that is here stays. The hosts' part is what
`/hosts` gives, made here (`hosts_answer`) of what is known of hosts and of active jobs.
"""

from collections.abc import Iterable
from typing import Any, TypedDict

from workers.jobs.records import JobRecord, State
from workers.supervision.hosts import Host

#: States in which a job takes room on its host.
_HOLDING = (State.LAUNCHING, State.RUNNING, State.STOP_REQUESTED, State.UNKNOWN)


class Amounts(TypedDict):
    """What a host has, or what jobs hold of it; `memory` is in bytes."""

    cpus: float
    gpus: float
    memory: float


class HostState(TypedDict):
    """What both views say of a host; `problem`: why no job can run there; `last_seen` is epoch seconds."""

    online: bool
    docker: bool
    docker_error: str | None
    problem: str | None
    resources: Amounts
    used: Amounts
    gpu: list[str]
    node_id: str
    last_seen: float | None


class ListedHost(HostState):
    """A host in the list; `host` is its address."""

    name: str
    host: str
    running_jobs: int


class NamedHost(HostState):
    """A host by its name; `info` is what its agent says, with its hostname, its tags and whether it is Ray's head."""

    host: str
    running: int
    active_job_ids: list[str]
    info: dict[str, Any]


class HostsAnswer(TypedDict):
    """The hosts, the head first: as a list, and by name."""

    available_hosts: list[ListedHost]
    hosts: dict[str, NamedHost]


class Given(TypedDict):
    """What a supervisor was made with: its options (`Options.to_dict`) and the version of its code."""

    options: dict[str, Any]
    version: str


class Changes(TypedDict):
    """What changed among the jobs after `number` of an earlier answer.

    `records` are records as JSON data (`JobRecord.to_dict`) with `change`, the epoch and number of what made each what
    it is; `removed` are job ids. With `reset`, `records` is everything there is.
    """

    epoch: str
    number: int
    reset: bool
    records: list[dict[str, Any]]
    removed: list[str]


class News(Changes):
    """What an API process's copy of the jobs is kept by; `storage` is what is wrong there, or None."""

    hosts: HostsAnswer
    hosts_settled: bool  # every host had the time to answer: until then an earlier picture is the better one
    cluster_id: str
    storage: str | None


def hosts_answer(hosts: Iterable[Host], active: Iterable[JobRecord]) -> HostsAnswer:
    """The answer of `/hosts`; resources in Ray's units, memory in bytes."""
    jobs: dict[str, list[JobRecord]] = {}
    for record in active:
        if record.host is not None and record.state in _HOLDING:
            jobs.setdefault(record.host, []).append(record)
    listed: list[ListedHost] = []
    by_name: dict[str, NamedHost] = {}
    for host in sorted(hosts, key=lambda host: (not host.head, host.name)):
        mine = jobs.get(host.name, [])
        common: HostState = {
            "online": host.online,
            "docker": bool(host.docker),
            "docker_error": host.docker_error,
            "problem": host.problem,
            "resources": _totals(host),
            "used": _used(mine),
            "gpu": list(host.gpu),
            "node_id": host.node_id,
            "last_seen": host.last_seen,
        }
        listed.append({"name": host.name, "host": host.address, "running_jobs": len(mine), **common})
        by_name[host.name] = {
            "host": host.address,
            "running": len(mine),
            "active_job_ids": [record.job_id for record in mine],
            "info": {"hostname": host.hostname, "tags": sorted(host.tags), "head": host.head, **(host.info or {})},
            **common,
        }
    return {"available_hosts": listed, "hosts": by_name}


def _totals(host: Host) -> Amounts:
    return {"cpus": host.amount("CPU"), "gpus": host.amount("GPU"), "memory": host.amount("memory")}


def _used(jobs: list[JobRecord]) -> Amounts:
    """What jobs hold of a host; more than its totals where adopted jobs share the room of others."""
    return {
        "cpus": sum(job.cpus for job in jobs),
        "gpus": sum(job.gpus for job in jobs),
        "memory": sum(job.memory or 0 for job in jobs),
    }
