"""A machine of its own that joins by the script that administrators use, not by calls of ours."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.harness.api import Api, eventually
from scripts.harness.images import busybox_image
from scripts.stack.plan import PROJECT
from scripts.stack.processes import MARK, end_strays
from scripts.stack.worker_node import WorkerNode

SCRIPT: Final = PROJECT / "workers" / "join-ray-worker.sh"
_DEADLINE_S: Final = 600


@dataclass(frozen=True)
class JoiningHost(WorkerNode):
    """A host whose Ray node the script starts and ends; `tags` and `num_cpus` are given to it."""

    tags: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """Where the script keeps its files."""
        return self.folder / "join"

    def join(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script, in the host, as the host would join; `options` come last and win."""
        plan = self.stack.plan
        tags = [word for tag in self.tags for word in ("--tag", tag)]
        # fmt: off
        return self.script(
            "--address", self.stack.ray_address, "--name", self.name, *tags, "--cpus", str(self.num_cpus),
            "--shared-root", str(plan.shared_root), "--api", f"http://{plan.node_ip}:{plan.ports.api}",
            "--python", str(PROJECT / ".venv-worker" / "bin" / "python"), *options, **environment,
        )
        # fmt: on

    def script(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script in the host, to its end."""
        return subprocess.run(
            self._inside("bash", str(SCRIPT), "--state-dir", str(self.state), *options),
            env={**self._environment(), MARK: self._mark, **environment},
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )

    def start_ray(self) -> None:
        """Join. Raises RuntimeError with what the script says."""
        done = self.join()
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} could not join: {done.stdout}{done.stderr}")

    def stop_ray(self) -> None:
        """Leave; the containers go on."""
        if self.folder.exists():
            self.script("--leave")
        end_strays(self._mark, self.folder)

    def seen(self, api: Api) -> dict[str, Any]:
        """The host as `/hosts` has it; empty if it is not there."""
        host: dict[str, Any] = api.json("/hosts")["hosts"].get(self.name, {})
        return host

    def wait_until_ready(self, api: Api) -> None:
        """Wait until jobs can be sent to the host."""
        eventually(
            lambda: self.seen(api), lambda host: host.get("online") and host.get("docker"), what=f"{self.name} ready"
        )

    def _last_commands(self) -> list[str]:
        return [shlex.join(["bash", str(SCRIPT), "--leave", "--state-dir", str(self.state)]), *super()._last_commands()]

    @property
    def _mark(self) -> str:
        return f"{self.stack.plan.mark}-join{self.number}"


def prepare_machine() -> None:
    """Install what a host in a namespace is made of."""
    packages = ["iproute2", "iptables", "docker.io"]
    if Path("/usr/bin/dockerd").exists() or Path("/usr/sbin/dockerd").exists():
        packages.remove("docker.io")
    subprocess.run([PROJECT / "scripts" / "apt.sh", *packages], check=True, timeout=900)
    subprocess.run([PROJECT / "scripts" / "setup.sh", "worker"], check=True, timeout=1800)


def bring_busybox(host: WorkerNode) -> None:
    """Load the image of jobs that are scripts into the host's engine."""
    host.load(busybox_image())


def owner() -> int:
    """The process that no host of a test may outlive."""
    return os.getpid()
