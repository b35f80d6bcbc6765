"""A host that has the shared folder over a network file system: sshfs, which needs nothing of the kernel but FUSE.

sshfs keeps names and attributes for 20 seconds and writes late, so that stale reads and slow metadata are met.
"""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from scripts.harness.api import eventually
from scripts.stack.plan import PROJECT
from scripts.stack.processes import Kept, tail
from tests.cluster.joining import JoiningHost

_SSHD: Final = "/usr/sbin/sshd"


@dataclass(frozen=True)
class SshServer:
    """An SSH server on the head's address that lets one key in; its files lie in `folder`."""

    folder: Path
    address: str
    port: int
    mark: str

    @property
    def _kept(self) -> Kept:
        return Kept("sshd", self.folder, self.mark)

    @property
    def key(self) -> Path:
        """The client's private key."""
        return self.folder / "client"

    def start(self) -> None:
        """Start the server and wait until its port answers."""
        subprocess.run([PROJECT / "scripts" / "apt.sh", "openssh-server", "sshfs"], check=True, timeout=900)
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host", "client"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True, timeout=60)
        lines = [
            f"ListenAddress {self.address}:{self.port}",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/client.pub",
            f"PidFile {self.folder}/sshd.pid.file",
            "PermitRootLogin prohibit-password",
            "StrictModes no",
            "UsePAM no",
            "Subsystem sftp internal-sftp",
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        self._kept.start([_SSHD, "-D", "-e", "-f", f"{self.folder}/config"], dict(os.environ), owner=os.getpid())

    def stop(self) -> None:
        """End the server and its connections."""
        self._kept.stop()


@dataclass(frozen=True)
class SshfsHost(JoiningHost):
    """A host that sees the head's shared folder, at its path, through sshfs alone."""

    server: SshServer | None = None

    @property
    def _mount(self) -> Kept:
        return Kept("sshfs", self._logs, f"{self.stack.plan.mark}-sshfs{self.number}")

    def start_engine(self) -> None:
        """Mount the folder in a mount namespace of the host's own, then start the engine in that too."""
        if not self._mount.alive():
            self._mount_folder()
        super().start_engine()

    def stop_engine(self) -> None:
        """End the engine, and the mount that it was over."""
        super().stop_engine()
        self._mount.stop()

    def mounted(self) -> bool:
        """Whether the host sees the folder through sshfs."""
        command = self._inside("findmnt", "-n", "-o", "FSTYPE", str(self.stack.plan.shared_root))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip() == "fuse.sshfs"

    def _mount_folder(self) -> None:
        assert self.server is not None
        root = str(self.stack.plan.shared_root)
        # In the foreground: the process keeps the namespace in which its mount is.
        options = [
            *("-o", f"port={self.server.port},IdentityFile={self.server.key},StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null,ServerAliveInterval=5,reconnect,allow_other"),
        ]
        command = ["unshare", "--mount", "--propagation", "private", "sshfs", "-f", *options]
        self._mount.start(
            super()._inside(*command, f"root@{self.server.address}:{root}", root), self._environment(), owner=self.owner
        )
        eventually(self.mounted, what=f"{root} over sshfs, whose log is {tail(self._mount.log)}")

    def _inside(self, *command: str) -> list[str]:
        """In the host's network, and in the mount namespace of its sshfs once there is one."""
        words = super()._inside(*command)
        sshfs = [pid for pid, line in self._mount.processes().items() if line.startswith("sshfs ")]
        return [words[0], f"--mount=/proc/{sshfs[0]}/ns/mnt", *words[1:]] if sshfs else words


def over_sshfs(host: JoiningHost, server: SshServer) -> SshfsHost:
    """The same host, with the folder over `server`."""
    plain = {name: getattr(host, name) for name in ("stack", "number", "name", "num_cpus", "owner", "tags")}
    return replace(SshfsHost(**plain), server=server)
