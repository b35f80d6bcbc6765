"""A machine whose first process is systemd, which the join script makes a service for."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
from docker.errors import ImageNotFound

from scripts.harness.api import eventually
from scripts.stack.plan import PROJECT, ray_token
from tests.cluster.joining import SCRIPT, JoiningHost

IMAGE: Final = "opeva-test-systemd:1"
_PACKAGES: Final = "python3,systemd-sysv,iproute2,procps"
_ENVIRONMENT: Final = PROJECT / ".venv-worker"
#: systemd must be the first process of a cgroup tree that it may write to, which a container's is not.
_BOOT: Final = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec /sbin/init"


@dataclass(frozen=True)
class BootedHost(JoiningHost):
    """A container with systemd, that uses the engine of its host; it can be switched off and on again."""

    @property
    def machine(self) -> str:
        """The container's name."""
        return f"opeva-{self._mark}"

    def inside(self, *command: str, check: bool = True) -> str:
        """What a command prints in the machine."""
        line = ["docker", "exec", self.machine, *command]
        return subprocess.run(line, check=check, timeout=120, capture_output=True, text=True).stdout.strip()

    def boot(self) -> None:
        """Switch the machine on for the first time."""
        python = subprocess.run(
            [_ENVIRONMENT / "bin" / "python", "-c", "import sys; print(sys.base_prefix)"],
            check=True, timeout=60, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        # The machine has a /usr of its own.
        folders = [_ENVIRONMENT, SCRIPT.parent, *([] if python == "/usr" else [Path(python)])]
        mounts = [word for folder in folders for word in ("-v", f"{folder}:{folder}:ro")]
        for folder in (self.folder, self.stack.plan.shared_root):
            mounts += ["-v", f"{folder}:{folder}"]
        # fmt: off
        command = [
            "docker", "run", "-d", "--name", self.machine, "--hostname", self.name, "--shm-size", "1g",
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
            "--security-opt", "systempaths=unconfined", "--stop-signal", "SIGRTMIN+3",
            "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", *mounts, machine_image(),
            "sh", "-c", _BOOT,
        ]
        # fmt: on
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        self._wait_until_booted()

    def switch_off(self) -> None:
        """As pulling the plug does."""
        subprocess.run(["docker", "kill", self.machine], check=True, timeout=60, capture_output=True)

    def switch_on(self) -> None:
        """Start it again: what is on its disk is there, what was in its memory is not."""
        subprocess.run(["docker", "start", self.machine], check=True, timeout=60, capture_output=True)
        self._wait_until_booted()

    def script(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"DOCKER_HOST": self.docker_url, **environment}
        if token := ray_token():
            variables["RAY_AUTH_TOKEN"] = token
        return subprocess.run(
            [
                *("docker", "exec", *(word for name, value in variables.items() for word in ("-e", f"{name}={value}"))),
                *(self.machine, "bash", str(SCRIPT), *options),
            ],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def join(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script, as a machine joins that shall be a worker after each boot."""
        return super().join("--systemd", *options, **environment)

    def start_ray(self) -> None:
        """Boot and join. Raises RuntimeError with what the script says."""
        self.boot()
        super().start_ray()

    def stop_ray(self) -> None:
        """Remove the machine; the containers of jobs are its engine's."""
        subprocess.run(["docker", "rm", "-f", self.machine], check=False, timeout=120, capture_output=True)

    def _wait_until_booted(self) -> None:
        eventually(
            lambda: self.inside("systemctl", "is-system-running", check=False),
            lambda state: state in ("running", "degraded"),
            what=f"the boot of {self.machine}",
        )

    def _last_commands(self) -> list[str]:
        return [f"docker rm -f {self.machine}", *super()._last_commands()]


def machine_image() -> str:
    """The tag of the machine's image: a minimal Debian with systemd."""
    client = docker.from_env(timeout=60)
    try:
        client.images.get(IMAGE)
    except ImageNotFound:
        make = f"set -eu; NAME={__name__}; . scripts/image-steps.sh; make_debian {IMAGE} {_PACKAGES}"
        subprocess.run(["bash", "-o", "pipefail", "-c", make], check=True, timeout=900, cwd=PROJECT)
    finally:
        client.close()
    return IMAGE
