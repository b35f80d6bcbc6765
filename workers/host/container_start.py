"""From the spec of an attempt to a container that has started, or to nothing at all and the reason.

A call to the engine that got no answer may have been done. Whatever is uncertain is looked up by label before it is
done again, and waits for the engine if need be: an attempt never has two containers, and none is left unnoticed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DeviceRequest, LogConfig

from workers.common.clock import Deadline, now
from workers.common.names import (
    LABEL_ATTEMPT,
    LABEL_CLUSTER,
    LABEL_GPUS,
    LABEL_JOB,
    LABEL_JOB_NAME,
    LABEL_ROOT,
    container_name,
    normal_root,
)
from workers.host.containers import attempt_of, belongs, find, never_started, remove
from workers.host.engine import UNREACHABLE, Engine, EngineError, cause, hostname, inspect, unavailable
from workers.host.gpus import choose, held, lost
from workers.host.mounts import mounts

if TYPE_CHECKING:
    from workers.host.engine import Container
    from workers.jobs.events import Note, Trouble
    from workers.jobs.spec import Place, Spec

    T = TypeVar("T")
    #: Yields notes while it waits for the engine, gives its value at the end.
    Patiently = Generator[Note, None, T]

logger = logging.getLogger(__name__)

#: NOTE: `json-file` replaces bytes that are not UTF-8, and `local` as it comes throws old output away.
_LOG: Final = {"max-file": "1", "compress": "false", "max-size": "100g"}
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_REMOVE_S: Final = 10.0
#: How often a GPU that is still held is asked for again.
_GPU_PAUSE_S: Final = 0.5
_WORDS: Final = 500


def launch(engine: Engine, spec: Spec, place: Place, existing: list[Container]) -> Patiently[Container]:
    """Create and start the attempt's container; gives it as started (`engine.describe`), perhaps ended already.

    A container of the same job that has started before is given instead: it is the attempt. `existing`: what
    `containers.find` gave. Yields notes. Raises EngineError when nothing of the attempt is left on the host.
    """
    deadline = Deadline(spec["start_timeout_s"])
    looked = True
    while True:
        if not looked:
            existing = yield from patiently(lambda: find(engine, spec["job_id"], spec["cluster_id"]))
        looked = False
        if existing and not never_started(existing[0]):
            return existing[0]
        for leftover in existing:
            yield from discard(engine, leftover["id"])
        devices = yield from _devices(engine, spec, place, deadline)
        container_id = yield from _create(engine, spec, devices, deadline)
        if container_id is None:
            continue
        if devices and lost(container_id, (yield from patiently(lambda: held(engine.client)))):
            yield from discard(engine, container_id)
            continue
        return (yield from _start(engine, spec, container_id, deadline))


def patiently(call: Callable[[], T]) -> Patiently[T]:
    """The value of `call`, tried until the engine answers; a note says when it doesn't, another when it does again."""
    pause = _FIRST_PAUSE_S
    noted = False
    while True:
        try:
            value = call()
        except APIError:
            raise
        except UNREACHABLE as error:
            if not noted:
                yield note("docker_unavailable", unavailable(error).detail)
                noted = True
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        else:
            if noted:
                yield note(None, "")
            return value


def note(reason: Trouble | None, detail: str) -> Note:
    """The event that says something of an attempt that goes on; a `reason` of None clears the last one."""
    return {"event": "note", "at": now(), "reason": reason, "detail": detail}


def _devices(engine: Engine, spec: Spec, place: Place, deadline: Deadline) -> Patiently[list[str]]:
    """The GPUs for the container, waited for while other containers hold them."""
    if not spec["gpus"]:
        return []
    while True:
        holders = yield from patiently(lambda: held(engine.client))
        taken = [device for holder in holders for device in holder["gpus"]]
        devices = choose(spec["gpus"], place["gpus"], place["node_gpus"], taken)
        if devices is not None:
            return devices
        if deadline.passed() or spec["gpus"] > max(place["node_gpus"], len(place["gpus"])):
            raise EngineError(
                "gpu_unavailable",
                f"Host {hostname()} has {place['node_gpus']} GPUs, {spec['gpus']} are wanted, and containers hold "
                f"{', '.join(taken) or 'none'}",
            )
        time.sleep(min(_GPU_PAUSE_S, deadline.left()))


