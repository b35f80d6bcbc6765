"""A byte-exact copy of a container's output, from the engine's log to `logs/container.log` on the shared storage.

The engine's log is the truth and each reading of it gives the same bytes (`log_frames`), which are written by
position. So a copy may be broken off anywhere and started again from any earlier checkpoint, by any copier: what is
there is compared, what is missing or wrong is written. Two copiers of one container (a runner that was thought dead,
and the one that adopted its container) write the same bytes to the same places.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from docker.errors import APIError, NotFound

from workers.common.clock import Stopwatch
from workers.common.layout import Layout
from workers.host.engine import UNREACHABLE, Engine, EngineStream, cause
from workers.host.log_frames import FrameReader
from workers.host.log_index import TimeIndexWriter
from workers.host.log_times import BEGINNING
from workers.host.log_writer import Checkpoint, CheckpointFile, LogWriter, StorageTroubleError

if TYPE_CHECKING:
    from workers.jobs.events import Trouble

logger = logging.getLogger(__name__)

#: A checkpoint, with the file flushed to the disk, after this much output or time, whichever comes first.
CHECKPOINT_BYTES: Final = 16 << 20
CHECKPOINT_S: Final = 5.0
#: Seconds between tries when the storage or the engine refuses.
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
#: How often the copy starts again because the container changed its log file under it; after that, at the end only.
_MOST_RESTARTS: Final = 3


class Quiet(TypedDict):
    """The engine has ended the live log, so the container has probably ended."""

    kind: Literal["quiet"]


class StorageTrouble(TypedDict):
    """The storage refuses; a `reason` of None: it takes bytes again."""

    kind: Literal["trouble"]
    reason: Trouble | None
    detail: str


class Copied(TypedDict):
    """All is copied, or (`complete` is False) can't be, since the container is gone."""

    kind: Literal["copied"]
    complete: bool


CopyMessage = Quiet | StorageTrouble | Copied


