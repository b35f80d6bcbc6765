"""Where a job may run: its request as Ray's scheduler understands it, or why it can't be placed now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.jobs.records import JobRecord, Reason
from workers.supervision.hosts import Host

#: A trace of a resource: enough to be sent only to nodes that have it, too little to use it up.
TRACE = 0.001
#: `target_host` of the head node.
LOCAL = "local"
NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True)
class Waiting:
    """Why a job can't be placed now."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Placement:
    """A request to Ray's scheduler: options of a task. `obstacle` is why it can't be granted by the present hosts."""

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
    """What to ask of Ray for a job that was never launched."""
    candidates = list(hosts)
    if record.target_host is not None:
        try:
            candidates = find_target(record.target_host, hosts)
        except (InvalidInput, NotFound) as error:
            return Waiting(Reason.UNSCHEDULABLE, error.detail)
    online = [host for host in candidates if host.online]
    if not online:
        where = f"The host {record.target_host}" if record.target_host else "Every host"
        return Waiting(Reason.HOST_UNREACHABLE, f"{where} is unreachable")
    ready = [host for host in online if host.docker]
    if not ready:
        faults = "; ".join(f"{host.name}: {host.docker_error or 'not asked yet'}" for host in online)
        return Waiting(Reason.DOCKER_UNAVAILABLE, f"Docker does not answer on {faults}")
    # Asked of Ray even so: its autoscaler may bring a host that is large enough.
    fits = any(_could_hold(host, record) for host in ready)
    obstacle = None if fits else Waiting(Reason.UNSCHEDULABLE, _too_large(record, ready))
    options = request(record)
    if record.target_host is not None and len(ready) == 1:
        options["label_selector"] = {NODE_LABEL: ready[0].node_id}
    elif record.target_host is not None:
        options["label_selector"] = {NODE_LABEL: f"in({','.join(sorted(host.node_id for host in ready))})"}
    else:
        avoid = sorted(host.node_id for host in hosts if host.online and not host.docker)
        options["resources"] = {names.RESOURCE_DOCKER: TRACE}
        if avoid:
            options["label_selector"] = {NODE_LABEL: f"!in({','.join(avoid)})"}
    return Placement(options, obstacle)


def request(record: JobRecord) -> dict[str, Any]:
    """What the job takes of a node."""
    options: dict[str, Any] = {"num_cpus": record.cpus}
    if record.gpus:
        options["num_gpus"] = record.gpus
    if record.memory:
        options["memory"] = record.memory
    return options


def adopt_on(record: JobRecord, host: Host, *, take_room: bool) -> Placement:
    """The request of a runner for a container that exists already; it takes the job's room unless none is left."""
    options = request(record) if take_room else {"num_cpus": 0}
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
        wants += f", {record.memory} bytes of memory"
    has = "; ".join(
        f"{host.name}: {host.amount('CPU'):g} CPUs, {host.amount('GPU'):g} GPUs, {host.amount('memory'):.0f} bytes"
        for host in hosts
    )
    return f"No host is large enough for {wants} ({has}); it waits for one that is"