def _create(engine: Engine, spec: Spec, devices: list[str], deadline: Deadline) -> Patiently[str | None]:
    """The id of the container created; None if the situation must be looked at again."""
    name = container_name(spec["job_id"], spec["attempt"])
    try:
        network = _network(engine, spec)
        return str(engine.client.create_container_from_config(_config(engine, spec, devices, network), name)["Id"])
    except (ImageNotFound, NotFound) as error:
        raise EngineError(
            "image_not_found", f"Host {hostname()} has no image {spec['image']!r}: {cause(error)}"
        ) from error
    except APIError as error:
        if error.status_code != 409:
            raise _refused(spec, error) from error
        yield from _make_way(engine, spec, name)
        if deadline.passed():
            raise _refused(spec, error) from error
    except UNREACHABLE as error:
        # It may have been created all the same.
        ours = yield from patiently(lambda: find(engine, spec["job_id"], spec["cluster_id"]))
        mine = [one for one in ours if never_started(one) and attempt_of(one) == spec["attempt"]]
        if mine:
            return str(mine[0]["id"])
        if not ours and deadline.passed():
            raise unavailable(error) from error
    return None


def _make_way(engine: Engine, spec: Spec, name: str) -> Patiently[None]:
    """Our name is taken: by our own container, which the next look finds, or by a stranger's, which is left alone."""
    holder = yield from patiently(lambda: inspect(engine.client, name))
    if holder is not None and not belongs(holder, spec["job_id"], spec["cluster_id"]):
        raise EngineError(
            "start_failed",
            f"Host {hostname()} has a container named {name} (id {holder['id'][:12]}) that is not ours",
        )
    time.sleep(_FIRST_PAUSE_S)


def _start(engine: Engine, spec: Spec, container_id: str, deadline: Deadline) -> Patiently[Container]:
    client = engine.client
    while True:
        refusal: EngineError | None = None
        try:
            engine.post("/containers/{0}/start", container_id, timeout=max(1.0, deadline.left()))
        except APIError as error:
            refusal = _refused(spec, error)
        except UNREACHABLE as error:
            logger.warning("Starting container %s: %s", container_id[:12], cause(error))
        seen = yield from patiently(lambda: inspect(client, container_id))
        if seen is None:
            raise EngineError("start_failed", f"The container on host {hostname()} was removed before it had started")
        if not never_started(seen):
            return seen
        if refusal is None and deadline.passed():
            words = f"The container on host {hostname()} did not start within {spec['start_timeout_s']:g} s"
            refusal = EngineError("start_failed", words)
        if refusal is not None:
            yield from discard(engine, container_id)
            raise refusal


def discard(engine: Engine, container_id: str) -> Patiently[None]:
    """Remove a container that did not start, and wait until it is gone."""
    while not (yield from patiently(lambda: remove(engine, container_id, Deadline(_REMOVE_S)))):
        logger.warning("Container %s is not gone yet", container_id[:12])


def _refused(spec: Spec, error: APIError) -> EngineError:
    text = cause(error)[:_WORDS]
    words = text.lower()
    if "no space left on device" in words or "disk quota exceeded" in words:
        return EngineError("storage_full", f"Host {hostname()} has no room for the container: {text}")
    if spec["gpus"] and any(sign in words for sign in ("device driver", "nvidia", "device request")):
        return EngineError("gpu_unavailable", f"Docker on host {hostname()} can't hand out a GPU: {text}")
    return EngineError("start_failed", f"Docker on host {hostname()} refused the container: {text}")


def _network(engine: Engine, spec: Spec) -> str | None:
    """The settings' network, if this engine has it."""
    if not spec["network"]:
        return None
    try:
        engine.client.inspect_network(spec["network"])
    except NotFound:
        return None
    return spec["network"]


def _config(engine: Engine, spec: Spec, devices: list[str], network: str | None) -> Any:
    client = engine.client
    labels = {
        LABEL_CLUSTER: spec["cluster_id"],
        LABEL_ROOT: normal_root(spec["host_root"]),
        LABEL_JOB: spec["job_id"],
        LABEL_ATTEMPT: str(spec["attempt"]),
        LABEL_JOB_NAME: spec["job_name"],
    }
    options: dict[str, Any] = {}
    if devices:
        labels[LABEL_GPUS] = ",".join(devices)
        options["device_requests"] = [DeviceRequest(device_ids=devices, capabilities=[["gpu"]])]
    if spec["memory"]:
        # As much with swap as without: the limit is the limit.
        options["mem_limit"] = options["memswap_limit"] = spec["memory"]
    if spec.get("cpu_limit"):
        options["nano_cpus"] = int(spec["cpus"] * 1e9)
    if network:
        options["network_mode"] = network
    return client.create_container_config(
        spec["image"],
        list(spec["command"]),
        environment=dict(spec["env"]),
        labels=labels,
        user=spec["user"],
        host_config=client.create_host_config(
            mounts=mounts(spec), log_config=LogConfig(type="local", config=_LOG), **options
        ),
    )
