"""The containers of jobs on this host's Docker engine: finding, listing, stopping and removing them.

A container is ours if it bears our installation's label; nothing here touches another.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, NotFound

from workers.common.clock import Deadline
from workers.common.names import LABEL_ATTEMPT, LABEL_CLUSTER, LABEL_GPUS, LABEL_JOB, LABEL_ROOT, normal_root
from workers.host.engine import UNREACHABLE, Engine, cause, hostname, inspect
from workers.host.gpus import split

if TYPE_CHECKING:
    from workers.host.agent_answers import ListedContainer, StopAnswer, StopOutcome
    from workers.host.engine import Container

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5


def find(engine: Engine, job_id: str, cluster_id: str) -> list[Container]:
    """The containers of a job, those that run first, then those that ran, then those that never started.

    Raises what docker-py raises.
    """
    found = _labelled(engine.client, f"{LABEL_CLUSTER}={cluster_id}", f"{LABEL_JOB}={job_id}")
    return sorted(found, key=lambda one: (not one["running"], one["started_at"] is None, -attempt_of(one)))


def listing(engine: Engine, cluster_id: str) -> list[ListedContainer]:
    """All containers of an installation. Raises what docker-py raises."""
    return [
        {
            "id": one["id"],
            "name": one["name"],
            "job_id": one["labels"].get(LABEL_JOB, ""),
            "attempt": attempt_of(one),
            "state": one["state"],
            "exit_code": one["exit_code"],
            "oom_killed": one["oom_killed"],
            "started_at": one["started_at"],
            "finished_at": one["finished_at"],
            "gpus": gpus_of(one),
            "labels": one["labels"],
        }
        for one in _labelled(engine.client, f"{LABEL_CLUSTER}={cluster_id}")
    ]


def holders(engine: Engine, host_root: str) -> list[str]:
    """The ids of running containers, of whatever installation, that use the shared root `host_root`.

    Raises what docker-py raises.
    """
    labels = [f"{LABEL_ROOT}={normal_root(host_root)}"]
    return [str(one["Id"]) for one in engine.client.containers(filters={"label": labels})]


def attempt_of(container: Container) -> int:
    """Which attempt of its job a container is; 0 if its label doesn't say."""
    text = container["labels"].get(LABEL_ATTEMPT, "")
    return int(text) if text.isdecimal() else 0


def gpus_of(container: Container) -> list[str]:
    """The GPU device ids that a container holds."""
    return split(container["labels"].get(LABEL_GPUS, ""))


def belongs(container: Container, job_id: str, cluster_id: str) -> bool:
    """Whether a container is this installation's, for this job."""
    labels = container["labels"]
    return bool(labels.get(LABEL_CLUSTER) == cluster_id and labels.get(LABEL_JOB) == job_id)


def never_started(container: Container) -> bool:
    """Whether a container was created and never ran."""
    return container["started_at"] is None and not container["running"]


def stop(engine: Engine, container_id: str, grace_s: float, kill_deadline_s: float) -> Container | None:
    """Stop a container: its stop signal (TERM), `grace_s`, KILL, and a look until it has ended.

    Gives the container as it was seen last; the stop is confirmed if it no longer runs. None: it is gone. Takes at most
    `grace_s + kill_deadline_s` seconds and the time of two calls. Raises what docker-py raises if the engine is away.
    """
    client = engine.client
    whole_grace = math.ceil(max(0.0, grace_s))
    deadline = Deadline(whole_grace + kill_deadline_s)
    try:
        # The engine itself counts the grace: the KILL comes even if this process doesn't live to see it.
        engine.post(
            "/containers/{0}/stop",
            container_id,
            params={"t": whole_grace},
            timeout=whole_grace + kill_deadline_s / 2,
        )
    except NotFound:
        return None
    except (APIError, *UNREACHABLE) as error:
        logger.warning("Stopping container %s: %s; killing it", container_id[:12], cause(error))
        _kill(client, container_id)
    pause = _FIRST_PAUSE_S
    while True:
        seen = inspect(client, container_id)
        if seen is None or not seen["running"] or deadline.passed():
            return seen
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def remove(engine: Engine, container_id: str, deadline: Deadline) -> bool:
    """Remove a container, running or not, with its anonymous volumes; whether it is gone in time.

    Raises what docker-py raises.
    """
    pause = _FIRST_PAUSE_S
    while True:
        try:
            engine.client.remove_container(container_id, force=True, v=True)
        except NotFound:
            return True
        except APIError as error:
            # 409: another removal is under way.
            logger.info("Removing container %s: %s", container_id[:12], cause(error))
        if inspect(engine.client, container_id) is None:
            return True
        if deadline.passed():
            return False
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def stop_job(engine: Engine, cluster_id: str, job_id: str, grace_s: float, kill_deadline_s: float) -> StopAnswer:
    """Stop what a job has on this host and say what became of it, as `HostAgent.stop` does.

    A container that never started is removed, so that nobody starts it. Raises what docker-py raises.
    """
    found = find(engine, job_id, cluster_id)
    for one in [one for one in found if never_started(one)]:
        if not remove(engine, one["id"], Deadline(kill_deadline_s)):
            return _outcome("not_confirmed", f"Docker on host {hostname()} did not remove container {one['name']}")
    started = [one for one in found if not never_started(one)]
    if not started:
        what = "had not started yet and was removed" if found else "does not exist"
        return _outcome("absent", f"The job's container on host {hostname()} {what}")
    ended: Container | None = None
    for one in started:
        seen = stop(engine, one["id"], grace_s, kill_deadline_s) if one["running"] else one
        if seen is not None and seen["running"]:
            detail = f"Container {one['name']} on host {hostname()} still runs after TERM and KILL"
            return _outcome("not_confirmed", detail)
        ended = ended or seen
    if ended is None:
        return _outcome("absent", f"The job's container on host {hostname()} was removed meanwhile")
    return _outcome("stopped", f"The container ended with exit code {ended['exit_code']}", ended)


def _outcome(outcome: StopOutcome, detail: str, ended: Container | None = None) -> StopAnswer:
    return {
        "outcome": outcome,
        "detail": detail,
        "exit_code": None if ended is None else ended["exit_code"],
        "oom_killed": None if ended is None else ended["oom_killed"],
        "started_at": None if ended is None else ended["started_at"],
        "finished_at": None if ended is None else ended["finished_at"],
    }


def _kill(client: Any, container_id: str) -> None:
    try:
        client.kill(container_id)
    except APIError as error:
        # It has ended or is gone meanwhile, or the look that follows will show that it has not.
        logger.info("Killing container %s: %s", container_id[:12], cause(error))


def _labelled(client: Any, *labels: str) -> list[Container]:
    listed = client.containers(all=True, filters={"label": list(labels)})
    # One that is removed between the two calls is not there any more.
    return [seen for one in listed if (seen := inspect(client, one["Id"])) is not None]
