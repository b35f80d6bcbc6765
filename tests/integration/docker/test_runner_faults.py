"""What the engine did and didn't say, didn't do, or did while it went away: never two containers, never a false end."""

from __future__ import annotations

import _thread
import threading
from typing import Any

import pytest

from tests.harness.attempts import PLACE
from tests.integration.docker.installation import Installation, until
from tests.integration.docker.proxy import DockerProxy
from workers.host.engine import hostname
from workers.host.runner import run_attempt

_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


@pytest.mark.parametrize("lost", ["POST /containers/create", "POST /containers/.*/start", "DELETE /containers/"])
def test_a_call_whose_answer_is_lost_is_not_done_twice(
    installation: Installation, proxy: DockerProxy, lost: str
) -> None:
    proxy.lose_answer(lost)
    spec = installation.spec("echo once >> /data/jobs/$JOB/ran; echo words")
    spec["env"] = {"JOB": spec["job_id"]}
    events = installation.run(spec)
    assert events[-1]["event"] == "exited"
    assert events[-1]["exit_code"] == 0
    assert (installation.layout.job(spec["job_id"]) / "ran").read_text() == "once\n"
    assert installation.log(spec) == b"words\n"
    if "DELETE" not in lost:
        assert installation.containers(spec) == []


@pytest.mark.parametrize("lost", ["POST /containers/create", "POST /containers/.*/start"])
def test_a_call_that_the_engine_never_heard_is_made_again(
    installation: Installation, proxy: DockerProxy, lost: str
) -> None:
    proxy.lose_request(lost)
    spec = installation.spec("echo words")
    assert installation.run(spec)[-1]["event"] == "exited"
    assert installation.log(spec) == b"words\n"


def test_a_start_that_hangs_past_its_deadline_is_a_reason_and_leaves_nothing(
    installation: Installation, proxy: DockerProxy
) -> None:
    proxy.hang("POST /containers/.*/start", times=100)
    spec = installation.spec("true", start_timeout_s=1.0)
    events = installation.run(spec)
    assert (events[-1]["event"], events[-1]["reason"]) == ("failed", "start_failed")
    assert "within 1 s" in events[-1]["detail"]
    assert installation.containers(spec) == []


def test_an_absent_engine_is_told_before_anything_is_made(installation: Installation, proxy: DockerProxy) -> None:
    proxy.go_away()
    spec = installation.spec("true")
    events = installation.run(spec)
    assert [event["event"] for event in events] == ["placed", "failed"]
    assert events[-1]["reason"] == "docker_unavailable"
    assert hostname() in events[-1]["detail"]
    proxy.come_back()
    assert installation.containers(spec) == []


def test_an_engine_that_is_away_for_a_while_costs_no_line_and_no_exit_code(
    installation: Installation, proxy: DockerProxy
) -> None:
    spec = installation.spec("seq 1 1000; until [ -e /data/go ]; do sleep 0.05; done; seq 1001 2000; exit 6")
    attempt = run_attempt(spec, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    proxy.go_away()
    note = next(event for event in attempt if event["event"] == "note")
    assert note["reason"] == "docker_unavailable"
    (installation.root / "go").touch()
    proxy.come_back()
    rest: list[Any] = list(attempt)
    assert [event.get("reason") for event in rest if event["event"] == "note"] == [None]
    assert (rest[-1]["event"], rest[-1]["exit_code"]) == ("exited", 6)
    assert installation.log(spec) == b"".join(b"%d\n" % n for n in range(1, 2001))


def test_adoption_waits_for_the_engine_and_never_calls_the_job_failed(
    installation: Installation, proxy: DockerProxy
) -> None:
    spec = installation.spec("until [ -e /data/go ]; do sleep 0.05; done; exit 3")
    first = run_attempt(spec, lambda: True, PLACE)
    next(event for event in first if event["event"] == "running")
    first.close()
    proxy.go_away()
    adopting = run_attempt({**spec, "mode": "adopt"}, lambda: True, PLACE)
    first_two: list[Any] = [next(adopting), next(adopting)]
    assert [first_two[0]["event"], first_two[1]["reason"]] == ["placed", "docker_unavailable"]
    proxy.come_back()
    (installation.root / "go").touch()
    rest: list[Any] = list(adopting)
    assert [event["event"] for event in rest] == ["note", "running", "exited"]
    assert rest[-1]["exit_code"] == 3


def test_a_log_stream_that_breaks_off_is_not_the_containers_end(installation: Installation, proxy: DockerProxy) -> None:
    proxy.answer("GET /containers/.*/logs", _CHUNKED + _chunk(b"\3\0\0\0\0\0\0\5oops!"), times=2)
    spec = installation.spec("echo one; sleep 1; echo two")
    assert installation.run(spec)[-1]["exit_code"] == 0
    assert installation.log(spec) == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("answer", "timeout_s", "words"),
    [
        pytest.param(
            _CHUNKED + _chunk(b'{"status": "Pulling"}') + _chunk(b'{"error": "manifest unknown"}'),
            60.0,
            "manifest unknown",
            id="error in the stream",
        ),
        pytest.param(_CHUNKED + _chunk(b'{"status": "Pulling"}'), 1.0, "not done in 1 s", id="never ends"),
        pytest.param(b"", 1.0, "not done in 1 s", id="never begins"),
        pytest.param(
            _CHUNKED + _chunk(b'{"status": "Downloaded"}') + b"0\r\n\r\n",
            60.0,
            "not there",
            id="success without an image",
        ),
    ],
)
def test_a_pull_that_fails_says_why(
    installation: Installation, proxy: DockerProxy, answer: bytes, timeout_s: float, words: str
) -> None:
    proxy.answer("POST /images/create", answer)
    claims: list[str] = []

    def claim() -> bool:
        claims.append("asked")
        return True

    spec = installation.spec("true", image="registry.invalid/nope/none:1", pull_timeout_s=timeout_s)
    events = installation.run(spec, claim=claim)
    assert (events[-1]["event"], events[-1]["reason"]) == ("failed", "image_pull_failed")
    assert words in events[-1]["detail"]
    assert claims == []


def test_a_runner_closed_while_it_pulls_creates_nothing(installation: Installation, proxy: DockerProxy) -> None:
    """As a stop during the pull does: Ray cancels a task by an interrupt of its thread."""
    proxy.answer("POST /images/create", _CHUNKED + _chunk(b'{"status": "Pulling"}'))
    spec = installation.spec("true", image="registry.invalid/nope/none:1", pull_timeout_s=60.0)
    attempt = run_attempt(spec, lambda: True, PLACE)
    assert next(attempt)["event"] == "placed"
    pulling = threading.Thread(target=_interrupt_when, args=(proxy, "POST /images/create"))
    pulling.start()
    with pytest.raises(KeyboardInterrupt):
        next(attempt)
    pulling.join()
    assert installation.containers(spec) == []


def _interrupt_when(proxy: DockerProxy, request: str) -> None:
    until(lambda: request in proxy.requests, request)
    _thread.interrupt_main()
