"""Runs one attempt of a job beside its Docker engine, from its slot to its end: the body of a Ray task.

    placed -> launching -> running -> exited          launch: claim, create, start, copy the log, wait, remove
    placed -> running -> exited                       adopt: the same without a claim, for a container that is there
    placed -> failed | refused | missing              nothing of the attempt is left on this host

A runner may be killed at any moment: its container stays and the next runner adopts it. What it holds in memory is
never needed again, since the container's labels, Docker's log and the log file say where things stand.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from docker.errors import APIError

from workers.common.clock import Deadline, Stopwatch, now
from workers.common.layout import Layout
from workers.host.container_start import discard, launch, note, patiently
from workers.host.containers import attempt_of, find, gpus_of, never_started, remove, stop
from workers.host.engine import UNREACHABLE, Engine, EngineError, cause, connect, hostname, inspect, unavailable
from workers.host.images import ensure
from workers.host.log_copy import LogCopy
from workers.host.mounts import check_storage, prepare_folders

if TYPE_CHECKING:
    from workers.host.container_start import Patiently
    from workers.host.engine import Container
    from workers.host.log_copy import CopyMessage
    from workers.jobs.events import Exited, Launching, Note, Refused, RunnerEvent, RunnerMissing, Running
    from workers.jobs.spec import Place, Spec

logger = logging.getLogger(__name__)

#: How often the container is looked at. Its end is noticed sooner, by the end of its live log.
_LOOK_S: Final = 1.0
#: After the live log's end the container is looked at again after this long, then less and less often.
_FIRST_LOOK_S: Final = 0.004
_LONGEST_PAUSE_S: Final = 5.0
#: A stop for `timeout_s` that was not confirmed is tried again after so long.
_STOP_AGAIN_S: Final = 5.0
_LOG_WAIT_S: Final = 600.0
_JOIN_S: Final = 5.0
_REMOVE_S: Final = 10.0


def run_attempt(spec: Spec, claim: Callable[[], bool], place: Place) -> Generator[RunnerEvent, None, None]:
    """Run or adopt one attempt; yields the events of `jobs.events`, the last of which is exited, failed, missing or
    refused.

    `claim` is called right before the container is created; False, or an error, and nothing is created. The container
    of an `exited` event is removed when the generator is resumed after it, unless its log is incomplete. Closing the
    generator, or an exception thrown into it, leaves a container that exists to the next runner, which adopts it.
    """
    yield {
        "event": "placed",
        "at": now(),
        "node_id": place["node_id"],
        "hostname": place["hostname"],
        "address": place["address"],
        "pid": os.getpid(),
    }
    try:
        if spec["mode"] == "adopt":
            engine = yield from patiently(lambda: _connected(spec))
            container = yield from _adopted(engine, spec)
        else:
            engine = connect(spec["docker_timeout_s"])
            container = yield from _launched(engine, spec, claim, place)
    except EngineError as error:
        yield {"event": "failed", "at": now(), "reason": error.reason, "detail": error.detail}
        return
    if container is not None:
        yield from _Watch(engine, spec, container).events()


def _connected(spec: Spec) -> Engine:
    """A connection, or the kind of error that is waited out."""
    try:
        return connect(spec["docker_timeout_s"])
    except EngineError as error:
        raise ConnectionError(error.detail) from error


def _adopted(engine: Engine, spec: Spec) -> Generator[Note | RunnerMissing, None, Container | None]:
    """The job's container on this host; None after a `missing` event."""
    found = yield from patiently(lambda: find(engine, spec["job_id"], spec["cluster_id"]))
    started = [one for one in found if not never_started(one)]
    if started:
        return started[0]
    for leftover in found:
        yield from discard(engine, leftover["id"])
    yield _missing(started=False)
    return None


def _launched(
    engine: Engine, spec: Spec, claim: Callable[[], bool], place: Place
) -> Generator[Note | Refused | Launching, None, Container | None]:
    """The attempt's container, started; None after a `refused` event. Raises EngineError."""
    try:
        found = find(engine, spec["job_id"], spec["cluster_id"])
    except APIError as error:
        raise EngineError("start_failed", f"Docker on host {hostname()}: {cause(error)}") from error
    except UNREACHABLE as error:
        raise unavailable(error) from error
    if found and not never_started(found[0]):
        # Made by an earlier runner of this attempt, which died before it could report that.
        return found[0]
    check_storage(spec)
    prepare_folders(spec)
    ensure(engine, spec["image"], spec["pull"], spec["pull_timeout_s"])
    try:
        granted = claim()
        refusal = "" if granted else "The supervisor did not let this runner create a container"
        answered = True
    except Exception as error:
        # Whatever kept the answer away, there was no yes.
        logger.warning("The claim of job %s was not answered: %s", spec["job_id"], error)
        granted, answered, refusal = False, False, f"The supervisor did not answer: {cause(error)}"
    if not granted:
        yield {"event": "refused", "at": now(), "detail": refusal, "answered": answered}
        return None
    yield {"event": "launching", "at": now()}
    return (yield from launch(engine, spec, place, found))


def _missing(*, started: bool) -> RunnerMissing:
    happened = "was removed while it was watched" if started else "does not exist"
    detail = f"The job's container {happened} on host {hostname()}"
    return {"event": "missing", "at": now(), "detail": detail, "started": started}


