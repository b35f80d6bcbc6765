"""The stack of a test session: made with its own ports, folders and address, and gone with the session."""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import docker

from scripts.harness.images import BUSYBOX
from scripts.harness.jobs import BUSYBOX_COMMAND
from scripts.stack import Plan, Ports, Stack
from scripts.stack.plan import PROJECT
from scripts.stack.ports import reserved_base
from scripts.stack.processes import Kept, command_line, strays
from workers.common import identity, names
from workers.common.layout import Layout

#: Settings that make the supervision quick enough for tests to wait for it.
SETTINGS: Final = {
    "OPEVA_IMAGE_COMMANDS": json.dumps({BUSYBOX.split(":")[0]: BUSYBOX_COMMAND}),
    "OPEVA_DEFAULT_STOP_GRACE_S": "2",
    "OPEVA_STOP_RETRY_S": "1",
    "OPEVA_SWEEP_EVERY_S": "2",
    "OPEVA_SWEEP_GRACE_S": "5",
}
CPUS: Final = 2


class SessionStack:
    """A stack for one session, as a context manager; `owner` is the pid that it may not outlive."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.folder = folder
        self._owner = owner
        self._exit = ExitStack()
        base = self._exit.enter_context(reserved_base())
        #: Tells this session's networks from those of others on this machine.
        self.number = (base // 100) % 250
        layout = Layout(folder / "shared")
        self.cluster_id = identity.create(layout)
        self.plan = Plan(
            run_dir=folder / "run",
            shared_root=layout.root,
            ports=Ports.of(base),
            node_ip=f"10.77.{self.number}.1",
            host_name="head",
            num_cpus=CPUS,
            settings=SETTINGS,
            owner=owner,
        )
        self.stack = Stack(self.plan)

    def __enter__(self) -> Self:
        subprocess.run([PROJECT / "scripts" / "apt.sh", "iproute2"], check=True, timeout=900)
        with self._exit:
            self._exit.callback(self._check_nothing_left)
            last = self._last_commands()
            self._sweeper.start(["sleep", "infinity"], dict(os.environ), owner=self._owner, finally_=last)
            # In an orderly end there is nothing for it to do.
            self._exit.callback(self._sweeper.kill)
            # An address of this machine that other network namespaces can reach, also without any network.
            self._address("replace")
            self._exit.callback(self._address, "delete")
            self._exit.callback(self.stack.down)
            self.stack.up()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _address(self, act: str) -> None:
        subprocess.run(["ip", "address", act, f"{self.plan.node_ip}/32", "dev", "lo"], check=True, timeout=30)

    @property
    def _sweeper(self) -> Kept:
        """Outlives a session that was killed for a moment, to clean up after it."""
        return Kept("sweeper", self.folder, f"{self.plan.mark}-sweeper")

    def _last_commands(self) -> list[str]:
        remove = f"docker ps -aq --filter label={names.LABEL_CLUSTER}={self.cluster_id} | xargs -r docker rm -f"
        return [
            # Ray ends at the same time; a container that it still creates meanwhile must not be missed.
            f"sh -c '{remove}; sleep 5; {remove}'",
            f"ip address delete {self.plan.node_ip}/32 dev lo",
            f"rm -rf {self.plan.ray_folder}",
        ]

    def _check_nothing_left(self) -> None:
        client = docker.from_env(timeout=60)
        try:
            label = f"{names.LABEL_CLUSTER}={self.cluster_id}"
            containers = client.containers.list(all=True, filters={"label": label})
        finally:
            client.close()
        assert not containers, f"containers are left: {[container.name for container in containers]}"
        processes = strays(self.plan.mark, self.plan.run_dir)
        assert not processes, f"processes are left: {[command_line(pid) for pid in processes]}"
