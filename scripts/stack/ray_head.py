"""The Ray head of a stack: started with its own ports and folder, ended with everything that it started."""

import json
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from scripts.stack.keeper import send
from scripts.stack.plan import Plan, authorization
from scripts.stack.processes import Kept, end_strays, start_until
from workers.common import names

#: A cold first start takes 20 to 30 s on two cores, and more on a busy machine.
_START_DEADLINE = 240.0


@dataclass(frozen=True)
class RayHead:
    """The head node of the plan."""

    plan: Plan

    @property
    def _kept(self) -> Kept:
        return Kept("ray", self.plan.logs, f"{self.plan.mark}-ray")

    @property
    def log(self) -> Path:
        return self._kept.log

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.plan.ports.dashboard}"

    def alive(self) -> bool:
        """Whether the processes without which there is no head are there."""
        programs = {Path(line.split()[0]).name for line in self._kept.processes().values() if line}
        return {"gcs_server", "raylet"} <= programs

    def processes(self) -> dict[int, str]:
        """Command lines (or titles) of all of Ray's processes here, by pid."""
        return self._kept.processes()

    def start(self, environment: dict[str, str]) -> None:
        """Start the head and wait until its dashboard answers. Raises RuntimeError with the end of the log."""
        plan = self.plan
        (plan.ray_folder / "proxy").mkdir(parents=True, exist_ok=True)
        resources = {f"{names.RESOURCE_HOST_PREFIX}{plan.host_name}": 1}
        # fmt: off
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--head",
            "--node-ip-address", plan.node_ip, "--port", str(plan.ports.gcs),
            "--ray-client-server-port", str(plan.ports.client),
            "--dashboard-host", plan.dashboard_host, "--dashboard-port", str(plan.ports.dashboard),
            "--dashboard-agent-listen-port", str(plan.ports.dashboard_agent),
            # Random ports: the usual range would be shared with other Rays on this machine.
            "--min-worker-port", "0", "--max-worker-port", "0",
            "--temp-dir", str(plan.ray_folder), "--resources", json.dumps(resources), "--disable-usage-stats",
        ]
        # fmt: on
        if plan.num_cpus is not None:
            command += ["--num-cpus", str(plan.num_cpus)]
        self.log.unlink(missing_ok=True)
        start_until(
            self._kept,
            lambda: self._kept.start(command, environment, owner=plan.owner),
            lambda: self._kept.done() and self._dashboard_answers(),
            _START_DEADLINE,
        )
        # Nobody connects by Ray Client, and its server can't be left out of a start.
        send([pid for pid, line in self.processes().items() if "ray.util.client.server" in line], signal.SIGTERM)

    def stop(self) -> None:
        """End all of Ray's processes of this stack and remove their folder. Idempotent."""
        self._kept.stop()
        end_strays(self._kept.mark, self.plan.ray_folder)
        shutil.rmtree(self.plan.ray_folder, ignore_errors=True)

    def kill(self) -> None:
        """End all of Ray's processes of this stack at once, as a power cut would."""
        self._kept.kill()
        end_strays(self._kept.mark, self.plan.ray_folder)
        shutil.rmtree(self.plan.ray_folder, ignore_errors=True)

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that Ray knows: `id`, `address`, `alive`. Empty while the dashboard does not answer."""
        try:
            answer = requests.get(f"{self.dashboard}/nodes?view=summary", headers=authorization(), timeout=30)
            answer.raise_for_status()
        except requests.RequestException:
            return []
        rows = [row["raylet"] for row in answer.json()["data"]["summary"]]
        return [{"id": r["nodeId"], "address": r["nodeManagerAddress"], "alive": r["state"] == "ALIVE"} for r in rows]

    def _dashboard_answers(self) -> bool:
        try:
            # The path needs no token.
            return requests.get(f"{self.dashboard}/api/version", timeout=5).status_code < 500
        except requests.RequestException:
            return False
