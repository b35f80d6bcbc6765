"""Where a job may run: the options of its Ray task, which say it to Ray's scheduler, or why it can't be placed now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.common.nodes import NODE_LABEL, TRACE
from workers.jobs.records import JobRecord, Reason
from workers.supervision.hosts import Host

#: `target_host` of the head node.
LOCAL = "local"


@dataclass(frozen=True)
class Waiting:
    """Why a job can't be placed now."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Placement:
    """What Ray's scheduler is given: options of a task. `obstacle` is why it can't be granted by the present hosts."""

    options: dict[str, Any] = field(default_factory=dict)
    obstacle: Waiting | None = None


def find_target(target: str, hosts: Sequence[Host]) -> list[Host]:
    """The hosts that a `target_host` means: by `local`, name, address, or tag. Offline ones included.

    Raises:
        InvalidInput: it can't be a host.
        NotFound: no host is called so.
    """
    target = names.host_name(target)
    if target == LOCAL:
        found = [host for host in hosts if host.head]
    else:
        found = [host for host in hosts if host.name == target] or [host for host in hosts if host.address == target]
        found = found or [host for host in hosts if target in host.tags]
    if not found:
        known = ", ".join(sorted(host.name for host in hosts)) or "none"
        raise NotFound(f"There is no host {target!r}; hosts: {known}", ErrorCode.HOST_NOT_FOUND)
    return found


def place(record: JobRecord, hosts: Sequence[Host]) -> Placement | Waiting:
    """What to ask of Ray for a job that was never launched.

    Hosts where no job can run now are named to Ray's scheduler as those to avoid. So a job that waits goes to a host
    that joins meanwhile, and is a demand that Ray's autoscaler sees, which a list of hosts to choose from is not.
    """
    target = record.target_host
    if target is None:
        return _anywhere(record, hosts, hosts)
    try:
        candidates = find_target(target, hosts)
    except (InvalidInput, NotFound) as error:
        return Waiting(Reason.UNSCHEDULABLE, error.detail)
    named = target == LOCAL or any(target in (host.name, host.address) for host in candidates)
    if not named and all(target in host.resource_tags for host in candidates):
        return _anywhere(record, candidates, hosts, tag=target)
    able = [host for host in candidates if host.problem is None]
    if not able:
        return _nowhere(candidates)
    selector = able[0].node_id if len(able) == 1 else f"in({_ids(able)})"
    return Placement({**room_of(record), "label_selector": {NODE_LABEL: selector}}, _obstacle(record, candidates))


def _anywhere(
    record: JobRecord, candidates: Sequence[Host], hosts: Sequence[Host], tag: str | None = None
) -> Placement:
    """Wherever Ray finds room: on a host with the `tag`, if there is one, and not where a job can't run."""
    options = room_of(record)
    if tag is not None:
        options["resources"] = {tag: TRACE}
    avoid = [host for host in hosts if host.problem is not None]
    if avoid:
        options["label_selector"] = {NODE_LABEL: f"!in({_ids(avoid)})"}
    return Placement(options, _obstacle(record, candidates))


def _ids(hosts: Sequence[Host]) -> str:
    return ",".join(sorted(host.node_id for host in hosts))


def _obstacle(record: JobRecord, candidates: Sequence[Host]) -> Waiting | None:
    """Why none of the hosts can take the job, however long it waits; None if one can."""
    able = [host for host in candidates if host.problem is None]
    if not able:
        return _nowhere(candidates)
    if any(_could_hold(host, record) for host in able):
        return None
    return Waiting(Reason.UNSCHEDULABLE, _too_large(record, able))


def _nowhere(candidates: Sequence[Host]) -> Waiting:
    """Why no job at all can run on these hosts."""
    # One that lacks a package is in Ray, though no agent of ours can say so.
    online = [host for host in candidates if host.online or host.lacking]
    why = "; ".join(host.problem or "" for host in online or candidates)
    if not online:
        return Waiting(Reason.HOST_UNREACHABLE, f"No host for it is reachable. {why}")
    if not any(host.docker for host in online):
        return Waiting(Reason.DOCKER_UNAVAILABLE, f"No host for it has a Docker engine that answers. {why}")
    return Waiting(Reason.STORAGE_UNAVAILABLE, f"No host for it has both Docker and the head's shared folder. {why}")


def room_of(record: JobRecord) -> dict[str, Any]:
    """What the job takes of a node, as options of a Ray task."""
    options: dict[str, Any] = {"num_cpus": record.cpus}
    if record.gpus:
        options["num_gpus"] = record.gpus
    if record.memory:
        options["memory"] = record.memory
    return options


def adopt_on(record: JobRecord, host: Host, *, take_room: bool) -> Placement:
    """The options of a runner's task for a container that is there already; it takes the job's room if any is left."""
    options = room_of(record) if take_room else {"num_cpus": 0}
    return Placement({**options, "label_selector": {NODE_LABEL: host.node_id}})


def _could_hold(host: Host, record: JobRecord) -> bool:
    return (
        host.amount("CPU") >= record.cpus
        and host.amount("GPU") >= record.gpus
        and host.amount("memory") >= (record.memory or 0)
    )


def _too_large(record: JobRecord, hosts: Sequence[Host]) -> str:
    wants = f"{record.cpus:g} CPUs"
    if record.gpus:
        wants += f", {record.gpus} GPUs"
    if record.memory:
        wants += f", {_gib(record.memory)} of memory"
    has = "; ".join(
        f"{host.name}: {host.amount('CPU'):g} CPUs, {host.amount('GPU'):g} GPUs, {_gib(host.amount('memory'))}"
        for host in hosts
    )
    return f"No host is large enough for {wants} ({has}); it waits for one that is"


def _gib(amount: float) -> str:
    return f"{amount / (1 << 30):.1f} GiB"
