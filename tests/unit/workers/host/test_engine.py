"""What the Docker engine says, in plain terms."""

import socket
from typing import Any

import pytest

from workers.host.engine import EngineError, connect, describe, seconds


def _inspected(**state: Any) -> dict[str, Any]:
    known = {
        "Status": "exited",
        "Running": False,
        "ExitCode": 0,
        "OOMKilled": False,
        "StartedAt": "2026-01-02T03:04:05.123456789Z",
        "FinishedAt": "2026-01-02T03:04:06.123456789Z",
    }
    return {"Id": "a" * 64, "Name": "/opeva-x-1", "Config": {"Image": "i", "Labels": None}, "State": {**known, **state}}


def test_year_one_means_never() -> None:
    assert seconds("0001-01-01T00:00:00Z") is None
    assert seconds("1970-01-01T00:00:01.500000000Z") == 1.5


def test_a_container_that_never_started_has_no_exit_code_and_no_times() -> None:
    never = "0001-01-01T00:00:00Z"
    seen = describe(_inspected(Status="created", ExitCode=127, StartedAt=never, FinishedAt=never))
    assert (seen["exit_code"], seen["started_at"], seen["finished_at"]) == (None, None, None)


def test_an_instant_container_does_not_end_before_it_began() -> None:
    seen = describe(_inspected(FinishedAt="2026-01-02T03:04:05.100000000Z"))
    assert seen["finished_at"] == seen["started_at"]


def test_a_running_container_has_not_finished_whatever_its_last_run_left() -> None:
    seen = describe(_inspected(Status="running", Running=True))
    assert (seen["exit_code"], seen["finished_at"]) == (None, None)


def test_an_absent_engine_is_a_reason_that_names_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr("workers.host.engine._kept.engine", None)
    with pytest.raises(EngineError, match=f"Docker on host {socket.gethostname()} does not answer") as failure:
        connect(1.0)
    assert failure.value.reason == "docker_unavailable"
