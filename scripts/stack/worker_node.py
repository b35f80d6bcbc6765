"""A second host on this machine: a network namespace with a Docker engine and a Ray node of its own.

What a real worker has: `ray[default]` and `docker` from a virtual environment of its own (`scripts/setup.sh worker`),
none of this project's code, an engine that shares no images with the head's, and a cable that can be pulled.
"""

import json
import os
import shlex
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import docker
from docker.errors import DockerException

from scripts.stack.plan import PROJECT, authentication
from scripts.stack.processes import Kept, end_strays, start_until
from scripts.stack.stack import Stack
from workers.common import names

_PYTHON: Final = PROJECT / ".venv-worker" / "bin"
_START_DEADLINE: Final = 240.0


def _run(*command: str | Path, check: bool = True) -> None:
    subprocess.run(command, check=check, timeout=60, capture_output=not check)


@dataclass(frozen=True)
class WorkerNode:
    """A host `name` beside the head of `stack`, in the network 10.77.`number`.0/24; `owner` is whom it may not outlive.

    The head must listen on an address that other namespaces can reach (`Plan.node_ip`).
    """

    stack: Stack
    number: int
    name: str = "second"
    num_cpus: int = 2
    owner: int | None = None

    # --- where it is -------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"10.77.{self.number}.2"

    @property
    def folder(self) -> Path:
        """Short, since unix sockets lie below."""
        return Path(tempfile.gettempdir()) / f"opeva-{self.stack.plan.mark}-{self.number}"

    @property
    def docker_url(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def docker(self) -> docker.DockerClient:
        """A client of the host's own engine; whoever asks closes it."""
        return docker.DockerClient(base_url=self.docker_url, timeout=60)

    @property
    def _namespace(self) -> str:
        return f"opeva{self.number}"

    @property
    def _cable(self) -> str:
        """The head's end of the cable."""
        return f"opeva{self.number}h"

    @property
    def _logs(self) -> Path:
        """Several hosts may stand beside one stack: the files of what each keeps lie apart."""
        return self.stack.plan.logs / f"host-{self.number}"

    @property
    def _engine(self) -> Kept:
        return Kept("dockerd", self._logs, f"{self.stack.plan.mark}-engine{self.number}")

    @property
    def _ray(self) -> Kept:
        return Kept("ray-worker", self._logs, f"{self.stack.plan.mark}-worker{self.number}")

    @property
    def _sweeper(self) -> Kept:
        """Outlives a killed owner for a moment, to clean up after it."""
        return Kept("sweeper-worker", self._logs, f"{self.stack.plan.mark}-sweeper{self.number}")

    # --- from start to end -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the host up and wait until Ray's head lists it. Raises RuntimeError; nothing is left then."""
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._connect()
            self.start_engine()
            self.start_ray()
            undo.pop_all()

    def stop(self) -> None:
        """End the host with its containers. Idempotent."""
        self.stop_ray()
        self._remove_containers()
        self.stop_engine()
        self._sweeper.kill()
        self._remove_remains()

    def start_engine(self) -> None:
        """Start the host's Docker engine and wait until it answers. Raises RuntimeError with the end of its log."""
        if not self._engine.alive():
            (self.folder / "docker.pid").unlink(missing_ok=True)
            command = [
                *("dockerd", "-H", self.docker_url, "--data-root", f"{self.folder}/docker"),
                *("--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/docker.pid"),
                # Where a containerd of the system answers, dockerd uses it: its containers must not be ours.
                *("--containerd-namespace", self._namespace, "--containerd-plugins-namespace", f"{self._namespace}p"),
            ]
            start_until(
                self._engine,
                lambda: self._engine.start(self._inside(*command), self._environment(), owner=self.owner, grace=15),
                self._engine_answers,
                _START_DEADLINE,
            )

    def stop_engine(self) -> None:
        """End the engine, as its service would be; its containers end too."""
        self._engine.stop()

    def kill_engine(self) -> None:
        """End the engine with its containers at once."""
        self._engine.kill()

    def engine_pids(self) -> list[int]:
        """The pids of the engine itself, without those of what it started."""
        return [pid for pid, line in self._engine.processes().items() if line.split(" ")[0].endswith("dockerd")]

    def start_ray(self) -> None:
        """Join the cluster and wait until the head lists this node. Raises RuntimeError with the end of the log."""
        if not self._ray.alive():
            resources = {f"{names.RESOURCE_HOST_PREFIX}{self.name}": 1}
            command = [
                *(str(_PYTHON / "ray"), "start", "--address", self.stack.ray_address),
                *("--node-ip-address", self.address, "--num-cpus", str(self.num_cpus)),
                *("--resources", json.dumps(resources), "--temp-dir", f"{self.folder}/ray", "--disable-usage-stats"),
            ]
            start_until(
                self._ray,
                lambda: self._ray.start(self._inside(*command), self._environment(), owner=self.owner),
                lambda: self._ray.done() and self._listed(),
                _START_DEADLINE,
            )

    def stop_ray(self) -> None:
        """End the Ray node; the containers go on."""
        self._ray.stop()
        end_strays(self._ray.mark, self.folder / "ray")

    def kill_ray(self) -> None:
        """End the Ray node at once; the containers go on."""
        self._ray.kill()
        end_strays(self._ray.mark, self.folder / "ray")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- what tests do to it -----------------------------------------------------------------------------------------

    def load(self, image: str) -> None:
        """Bring an image of the default engine here."""
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        try:
            load = ["docker", "-H", self.docker_url, "load", "-q"]
            subprocess.run(load, check=True, stdin=save.stdout, stdout=subprocess.DEVNULL, timeout=600)
        finally:
            save.kill()
            save.wait(60)

    def cut(self) -> None:
        """Pull the cable: nothing reaches the host, and what runs there goes on."""
        # The head's end: with the other one down the host would lose its own address too.
        _run("ip", "link", "set", self._cable, "down")

    def mend(self) -> None:
        """Plug the cable in again."""
        _run("ip", "link", "set", self._cable, "up")
        self._route()

    # --- how it is made ----------------------------------------------------------------------------------------------

    def _inside(self, *command: str) -> list[str]:
        # Not `ip netns exec`, which mounts a /sys of its own and hides the cgroups from dockerd.
        return ["nsenter", f"--net=/var/run/netns/{self._namespace}", *command]

    def _environment(self) -> dict[str, str]:
        """As on a machine that has nothing of ours: no settings, no path to the code."""
        ours = ("OPEVA_", "RAY_SERVE_", "RAY_REDIS_", "RAY_gcs_", "PYTHONPATH")
        theirs = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return {
            **authentication(theirs),
            **theirs,
            "RAY_memory_monitor_refresh_ms": "0",
            "DOCKER_HOST": self.docker_url,
            "PATH": f"{_PYTHON}:{os.environ['PATH']}:/usr/sbin:/sbin",
        }

    def _connect(self) -> None:
        """Lay the cable. What a killed session left under the same names is removed first."""
        self._remove_remains()
        self.folder.mkdir(mode=0o700)
        if self.owner is not None:
            # The engine and Ray notice the owner's end at the same time, and need a while to end themselves.
            late = ["sleep 20", *self._last_commands()]
            self._sweeper.start(["sleep", "infinity"], self._environment(), owner=self.owner, finally_=late)
        inner = f"opeva{self.number}w"
        _run("ip", "netns", "add", self._namespace)
        _run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", inner, "netns", self._namespace)
        _run("ip", "link", "set", self._cable, "up")
        self._route()
        for line in (
            "link set lo up",
            f"address add {self.address}/24 dev {inner}",
            f"link set {inner} up",
            f"route add default via {self.stack.plan.node_ip} dev {inner} onlink",
        ):
            _run("ip", "-n", self._namespace, *line.split())

    def _route(self) -> None:
        plan = self.stack.plan
        _run("ip", "route", "replace", f"{self.address}/32", "dev", self._cable, "src", plan.node_ip)

    def _last_commands(self) -> list[str]:
        """Command lines that remove what is not a process: mounts of the engine, the namespace with its cable."""
        unmount = f'grep -o " {self.folder}/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l'
        return [
            f"ip netns delete {self._namespace}",
            f"ip link delete {self._cable}",
            shlex.join(["sh", "-c", unmount]),
            f"rm -rf {self.folder}",
        ]

    def _remove_remains(self) -> None:
        for command in self._last_commands():
            _run(*shlex.split(command), check=False)

    def _remove_containers(self) -> None:
        try:
            client = self.docker()
            try:
                for container in client.containers.list(all=True, ignore_removed=True):
                    container.remove(force=True)
            finally:
                client.close()
        except DockerException:
            return  # no engine answers: it, or what it leaves, is ended next

    def _engine_answers(self) -> bool:
        try:
            client = self.docker()
            try:
                return bool(client.ping())
            finally:
                client.close()
        except DockerException:
            return False

    def _listed(self) -> bool:
        return any(node["alive"] and node["address"] == self.address for node in self.stack.ray.nodes())
