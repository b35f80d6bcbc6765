"""The runner keeps the contract of its events on a real engine, in a process and as a Ray task."""

from __future__ import annotations

from typing import Any

from scripts.harness.images import BUSYBOX
from tests.contracts.runner_events import check_events
from tests.harness.attempts import PLACE
from tests.integration.docker.installation import Installation
from workers.host.engine import connect
from workers.host.runner import run_attempt
from workers.jobs.spec import Spec


def _checked(events: list[Any], last: str) -> None:
    check_events(events)
    assert events[-1]["event"] == last


def test_a_launch_and_what_keeps_one_from_its_container(installation: Installation) -> None:
    _checked(installation.run(installation.spec("echo words; exit 3")), "exited")
    _checked(installation.run(installation.spec("sleep 600", timeout_s=1.0)), "exited")
    _checked(installation.run(installation.spec("true"), claim=lambda: False), "refused")
    _checked(installation.run(installation.spec("true", image="nobody/has:this", pull="never")), "failed")
    _checked(installation.run(installation.spec("true", command=["/nowhere"], image=BUSYBOX)), "failed")


def test_an_adoption(installation: Installation) -> None:
    spec: Spec = installation.spec("until [ -e /data/go ]; do sleep 0.05; done; exit 4")
    first = run_attempt(spec, lambda: True, PLACE)
    for event in first:
        if event["event"] == "running":
            break
    first.close()
    (installation.root / "go").touch()
    _checked(installation.run({**spec, "mode": "adopt"}), "exited")
    _checked(installation.run({**spec, "mode": "adopt"}), "missing")


def test_a_container_that_is_removed_under_its_runner(installation: Installation) -> None:
    spec = installation.spec("sleep 600")
    attempt = run_attempt(spec, lambda: True, PLACE)
    events: list[Any] = []
    for event in attempt:
        events.append(event)
        if event["event"] == "running":
            connect(60.0).client.remove_container(event["container_id"], force=True)
    # The removal kills it first, and its end may be seen before it is gone.
    check_events(events)
    assert events[-1]["event"] in ("missing", "exited")
