"""A machine of its own that joins by the script that administrators use, not by calls of ours."""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from scripts.stack.plan import PROJECT
from scripts.stack.processes import MARK, end_strays
from scripts.stack.worker_node import WorkerNode

SCRIPT: Final = PROJECT / "workers" / "join-ray-worker.sh"
_DEADLINE_S: Final = 400


@dataclass(frozen=True)
class JoiningHost(WorkerNode):
    """A host whose Ray node the script starts and ends; `tags` and `num_cpus` are given to it."""

    tags: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """Where the script keeps its files."""
        return self.folder / "join"

    def command(self, *options: str) -> list[str]:
        """The script's command line; `options` come last and win."""
        plan = self.stack.plan
        tags = [word for tag in self.tags for word in ("--tag", tag)]
        # fmt: off
        return self._inside(
            "bash", str(SCRIPT), "--address", self.stack.ray_address, "--name", self.name, *tags,
            "--cpus", str(self.num_cpus), "--shared-root", str(plan.shared_root),
            "--api", f"http://{plan.node_ip}:{plan.ports.api}",
            "--python", str(PROJECT / ".venv-worker" / "bin" / "python"), "--state-dir", str(self.state), *options,
        )
        # fmt: on

    def script(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script to its end and return how it ended."""
        marked = {**self._environment(), MARK: self._mark, **environment}
        return subprocess.run(
            self.command(*options), env=marked, capture_output=True, text=True, timeout=_DEADLINE_S, check=False
        )

    def start_ray(self) -> None:
        """Join. Raises RuntimeError with what the script says."""
        done = self.script()
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} could not join: {done.stdout}{done.stderr}")

    def stop_ray(self) -> None:
        """Leave; the containers go on."""
        if self.folder.exists():
            self.script("--leave")
        end_strays(self._mark, self.folder)

    def named(self, name: str) -> Self:
        """The same machine under another name."""
        return replace(self, name=name)

    @property
    def _mark(self) -> str:
        return f"{self.stack.plan.mark}-join{self.number}"


def owner() -> int:
    """The process that no host of a test may outlive."""
    return os.getpid()