class LogCopy:
    """Copies one container's output until it has ended, in a thread of its own (`run`)."""

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        layout: Layout,
        job_id: str,
        *,
        timeout_s: float,
        report: Callable[[CopyMessage], None],
    ) -> None:
        """`report` is called from the copying thread."""
        self._engine = engine
        self._container_id = container_id
        self._timeout_s = timeout_s
        self._report = report
        self._file = LogWriter(layout, job_id)
        self._times = TimeIndexWriter(layout, job_id, container_id)
        self._saved = CheckpointFile(layout, job_id, container_id)
        self._checkpoint = self._saved.read()
        self._since_checkpoint = Stopwatch()
        self._trouble = False
        self._restarts = 0
        self._ended = threading.Event()
        self._halted = threading.Event()
        # Set by `container_ended` and `halt`, so that a pause between two tries ends at once.
        self._wake = threading.Event()
        self._stream: EngineStream | None = None
        self._stream_lock = threading.Lock()

    @property
    def length(self) -> int:
        """Bytes of the log file now."""
        return self._file.size()

    def container_ended(self) -> None:
        """From any thread: the container has ended, so one last reading of its log is the whole of it."""
        self._ended.set()
        self._interrupt()

    def halt(self) -> None:
        """From any thread: stop copying soon, wherever it stands; the next copier resumes."""
        self._halted.set()
        self._interrupt()

    def forget(self) -> None:
        """Remove the checkpoint of a copy that is complete."""
        self._saved.remove()

    def run(self) -> None:
        """Copy until the container has ended and all is copied, until it is gone, or until `halt`."""
        engine = self._engine.again(self._timeout_s)
        pause = _FIRST_PAUSE_S
        try:
            while not self._halted.is_set():
                last = self._ended.is_set()
                before = self._checkpoint
                try:
                    if self._copy(engine, follow=not last) and last:
                        self._report({"kind": "copied", "complete": True})
                        return
                    if not last:
                        self._report({"kind": "quiet"})
                except StorageTroubleError as error:
                    self._note(error.reason, error.detail)
                except NotFound:
                    self._report({"kind": "copied", "complete": False})
                    return
                except (APIError, *UNREACHABLE) as error:
                    logger.info("Log of container %s broken off: %s", self._container_id[:12], cause(error))
                    if not last:
                        self._report({"kind": "quiet"})
                except Exception:
                    # Whatever it is, the engine's log is still there to be read again; who waits has a deadline.
                    logger.exception("Copying the log of container %s failed", self._container_id[:12])
                pause = _FIRST_PAUSE_S if self._checkpoint != before else min(pause * 2, _LONGEST_PAUSE_S)
                if last == self._ended.is_set():
                    self._wake.wait(pause)
                self._wake.clear()
        finally:
            self._file.close()
            self._times.close()
            engine.close()

    def _copy(self, engine: Engine, *, follow: bool) -> bool:
        """Read the log from the checkpoint to its end; whether that end was reached."""
        offset, position = self._checkpoint
        reader = FrameReader(drops_newlines=engine.drops_newlines, position=position)
        # After a failed write or flush nobody knows which bytes of the page cache will reach the disk.
        again = self._trouble
        stream = self._open(engine, since=position.since, follow=follow)
        try:
            for block in stream.blocks():
                if self._halted.is_set():
                    return False
                if output := reader.feed(block):
                    self._file.put(offset, output, again=again)
                    self._times.add((second, offset + place) for second, place in reader.seconds)
                    offset += len(output)
                # NOTE: while frames are skipped, being in the file already, `offset` is ahead of the reader's position.
                if reader.caught_up and self._due(offset):
                    self._save(Checkpoint(offset, reader.position()))
                    if self._restarts < _MOST_RESTARTS and self._file.replaced():
                        return self._restart()
        finally:
            with self._stream_lock:
                self._stream = None
            stream.close()
        if follow:
            return True
        if not reader.caught_up:
            logger.warning("Docker's log of container %s is shorter than its copy", self._container_id[:12])
            self._file.sync()
            return True
        self._file.end_at(offset)
        self._save(Checkpoint(offset, reader.position()))
        if self._restarts <= _MOST_RESTARTS and self._file.replaced():
            self._restarts = max(self._restarts, _MOST_RESTARTS)
            return self._restart()
        return True

    def _open(self, engine: Engine, *, since: int, follow: bool) -> EngineStream:
        parameters: dict[str, int] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
        if since:
            parameters["since"] = since
        stream = engine.open(
            "GET",
            "/containers/{0}/logs",
            self._container_id,
            params=parameters,
            # A live log may say nothing for days: it has no deadline of its own. The runner ends it with the container.
            timeout=(self._timeout_s, None if follow else self._timeout_s),
        )
        with self._stream_lock:
            self._stream = stream
        if self._halted.is_set() or (follow and self._ended.is_set()):
            stream.interrupt()
        return stream

    def _due(self, offset: int) -> bool:
        """Whether a checkpoint is due. While the storage is in trouble each write is put to the proof."""
        return (
            offset - self._checkpoint.bytes >= CHECKPOINT_BYTES
            or self._since_checkpoint.elapsed() >= CHECKPOINT_S
            or (self._trouble and offset > self._checkpoint.bytes)
        )

    def _save(self, checkpoint: Checkpoint) -> None:
        self._file.sync()
        self._note(None, "")
        if checkpoint != self._checkpoint:
            self._checkpoint = checkpoint
            if self._times.sync():
                self._saved.write(checkpoint)
        self._since_checkpoint = Stopwatch()

    def _restart(self) -> bool:
        """Begin anew: the container has moved, removed or cut the file, and the engine still has all of it."""
        self._restarts += 1
        self._file.close()
        self._checkpoint = Checkpoint(0, BEGINNING)
        return False

    def _note(self, reason: Trouble | None, detail: str) -> None:
        if reason is not None or self._trouble:
            self._trouble = reason is not None
            self._report({"kind": "trouble", "reason": reason, "detail": detail})

    def _interrupt(self) -> None:
        self._wake.set()
        with self._stream_lock:
            if self._stream is not None:
                self._stream.interrupt()
