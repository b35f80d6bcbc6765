"""Makes the job supervisor, and replaces it when its code or options changed.

Run as a program of its own (`python -m workers.supervision.launch`, options as JSON on standard input), since the
supervisor belongs to the Ray job that made it: made by a Serve replica, its runners would be hidden in the Ray
dashboard; made here, they are rows of the job `simulations`.

The program answers once the supervisor is there. The Ray driver then stays in the background, as long as its
supervisor does: Ray ends the idle worker processes of a driver that has ended, and the next simulation would wait for
a new one.
"""

import json
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TypedDict

import ray

from workers.common import names
from workers.common.clock import Deadline
from workers.common.errors import ErrorCode, Unavailable
from workers.common.version import code_version
from workers.supervision.supervisor_answers import Given

logger = logging.getLogger(__name__)

#: The whole way, a cold start of Ray's worker processes included.
LAUNCH_DEADLINE_S = 90.0
#: A supervisor that does not answer within this time is not replaced, but reported.
DESCRIBE_DEADLINE_S = 30.0
#: How often the driver looks whether its supervisor is still there.
WATCH_S = 2.0
_KEPT = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class LaunchRequest(TypedDict):
    """What this program reads from standard input, as JSON; `address` is that of Ray's control service."""

    options: dict[str, Any]
    address: str
    replace: bool


def launch(options: dict[str, Any], gcs_address: str, *, replace: bool) -> None:
    """Have a supervisor with these options; with `replace`, one with others or older code makes way.

    Raises:
        Unavailable: it could not be made; the detail says why.
    """
    root = Path(__file__).resolve().parents[2]
    request: LaunchRequest = {"options": options, "address": gcs_address, "replace": replace}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "workers.supervision.launch"],
            input=json.dumps(request),
            env=environment(root),
            cwd=root,
            capture_output=True,
            text=True,
            timeout=LAUNCH_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"The job supervisor could not be made within {LAUNCH_DEADLINE_S:g} s", ErrorCode.SUPERVISOR_UNAVAILABLE
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Unavailable(f"The job supervisor could not be made: {last}", ErrorCode.SUPERVISOR_UNAVAILABLE)


def environment(code: Path) -> dict[str, str]:
    """The environment of the program, which is to run the code in the folder `code`."""
    # What Ray set for this process is not the new driver's.
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith("RAY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [str(code), kept.get("PYTHONPATH")]))}


def _ensure(options: dict[str, Any], *, replace: bool) -> bool:
    """True if a supervisor was made here."""
    version = code_version()
    wanted: Given = {"options": options, "version": version}
    try:
        present = ray.get_actor(names.SUPERVISOR_NAME, namespace=names.NAMESPACE)
    except ValueError:
        present = None
    if present is not None:
        if not replace or _same(ray.get(present.describe.remote(), timeout=DESCRIBE_DEADLINE_S), wanted):
            return False
        logger.info("The job supervisor is replaced: its code or options changed")
        _retire(present)
    _remove_old_agents(version)
    return _make(wanted)


def _same(given: Given, wanted: Given) -> bool:
    return json.dumps(given, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _retire(supervisor: Any) -> None:
    try:
        ray.get(supervisor.retire.remote(), timeout=DESCRIBE_DEADLINE_S)
    except ray.exceptions.RayError as error:
        # Its records are on the disk after each change; what its end lacks, the successor finds.
        logger.warning("The former supervisor did not end in good order: %s", error)
    ray.kill(supervisor)


def _remove_old_agents(version: str) -> None:
    """Host agents are detached and would stay on the old code for ever."""
    for actor in ray.util.list_named_actors(all_namespaces=True):
        name = actor["name"]
        if actor["namespace"] == names.NAMESPACE and name.startswith("host-agent-") and not name.endswith(version):
            try:
                ray.kill(ray.get_actor(name, namespace=names.NAMESPACE))
            except ValueError:
                # It ended by itself meanwhile.
                continue


def _make(wanted: Given) -> bool:
    """True if the supervisor was made here, False if another replica's program was first."""
    from workers.supervision.supervisor import JobSupervisor

    remote = ray.remote(JobSupervisor).options(
        name=names.SUPERVISOR_NAME,
        namespace=names.NAMESPACE,
        lifetime="detached",
        num_cpus=0,
        resources={"node:__internal_head__": 0.001},
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=10_000,
        # Its calls, several a second, would drive the runners out of what the dashboard lists.
        enable_task_events=False,
    )
    deadline = Deadline(DESCRIBE_DEADLINE_S)
    try:
        supervisor = remote.remote(wanted["options"], wanted["version"])
        made = True
    except ValueError:
        # The name is taken.
        supervisor = ray.get_actor(names.SUPERVISOR_NAME, namespace=names.NAMESPACE)
        made = False
    ray.get(supervisor.describe.remote(), timeout=deadline.left())
    return made


def _stay() -> None:
    """Return when the supervisor of now is gone or another one is in its place; end at once with this node."""
    threading.Thread(target=_end_with, args=(_raylet(),), daemon=True).start()
    supervisor = ray.get_actor(names.SUPERVISOR_NAME, namespace=names.NAMESPACE)
    while True:
        time.sleep(WATCH_S)
        try:
            if ray.get_actor(names.SUPERVISOR_NAME, namespace=names.NAMESPACE) != supervisor:
                return
        except ValueError:
            return
        except ray.exceptions.RayError:
            # Ray's head is not there to ask, and may come back.
            continue


def _raylet() -> int:
    """A descriptor of the process that is this node's raylet."""
    here = ray.get_runtime_context().get_node_id()
    path = next(node["RayletSocketName"] for node in ray.nodes() if node["NodeID"] == here)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DESCRIBE_DEADLINE_S)
        connection.connect(path)
        # The process that listens there: pid, user and group, an int each.
        pid, *_ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return os.pidfd_open(pid)


def _end_with(process: int) -> None:
    """End this process at once when `process` (a pidfd, the raylet's) has ended.

    Ray lets a driver outlive its node. If a new cluster then starts at the same address, the old driver would ask it
    for its old supervisor for ever (`test_a_driver_ends_with_its_node_though_another_cluster_takes_its_place`).
    """
    select.select([process], [], [])
    os._exit(0)


def _drive(request: LaunchRequest, done: int) -> None:
    """See to the supervisor, say so by a byte to `done`, and stay for as long as the supervisor does."""
    signal.alarm(int(LAUNCH_DEADLINE_S))
    ray.init(
        address=request["address"],
        namespace=names.NAMESPACE,
        log_to_driver=False,
        logging_level=logging.WARNING,
        job_config=ray.job_config.JobConfig(metadata={"job_name": "simulations"}),
    )
    try:
        made = _ensure(request["options"], replace=request["replace"])
        signal.alarm(0)
        os.write(done, b"1")
        # The process that started the program waits until these are closed.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (done, sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(nowhere, stream)
        if made:
            _stay()
    finally:
        ray.shutdown()


def main() -> None:
    """Read the request from standard input; exit with 0 once the supervisor is there."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    request = json.load(sys.stdin)
    answer, done = os.pipe()
    # Nobody's child and in a session of its own: Ray ends the children of a replica that ends.
    if os.fork() == 0:
        os.setsid()
        os.close(answer)
        _drive(request, done)
    else:
        os.close(done)
        sys.exit(0 if os.read(answer, 1) else 1)


if __name__ == "__main__":
    main()
