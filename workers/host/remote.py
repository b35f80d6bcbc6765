"""The runner and the host agent as Ray's remote function and actor class, made so that they travel by value.

A worker machine has `ray` and `docker` and nothing of this package. What is sent takes along all that it uses from
here, as long as modules import names from each other and never a module itself.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import ray

from workers.common.clock import Deadline, now
from workers.host.agent import HostAgent
from workers.host.runner import run_attempt

if TYPE_CHECKING:
    from workers.jobs.events import RunnerEvent
    from workers.jobs.spec import Place, Spec


_STEP_S: Final = 0.2


@functools.cache
def runner_function() -> Any:
    """The remote function `(spec) -> stream of events`. `.options(...)` gives it its name, resources and node.

    Never retried by Ray: what a lost runner means is the supervisor's decision. A runner waits at each event until it
    is taken from the stream (the back-pressure of one object).
    """
    _send_by_value()
    return ray.remote(num_cpus=1, max_retries=0, num_returns="streaming", _generator_backpressure_num_objects=1)(
        run_on_ray
    )


@functools.cache
def agent_class() -> Any:
    """The actor class `(version, root) -> HostAgent`. `.options(...)` gives it its name, lifetime and node."""
    _send_by_value()
    # Its calls, several a second, would drive the runners out of what the dashboard lists: no events of them.
    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, max_concurrency=1000, enable_task_events=False)(
        HostAgentOnRay
    )


def run_on_ray(spec: Spec) -> Iterator[RunnerEvent]:
    """`run_attempt` in a Ray task: Ray says where it is, and its supervisor is asked for the claim.

    After `exited` comes `exit_taken`: the supervisor takes it from the stream when the end is on record. The container
    is removed next.
    """
    place = _place(spec["gpus"])
    for event in run_attempt(spec, lambda: _claim(spec, place["node_id"]), place):
        yield event
        if event["event"] == "exited":
            yield {"event": "exit_taken", "at": now()}


class HostAgentOnRay(HostAgent):
    """`HostAgent` as an actor of the node that it is placed on."""

    def __init__(self, version: str = "", root: str = "") -> None:
        super().__init__(
            version, root, node_id=ray.get_runtime_context().get_node_id(), address=ray.util.get_node_ip_address()
        )


def _send_by_value() -> None:
    import ray.cloudpickle

    import workers

    ray.cloudpickle.register_pickle_by_value(workers)


def _place(gpus: int) -> Place:
    node_id = ray.get_runtime_context().get_node_id()
    node_gpus = 0
    if gpus:
        totals = [node["Resources"] for node in ray.nodes() if node["NodeID"] == node_id]
        node_gpus = int(totals[0].get("GPU", 0)) if totals else gpus
    return {
        "node_id": node_id,
        "hostname": socket.gethostname(),
        "address": ray.util.get_node_ip_address(),
        "gpus": [str(device) for device in ray.get_gpu_ids()] if gpus else [],
        "node_gpus": node_gpus,
    }


def _claim(spec: Spec, node_id: str) -> bool:
    supervisor = ray.get_actor(spec["supervisor"]["name"], namespace=spec["supervisor"]["namespace"])
    reference = supervisor.claim.remote(spec["job_id"], spec["attempt"], node_id)
    # NOTE: not ray.get, which gives this task's CPUs to the next one while it waits.
    answer = reference.future()
    deadline = Deadline(spec["claim_timeout_s"])
    while True:
        try:
            # In short steps, between which an interrupt (a cancelled task's) is noticed.
            return bool(answer.result(min(_STEP_S, deadline.left())))
        except TimeoutError:
            if deadline.passed() or answer.done():
                raise
