"""Ray and the application as an operator starts them by hand: `pip install`, `ray start`, `serve deploy`.

Nothing of this checkout is on their path, and Ray runs in an empty folder.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from scripts.harness.api import Api, eventually
from scripts.stack import Plan, Ports, Stack
from scripts.stack.plan import PROJECT
from scripts.stack.processes import start_until
from scripts.stack.ray_head import RayHead
from scripts.stack.worker_node import WorkerNode

WHEEL: Final = PROJECT / ".venv-wheel"
_START_DEADLINE_S: Final = 240.0
_OURS: Final = ("OPEVA_", "RAY_", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class PlainHead(RayHead):
    """`ray start --head` of the environment `python`, with ports of its own and nothing else said."""

    environment: Path = WHEEL
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The empty folder that Ray is started in."""
        return self.plan.run_dir / "empty"

    def start(self, environment: dict[str, str]) -> None:
        plan = self.plan
        self.folder.mkdir(parents=True, exist_ok=True)
        # fmt: off
        command = [
            "env", "-C", str(self.folder), str(self.environment / "bin" / "ray"), "start", "--head",
            # Only so that it can stand beside another Ray on this machine.
            "--node-ip-address", plan.node_ip, "--port", str(plan.ports.gcs),
            "--ray-client-server-port", str(plan.ports.client), "--dashboard-port", str(plan.ports.dashboard),
            "--dashboard-agent-listen-port", str(plan.ports.dashboard_agent),
            "--min-worker-port", "0", "--max-worker-port", "0", "--temp-dir", str(plan.ray_folder), *self.options,
        ]
        # fmt: on
        start_until(
            self._kept,
            lambda: self._kept.start(command, environment, owner=plan.owner),
            lambda: self._kept.done() and self._dashboard_answers(),
            _START_DEADLINE_S,
        )


@dataclass
class PlainCluster:
    """A head, and the application by `serve deploy`. `token`: Ray's, where it is to ask for one."""

    plan: Plan
    mongo_uri: str
    token: str | None = None
    options: tuple[str, ...] = ("--num-cpus", "2")
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def head(self) -> PlainHead:
        return PlainHead(self.plan, options=self.options)

    @property
    def stack(self) -> Stack:
        """The cluster for those who want a stack to join; it was not made by one and is not taken down by one."""
        stack = Stack(self.plan)
        stack.ray = self.head
        return stack

    @property
    def environment(self) -> dict[str, str]:
        """What an operator sets: where the shared folder and the database are."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        settings = {"OPEVA_SHARED_ROOT": str(self.plan.shared_root), "OPEVA_MONGO_URI": self.mongo_uri}
        return {**clean, **settings, **self.plan.settings, **_token(self.token), "RAY_USAGE_STATS_ENABLED": "0"}

    def up(self) -> None:
        """Start the head and deploy; returns once the API answers."""
        self.head.start(self.environment)
        self.deploy()
        with Api(self.api_url) as api:
            eventually(lambda: api.get("/health").ok, what="the API", deadline=_START_DEADLINE_S)

    def down(self) -> None:
        self.head.stop()

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.plan.ports.api}"

    def deploy(self) -> None:
        """`serve deploy` of the config that came with the wheel, at a port of its own."""
        text = (WHEEL / "share" / "opeva" / "serve_config.yaml").read_text()
        for old, new in self.changes:
            assert old in text
            text = text.replace(old, new)
        config = yaml.safe_load(text)
        config["http_options"]["port"] = self.plan.ports.api
        path = self.plan.run_dir / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config))
        self.serve("deploy", "-a", self.head.dashboard, str(path))

    def serve(self, *words: str) -> str:
        """Ray's `serve` command."""
        done = subprocess.run(
            [WHEEL / "bin" / "serve", *words],
            env=self.environment,
            cwd=self.head.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `serve status` says of the application."""
        found: dict[str, Any] = yaml.safe_load(self.serve("status", "-a", self.head.dashboard))["applications"]["opeva"]
        return found


@dataclass(frozen=True)
class PlainWorker(WorkerNode):
    """A machine with `pip install "ray[default]" docker` and `ray start --address`; `options` are given to that."""

    options: tuple[str, ...] = ()
    token: str | None = None
    #: Folders that this machine does not have.
    hidden: tuple[str, ...] = ()

    def start_ray(self) -> None:
        if self._ray.alive():
            return
        # fmt: off
        command = [
            str(PROJECT / ".venv-worker" / "bin" / "ray"), "start", "--address", self.stack.ray_address,
            # What a machine of its own would find out, or have to itself.
            "--node-ip-address", self.address, "--temp-dir", f"{self.folder}/ray", "--num-cpus", str(self.num_cpus),
            *self.options,
        ]
        # fmt: on
        start_until(
            self._ray,
            lambda: self._ray.start(self._inside(*self._machine(*command)), self._environment(), owner=self.owner),
            lambda: self._ray.done(),
            _START_DEADLINE_S,
        )

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **_token(self.token)}

    def _machine(self, *command: str) -> list[str]:
        """With a hostname and a file system of its own, as another machine has."""
        lines = [f"hostname {self.name}", *(f"mount -t tmpfs none {folder}" for folder in self.hidden), 'exec "$@"']
        return ["unshare", "--uts", "--mount", "sh", "-c", " && ".join(lines), "sh", *command]


def _token(token: str | None) -> dict[str, str]:
    """Not that of whoever runs the tests."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}


def plan_beside(folder: Path, node_ip: str, base: int) -> Plan:
    """The ports and folders of a cluster at an address that another one on this machine has too."""
    return Plan(
        run_dir=folder / "run",
        shared_root=folder / "shared",
        ports=Ports.of(base),
        node_ip=node_ip,
        settings={"OPEVA_IMAGE_COMMANDS": json.dumps({})},
        owner=os.getpid(),
    )
