"""What is done to a stack: each fault happens for real, and what does not come back by itself is brought back."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from scripts.harness.api import eventually
from scripts.harness.titles import AGENT, REPLICA, RUNNER, SUPERVISOR
from scripts.stack import Stack
from scripts.stack.keeper import send
from scripts.stack.worker_node import WorkerNode
from tests.faults.storage import full, read_only, without_the_root


def kill_processes(stack: Stack, text: str, *, most: int | None = None) -> int:
    """SIGKILL the processes of the head whose title holds `text`, waited for; how many there were."""
    pids = eventually(lambda: stack.pids(text), what=f"a process {text}")[:most]
    send(pids, signal.SIGKILL)
    return len(pids)


def kill_engine(host: WorkerNode) -> None:
    """SIGKILL the second host's Docker engine, and start it again; its containers end with it."""
    host.kill_engine()
    host.start_engine()


def pause_engine(host: WorkerNode, seconds: float) -> None:
    """Have the second host's Docker engine hang for a while."""
    pids = host.engine_pids()
    send(pids, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        send(pids, signal.SIGCONT)


def kill_node(host: WorkerNode) -> None:
    """End the second host's Ray node at once, and start it again; the containers go on."""
    host.kill_ray()
    host.start_ray()


def cut_off(stack: Stack, host: WorkerNode, seconds: float = 0.0) -> None:
    """Cut the second host off until Ray has given it up, and for `seconds` more; then bring it back.

    Its Ray node ends itself when it learns that it was given up, as a real one does, and joins again.
    """
    host.cut()
    try:
        gone = f"the host {host.name} given up by Ray"
        eventually(lambda: not _alive(stack, host.address), what=gone, deadline=240)
        time.sleep(seconds)
    finally:
        host.mend()
    host.stop_ray()
    host.start_ray()


def _alive(stack: Stack, address: str) -> bool:
    return any(node["alive"] and node["address"] == address for node in stack.ray.nodes())


def restart_head(stack: Stack, host: WorkerNode | None, *, kill: bool) -> None:
    """End all of Ray, with `kill` at once, and bring everything up again; the second host joins anew."""
    if kill:
        stack.ray.kill()
    else:
        stack.ray.stop()
    if host is not None:
        # Its node would end itself for want of a head, after a minute.
        host.stop_ray()
    stack.up(say=lambda _: None)
    if host is not None:
        host.start_ray()


def kill_database(stack: Stack) -> None:
    """SIGKILL the database of the sites, and start it again."""
    stack.mongo.kill()
    stack.mongo.start(stack.environment())


def for_a_while(broken: AbstractContextManager[object], seconds: float = 5.0) -> None:
    """Have something broken for some seconds."""
    with broken:
        time.sleep(seconds)


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `kills` says whether containers on the second host end by it."""

    name: str
    happen: Callable[[Stack, WorkerNode], object]
    kills: bool = False


#: Every kind, for a soak that takes them at random; the second number is how often each is taken. The shared root is a
#: storage of its own there.
ALL: Final[tuple[tuple[Fault, int], ...]] = (
    (Fault("supervisor killed", lambda stack, _: kill_processes(stack, SUPERVISOR)), 4),
    (Fault("runner killed", lambda stack, _: kill_processes(stack, RUNNER, most=1)), 4),
    (Fault("all runners killed", lambda stack, _: kill_processes(stack, RUNNER)), 2),
    (Fault("host agent killed", lambda stack, _: kill_processes(stack, AGENT)), 3),
    (Fault("API replica killed", lambda stack, _: kill_processes(stack, REPLICA, most=1)), 3),
    (Fault("database killed", lambda stack, _: kill_database(stack)), 1),
    (Fault("storage full", lambda stack, _: for_a_while(full(stack.layout.root))), 1),
    (Fault("storage read-only", lambda stack, _: for_a_while(read_only(stack.layout.root))), 1),
    (Fault("storage away", lambda stack, _: for_a_while(without_the_root(stack.layout.root))), 1),
    (Fault("second Ray node killed", lambda _, host: kill_node(host)), 2),
    (Fault("second engine killed", lambda _, host: kill_engine(host), kills=True), 2),
    (Fault("second engine hangs", lambda _, host: pause_engine(host, 5.0)), 2),
    (Fault("second host cut off", lambda stack, host: cut_off(stack, host)), 1),
    (Fault("head killed", lambda stack, host: restart_head(stack, host, kill=True)), 1),
    (Fault("everything stopped and started", lambda stack, host: restart_head(stack, host, kill=False)), 1),
)
