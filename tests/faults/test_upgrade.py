"""A new version of the code, or other settings, takes over with jobs at work, and so does an older one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.harness.api import Api, eventually
from scripts.harness.jobs import wait_for
from scripts.stack import Stack
from scripts.stack.plan import PROJECT, authorization
from serve_app.settings import Settings
from tests.faults import kinds
from tests.faults.ledger import Ledger
from workers.supervision.launch import environment


class Versions:
    """Deploys the supervision in other versions beside the stack's own."""

    def __init__(self, stack: Stack, folder: Path, options: dict[str, Any]) -> None:
        self._stack = stack
        self._folder = folder
        self.options = options

    def other_code(self) -> Path:
        """A copy of the code that differs in a comment, as far as its version is concerned another one."""
        shutil.copytree(PROJECT / "workers", self._folder / "workers", ignore=shutil.ignore_patterns("__pycache__"))
        module = self._folder / "workers" / "common" / "version.py"
        module.write_text(module.read_text() + "# Of the next version.\n")
        return self._folder

    def deploy(self, code: Path = PROJECT, **options: Any) -> None:
        """What a replica of that code does when it starts."""
        request = {"options": {**self.options, **options}, "address": self._stack.ray_address, "replace": True}
        clean = {name: value for name, value in environment(code).items() if not name.startswith("OPEVA_")}
        subprocess.run(
            [sys.executable, "-m", "workers.supervision.launch"],
            input=json.dumps(request),
            env=clean,
            cwd=code,
            text=True,
            timeout=300,
            check=True,
        )


@pytest.fixture
def versions(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    """Brings the stack's own code and settings back at the end."""
    for name, value in stack.environment().items():
        if name.startswith("OPEVA_"):
            monkeypatch.setenv(name, value)
    versions = Versions(stack, tmp_path, Settings.load({}).jobs.to_dict())
    yield versions
    versions.deploy()


def drivers(stack: Stack) -> list[int]:
    """The processes of the Ray jobs `simulations` that run."""
    answer = requests.get(f"{stack.dashboard_url}/api/jobs/", headers=authorization(), timeout=60)
    answer.raise_for_status()
    return [
        int(job["driver_info"]["pid"])
        for job in answer.json()
        if job["status"] == "RUNNING" and (job["metadata"] or {}).get("job_name") == "simulations"
    ]


def test_an_upgrade_and_a_downgrade_replace_supervisor_and_host_agents_and_jobs_go_on(
    stack: Stack, api: Api, ledger: Ledger, versions: Versions
) -> None:
    jobs = [ledger.submit(kind, followers=1) for kind in (kinds.STEADY, kinds.BURSTS, kinds.STOPPED)]
    ledger.running(*jobs)
    canceled = ledger.submit(kinds.STEADY, resources={"cpus": 2})

    def agent_version() -> Any:
        return next(
            host["info"].get("version") for host in api.json("/hosts")["hosts"].values() if host["info"]["head"]
        )

    first = eventually(agent_version)
    versions.deploy(versions.other_code(), default_stop_grace_s=3.5)
    second = eventually(
        agent_version, lambda seen: bool(seen) and seen != first, what="a host agent of the new version"
    )
    ledger.stop(canceled)
    late = ledger.submit(kinds.FAILING)
    versions.deploy()
    eventually(agent_version, lambda seen: bool(seen) and seen != second, what="a host agent of the old version")
    ledger.running(jobs[2])
    # The driver of a supervisor that made way has ended, that of the last one stays.
    eventually(lambda: drivers(stack), lambda running: len(running) == 1, what="one driver")
    account = ledger.settle()
    assert account.problems == []
    assert wait_for(api, canceled)["status"] == "canceled"
    assert wait_for(api, late)["exit_code"] == 3


@pytest.mark.long
def test_a_driver_ends_with_its_node_though_another_cluster_takes_its_place(stack: Stack, versions: Versions) -> None:
    versions.deploy(default_stop_grace_s=3.5)
    (driver,) = eventually(lambda: drivers(stack), lambda running: len(running) == 1, what="one driver")
    stack.restart_ray(say=lambda _: None, kill=True)
    assert not Path(f"/proc/{driver}").exists()
    eventually(lambda: drivers(stack), lambda running: len(running) == 1 and driver not in running, what="a new driver")
