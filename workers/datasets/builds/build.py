"""A build: a run that makes a dataset. Its status while it runs, and its outcome."""

import threading
from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict

from workers.common.clock import now
from workers.common.errors import ErrorCode, OpevaError

BuildState = Literal["queued", "running", "finished", "failed", "canceled"]
QUEUED: Final = "queued"
RUNNING: Final = "running"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
ENDED: Final = (FINISHED, FAILED, CANCELED)


class BuildStatus(TypedDict):
    """How far a build is, as clients see it and as it is stored. Made by `Build.as_status`."""

    name: str
    status: BuildState
    #: What it is at: waiting, starting, reading, completing, writing; its state once it has ended.
    stage: str
    #: 0..100.
    percent: float
    #: Documents read so far; the dataset's rows once it is finished.
    rows: int
    warnings: list[str]
    #: Epoch seconds; None where nobody knows.
    started_at: float | None
    finished_at: float | None
    #: Why it failed or was cancelled: a sentence, and a word for programs.
    error: str | None
    code: str | None


class BuildOutcome(TypedDict):
    """What a finished build made. Made by `Build.outcome`."""

    name: str
    rows: int
    warnings: list[str]


@dataclass
class Build:
    """A run that makes a dataset, and how far it is. Times in epoch seconds; `error` is what ended a failed one."""

    name: str
    started_at: float | None
    state: BuildState = QUEUED
    stage: str = "waiting"
    percent: float = 0.0
    rows: int = 0
    warnings: list[str] = field(default_factory=list)
    finished_at: float | None = None
    error: OpevaError | None = None
    cancel: threading.Event = field(default_factory=threading.Event, repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def end(self, error: OpevaError | None) -> None:
        """Note the end of the build's work; its outcome is ready once `ended` is set too."""
        self.error = error
        if error is None:
            self.state, self.percent = FINISHED, 100.0
        else:
            self.state = CANCELED if error.code == ErrorCode.BUILD_CANCELLED else FAILED
        self.stage = self.state
        self.finished_at = now()

    def as_status(self) -> BuildStatus:
        return {
            "name": self.name,
            "status": self.state,
            "stage": self.stage,
            "percent": round(self.percent, 1),
            "rows": self.rows,
            "warnings": self.warnings,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "error": None if self.error is None else self.error.detail,
            "code": None if self.error is None else self.error.code,
        }

    def outcome(self) -> BuildOutcome:
        """What a build that ended made. Raises the error that it ended with."""
        if self.error is not None:
            # One of its own for each that asks: many may wait for a build.
            raise type(self.error)(self.error.detail, self.error.code)
        return {"name": self.name, "rows": self.rows, "warnings": self.warnings}


def already_finished(name: str) -> BuildStatus:
    """The status of a dataset whose build nobody knows: uploaded, or built before statuses were stored."""
    return Build(name, started_at=None, state=FINISHED, stage=FINISHED, percent=100.0).as_status()
