"""`progress/progress.json`: how far the run is, for those who follow it."""

import time
from datetime import UTC, datetime
from typing import Any, Final

from opeva_simulator.job_folder import JobFolder, write_json
from opeva_simulator.logs import log

#: Followers poll every second or two: more writes than this would only load the shared storage.
_WRITE_EVERY_S: Final = 0.5
_SAY_EVERY_PCT: Final = 5.0


class Progress:
    """Counts the steps of all episodes. `episode` counts from 1; `step` is the steps made in it, of `step_total`."""

    def __init__(self, folder: JobFolder, episode_total: int) -> None:
        self._path = folder.progress
        self._episode_total = episode_total
        self._step_total = 0
        self._episode = 1
        self._step = 0
        self._written_at = 0.0
        self._next_said = _SAY_EVERY_PCT
        self.write("running")

    def begin(self, step_total: int) -> None:
        """The episodes begin, each of `step_total` steps."""
        self._step_total = step_total
        self.write("running")

    @property
    def percent(self) -> float:
        total = self._episode_total * self._step_total
        return 100.0 * self._global_step / total if total else 0.0

    @property
    def _global_step(self) -> int:
        return (self._episode - 1) * self._step_total + self._step

    def step(self, episode: int, step: int) -> None:
        """Note that `step` steps of `episode` are made; written at most twice a second, said about every 5 %."""
        self._episode, self._step = episode, step
        if self.percent >= self._next_said:
            self._next_said += _SAY_EVERY_PCT
            log.info(
                "Episode %d/%d, step %d/%d: %.0f %%",
                episode,
                self._episode_total,
                step,
                self._step_total,
                self.percent,
            )
        if time.monotonic() - self._written_at >= _WRITE_EVERY_S:
            try:
                self.write("running")
            except OSError as error:
                # A full or lagging storage costs followers an update, not the run.
                log.warning("The progress can't be written: %s", error)

    def write(self, status: str, **extra: Any) -> None:
        """Write the file now, with `status` and the fields of `extra`."""
        self._written_at = time.monotonic()
        write_json(
            self._path,
            {
                "status": status,
                "episode": self._episode,
                "episode_total": self._episode_total,
                "step": self._step,
                "step_total": self._step_total,
                "global_step": self._global_step,
                "global_step_total": self._episode_total * self._step_total,
                "progress_pct": round(self.percent, 2),
                "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
                **extra,
            },
        )
