"""A job's folder under the shared root, and how files appear in it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class JobFolder:
    """The files that the simulation reads and writes for one job."""

    path: Path

    @property
    def job_info(self) -> Path:
        return self.path / "job_info.json"

    @property
    def progress(self) -> Path:
        return self.path / "progress" / "progress.json"

    @property
    def result(self) -> Path:
        return self.path / "results" / "result.json"

    @property
    def simulation_data(self) -> Path:
        """One folder of time series for each session, named by its start."""
        return self.path / "results" / "simulation_data"

    def log(self, job_id: str) -> Path:
        return self.path / "logs" / f"{job_id}.log"


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON in one move, so that a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(json.dumps(value, indent=2, allow_nan=False), encoding="utf-8")
    scratch.replace(path)


def finite(value: Any) -> float | None:
    """A number that JSON has: None for NaN and the infinities."""
    number = float(value)
    return number if math.isfinite(number) else None