class _Watch:
    """Watches a started container until its end: looks at it, has its log copied, enforces `timeout_s`."""

    def __init__(self, engine: Engine, spec: Spec, container: Container) -> None:
        self._engine = engine
        self._spec = spec
        self._container = container
        # The engine stamps what it starts; what has no stamp yet has started just now.
        self._started_at = now() if container["started_at"] is None else container["started_at"]
        self._messages: queue.SimpleQueue[CopyMessage] = queue.SimpleQueue()
        self._copy = LogCopy(
            engine,
            container["id"],
            Layout(Path(spec["shared_root"])),
            spec["job_id"],
            timeout_s=spec["docker_timeout_s"],
            report=self._messages.put,
        )
        self._copier = threading.Thread(target=self._copy.run, name=f"log {spec['job_id']}", daemon=True)
        #: Whether the container's log is copied whole; None while that is not known.
        self._copied: bool | None = None
        self._engine_away = False
        self._timeout = self._time_left()
        self._stopping: threading.Thread | None = None
        self._timed_out = False

    def events(self) -> Iterator[Running | Note | RunnerMissing | Exited]:
        self._copier.start()
        try:
            yield {
                "event": "running",
                "at": now(),
                "container_id": self._container["id"],
                "container_name": self._container["name"],
                "attempt": attempt_of(self._container),
                "started_at": self._started_at,
                "gpus": gpus_of(self._container),
            }
            ended = yield from self._until_end()
            if ended is None:
                yield _missing(started=True)
                return
            self._copy.container_ended()
            yield from self._until_copied()
            yield {
                "event": "exited",
                "at": now(),
                "container_id": ended["id"],
                # It has started and runs no more, so the engine knows its code.
                "exit_code": cast("int", ended["exit_code"]),
                "oom_killed": ended["oom_killed"],
                "started_at": ended["started_at"] or self._started_at,
                "finished_at": ended["finished_at"],
                "log_bytes": self._copy.length,
                "log_complete": bool(self._copied),
                "timed_out": self._was_timeout(ended),
            }
            if self._copied:
                self._remove()
        finally:
            self._copy.halt()
            self._copier.join(_JOIN_S)

    def _until_end(self) -> Patiently[Container | None]:
        """The container when it has ended; None if it is gone."""
        seen: Container | None = self._container
        pause = _LOOK_S
        while seen is not None and seen["running"]:
            quiet = yield from self._listen(self._until_timeout(pause))
            self._enforce_timeout()
            try:
                seen = inspect(self._engine.client, self._container["id"])
            except (APIError, *UNREACHABLE) as error:
                pause = min(max(pause, _FIRST_LOOK_S) * 2, _LONGEST_PAUSE_S)
                if not self._engine_away:
                    self._engine_away = True
                    yield note("docker_unavailable", unavailable(error).detail)
                continue
            if self._engine_away:
                self._engine_away = False
                yield note(None, "")
            pause = _FIRST_LOOK_S if quiet else min(pause * 2, _LOOK_S)
        return seen

    def _until_copied(self) -> Iterator[Note]:
        """Wait for the log, as long as its copy grows or `log_wait_s` has not passed without that."""
        patience = self._spec.get("log_wait_s", _LOG_WAIT_S)
        length, since = self._copy.length, Stopwatch()
        while self._copied is None and since.elapsed() < patience and self._copier.is_alive():
            yield from self._listen(_LOOK_S)
            if self._copy.length != length:
                length, since = self._copy.length, Stopwatch()
        # What it said last may have come while it ended.
        yield from self._listen(0)

    def _listen(self, timeout_s: float) -> Patiently[bool]:
        """Pass the copier's messages on, waiting for a first one; whether the live log has ended."""
        quiet = False
        try:
            message = self._messages.get(timeout=timeout_s) if timeout_s > 0 else self._messages.get_nowait()
            while True:
                if message["kind"] == "trouble":
                    yield note(message["reason"], message["detail"])
                elif message["kind"] == "copied":
                    self._copied = message["complete"]
                else:
                    quiet = True
                message = self._messages.get_nowait()
        except queue.Empty:
            return quiet

    def _remove(self) -> None:
        """The end is on record and the log is safe: nothing needs the container any more."""
        try:
            if remove(self._engine, self._container["id"], Deadline(_REMOVE_S)):
                self._copy.forget()
        except UNREACHABLE as error:
            # The sweep takes what is left of a job that has ended.
            logger.warning("Container %s was not removed: %s", self._container["id"][:12], cause(error))

    # -- timeout_s

    def _time_left(self) -> Deadline | None:
        limit = self._spec["timeout_s"]
        if limit is None:
            return None
        # By the wall clock, since an adopted container may have run for long; the engine's is this host's too.
        return Deadline(max(0.0, self._started_at + limit - now()))

    def _until_timeout(self, pause: float) -> float:
        if self._timeout is None or self._timed_out:
            return pause
        return max(0.001, min(pause, self._timeout.left()))

    def _enforce_timeout(self) -> None:
        if self._timeout is None or not self._timeout.passed():
            return
        self._timed_out = True
        if self._stopping is None or not self._stopping.is_alive():
            self._stopping = threading.Thread(target=self._stop, name=f"stop {self._spec['job_id']}", daemon=True)
            self._stopping.start()

    def _stop(self) -> None:
        engine = self._engine.again(self._spec["docker_timeout_s"])
        try:
            stop(engine, self._container["id"], self._spec["stop_grace_s"], self._spec["kill_deadline_s"])
        except UNREACHABLE as error:
            logger.warning("Container %s is over its time and was not stopped: %s", self._container["id"][:12], error)
            threading.Event().wait(_STOP_AGAIN_S)
        finally:
            engine.close()

    def _was_timeout(self, ended: Container) -> bool:
        """Whether the limit ended it, perhaps by an earlier runner's hand, and not its own good end a little before."""
        limit = self._spec["timeout_s"]
        if limit is None:
            return False
        started, finished = ended["started_at"] or self._started_at, ended["finished_at"]
        overdue = finished is not None and finished - started >= limit
        return (self._timed_out and overdue) if ended["exit_code"] == 0 else (self._timed_out or overdue)
