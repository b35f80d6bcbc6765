"""An installation for tests of the runner and the host agent: a shared root, its jobs, its containers."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from docker.errors import APIError, NotFound

from tests.harness.attempts import PLACE, spec_of
from workers.common.clock import Deadline
from workers.common.layout import Layout
from workers.host.engine import connect
from workers.host.runner import run_attempt
from workers.jobs.spec import Place, Spec

#: Generous: a loaded machine, not a slow product, is what takes this long.
PATIENCE_S = 120.0


def until(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`; fails with `what` if there is none in time."""
    deadline = Deadline(within_s)
    while not (value := condition()):
        assert not deadline.passed(), f"{what} within {within_s:g} s"
        time.sleep(0.02)
    return value


@dataclass
class Installation:
    root: Path
    cluster_id: str

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def create(self) -> None:
        for folder in (self.layout.records, self.layout.jobs, self.layout.datasets):
            folder.mkdir(parents=True)
        self.layout.cluster_id.write_text(f"{self.cluster_id}\n")

    def spec(self, script: str, **changes: Any) -> Spec:
        spec = spec_of(self.root, self.cluster_id, script, **changes)
        self.layout.record_folder(spec["job_id"]).mkdir(exist_ok=True)
        return spec

    def run(self, spec: Spec, *, claim: Callable[[], bool] = lambda: True, place: Place = PLACE) -> list[Any]:
        """The events of an attempt, run to its end."""
        return list(run_attempt(spec, claim, place))

    def log(self, spec: Spec) -> bytes:
        return self.layout.container_log(spec["job_id"]).read_bytes()

    def containers(self, spec: Spec | None = None) -> list[dict[str, Any]]:
        """Inspected containers of the installation, or of a job."""
        labels = [f"opeva.cluster={self.cluster_id}"] + ([f"opeva.job={spec['job_id']}"] if spec else [])
        client = connect(60.0).client
        found = []
        for one in client.containers(all=True, filters={"label": labels}):
            # One that is just being removed is listed and gone a moment later.
            with contextlib.suppress(NotFound):
                found.append(client.inspect_container(one["Id"]))
        return found

    def remove_containers(self) -> None:
        client = connect(60.0).client
        for one in client.containers(all=True, filters={"label": [f"opeva.cluster={self.cluster_id}"]}):
            try:
                client.remove_container(one["Id"], force=True, v=True)
            except (NotFound, APIError):
                # A runner of the test is just removing it.
                until(functools.partial(_gone, client, one["Id"]), "the container's removal")


def _gone(client: Any, container_id: str) -> bool:
    try:
        client.inspect_container(container_id)
    except NotFound:
        return True
    return False


class RunnerProcess:
    """A runner in a process of its own, to be killed."""

    def __init__(self, spec: Spec) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.docker.runner_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(spec).encode())
        self._process.stdin.close()

    def events(self) -> Iterator[dict[str, Any]]:
        output: IO[bytes] | None = self._process.stdout
        assert output is not None
        for line in output:
            yield json.loads(line)

    def wait_for(self, event: str) -> dict[str, Any]:
        for one in self.events():
            if one["event"] == event:
                return one
        raise AssertionError(f"the runner ended before it yielded {event}")

    def kill(self) -> None:
        """SIGKILL, as by the kernel or an operator."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        self._process.wait(PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
