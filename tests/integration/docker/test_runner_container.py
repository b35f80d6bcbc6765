"""An attempt becomes exactly one container, set up as its spec says, or nothing and a reason."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.harness.images import BUSYBOX
from tests.harness.attempts import PLACE
from tests.integration.docker.installation import Installation, until
from workers.common.names import container_name
from workers.host.engine import connect, hostname
from workers.host.runner import run_attempt


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"] != "note"]


def test_an_attempt_runs_to_its_end_and_leaves_its_log_and_no_container(installation: Installation) -> None:
    spec = installation.spec("echo out; echo err >&2; exit 3")
    events = installation.run(spec)
    assert _kinds(events) == ["placed", "launching", "running", "exited"]
    running, exited = events[-2:]
    assert running["container_name"] == container_name(spec["job_id"], 1)
    assert (exited["exit_code"], exited["oom_killed"], exited["timed_out"]) == (3, False, False)
    assert running["started_at"] == exited["started_at"] <= exited["finished_at"] <= exited["at"]
    assert sorted(installation.log(spec).splitlines()) == [b"err", b"out"]
    assert exited["log_bytes"] == len(installation.log(spec))
    assert exited["log_complete"]
    assert installation.containers(spec) == []
    assert {path.name for path in installation.layout.record_folder(spec["job_id"]).iterdir()} == {"container.times"}


def test_the_container_stays_until_the_exit_was_taken(installation: Installation) -> None:
    spec = installation.spec("true")
    attempt = run_attempt(spec, lambda: True, PLACE)
    assert [event["event"] for event in (next(attempt) for _ in range(4))][-1] == "exited"
    assert len(installation.containers(spec)) == 1
    assert list(attempt) == []
    assert installation.containers(spec) == []


def test_without_a_granted_claim_nothing_is_created(installation: Installation) -> None:
    def unanswered() -> bool:
        raise TimeoutError("no answer")

    for claim, answered in ((lambda: False, True), (unanswered, False)):
        spec = installation.spec("true")
        events = installation.run(spec, claim=claim)
        assert _kinds(events) == ["placed", "refused"]
        assert events[-1]["answered"] is answered
        assert installation.containers(spec) == []


def test_a_container_sees_the_root_to_read_its_own_folder_to_write_and_nothing_of_ours(
    installation: Installation,
) -> None:
    (installation.layout.datasets / "d").mkdir()
    (installation.layout.datasets / "d" / "schema.json").write_text("{}")
    (installation.layout.private / "secret").write_text("s")
    (installation.layout.jobs / "other").mkdir()
    script = """
        cat /data/datasets/d/schema.json; echo
        ls -A /data/.opeva; ls /data/jobs
        for place in /data /data/datasets /data/.opeva /data/jobs /data/jobs/$JOB /data/mlflow; do
            touch $place/new 2>/dev/null && echo "wrote $place"
        done
    """
    spec = installation.spec(script)
    spec["env"] = {"JOB": spec["job_id"]}
    installation.run(spec)
    said = installation.log(spec).decode().splitlines()
    assert said == ["{}", spec["job_id"], f"wrote /data/jobs/{spec['job_id']}", "wrote /data/mlflow"]
    assert (installation.layout.job(spec["job_id"]) / "new").exists()
    assert (installation.root / "mlflow" / "new").exists()


def test_an_opened_root_is_writable_except_for_what_is_ours(installation: Installation) -> None:
    # One stream: Docker does not keep the order between two.
    script = "exec 2>&1; touch /data/new && echo wrote; touch /data/.opeva/new || true; ls -A /data/.opeva"
    spec = installation.spec(script)
    spec["open_root"] = True
    installation.run(spec)
    assert installation.log(spec).splitlines()[0] == b"wrote"
    assert not (installation.layout.private / "new").exists()


@pytest.mark.parametrize("job_name", ["x", "Édifício 1/ç", "a b", "", "../..", "n" * 300])
def test_any_job_name_is_only_a_label(installation: Installation, job_name: str) -> None:
    spec = installation.spec("true", job_name=job_name)
    attempt = run_attempt(spec, lambda: True, PLACE)
    running = next(event for event in attempt if event["event"] == "running")
    labels = installation.containers(spec)[0]["Config"]["Labels"]
    assert running["container_name"] == container_name(spec["job_id"], 1)
    assert labels["opeva.job_name"] == job_name
    assert (labels["opeva.cluster"], labels["opeva.job"]) == (installation.cluster_id, spec["job_id"])
    assert [event["event"] for event in attempt] == ["exited"]


def test_limits_environment_user_and_log_driver_are_as_specified(installation: Installation) -> None:
    spec = installation.spec(
        "sleep 600", memory=64 << 20, env={"A": "b=c"}, user="1000:1000", network="no-such-network"
    )
    attempt = run_attempt({**spec, "cpu_limit": True, "cpus": 0.5}, lambda: True, PLACE)
    next(event for event in attempt if event["event"] == "running")
    raw = installation.containers(spec)[0]
    attempt.close()
    host = raw["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert host["LogConfig"] == {
        "Type": "local",
        "Config": {"max-file": "1", "compress": "false", "max-size": "100g"},
    }
    assert "A=b=c" in raw["Config"]["Env"]
    assert raw["Config"]["User"] == "1000:1000"
    # Closing the runner left the container alone.
    assert raw["State"]["Running"]


def test_a_container_over_its_memory_limit_is_reported_as_such(installation: Installation) -> None:
    events = installation.run(installation.spec("tail /dev/zero", memory=32 << 20, command=["tail", "/dev/zero"]))
    assert (events[-1]["exit_code"], events[-1]["oom_killed"]) == (137, True)


@pytest.mark.parametrize("at", ["running", "exited"])
def test_the_same_launch_twice_is_one_container(installation: Installation, at: str) -> None:
    """The first runner died; a second is sent for the same attempt, claim and all."""
    spec = installation.spec("echo once >> /data/jobs/$JOB/ran; sleep 1; exit 4")
    spec["env"] = {"JOB": spec["job_id"]}
    first = run_attempt(spec, lambda: True, PLACE)
    container = next(event for event in first if event["event"] == "running")["container_id"]
    first.close()
    if at == "exited":
        until(lambda: not installation.containers(spec)[0]["State"]["Running"], "the container's end")
    events = installation.run(spec)
    assert _kinds(events) == ["placed", "running", "exited"]
    assert events[1]["container_id"] == container
    assert events[-1]["exit_code"] == 4
    assert (installation.layout.job(spec["job_id"]) / "ran").read_text() == "once\n"


def test_our_container_that_never_started_makes_way(installation: Installation) -> None:
    spec = installation.spec("echo new")
    client = connect(60.0).client
    labels = {"opeva.cluster": installation.cluster_id, "opeva.job": spec["job_id"], "opeva.attempt": "1"}
    name = container_name(spec["job_id"], 1)
    old = client.create_container(BUSYBOX, ["echo", "old"], name=name, labels=labels)["Id"]
    events = installation.run(spec)
    assert events[-1]["event"] == "exited"
    assert events[-1]["container_id"] != old
    assert installation.log(spec) == b"new\n"


@pytest.mark.parametrize("labels", [{}, {"opeva.cluster": "another", "opeva.job": "same"}])
def test_a_strangers_container_with_our_name_is_left_alone(installation: Installation, labels: dict[str, str]) -> None:
    spec = installation.spec("true")
    client = connect(60.0).client
    name = container_name(spec["job_id"], 1)
    if labels:
        labels = {**labels, "opeva.job": spec["job_id"]}
    strange = client.create_container(BUSYBOX, ["true"], name=name, labels=labels)["Id"]
    try:
        events = installation.run(spec)
        assert (events[-1]["event"], events[-1]["reason"]) == ("failed", "start_failed")
        assert name in events[-1]["detail"]
        assert client.inspect_container(strange)["Name"] == f"/{name}"
    finally:
        client.remove_container(strange, force=True)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"image": "opeva-test-nowhere:1", "pull": "never"}, "image_not_found", "opeva-test-nowhere:1"),
        ({"image": "localhost:9/nope/none:1"}, "image_pull_failed", "localhost:9"),
        ({"image": "Not A Reference"}, "image_not_found", "Not A Reference"),
        ({"command": ["/no/such/program"]}, "start_failed", "/no/such/program"),
        ({"host_root": "/no/such/root"}, "start_failed", "/no/such/root"),
        ({"gpus": 1}, "gpu_unavailable", "0 GPUs"),
        ({"writable": [".opeva"]}, "start_failed", ".opeva"),
    ],
)
def test_what_can_not_start_is_a_reason_and_leaves_nothing(
    installation: Installation, changes: dict[str, Any], reason: str, words: str
) -> None:
    spec = installation.spec("true", **changes)
    events = installation.run(spec)
    assert (events[-1]["event"], events[-1]["reason"]) == ("failed", reason)
    assert words in events[-1]["detail"]
    assert hostname() in events[-1]["detail"] or "writable" in changes
    assert installation.containers(spec) == []


def test_an_engine_that_hands_out_no_gpu_leaves_no_container(installation: Installation) -> None:
    spec = installation.spec("true", gpus=1)
    events = installation.run(spec, place={**PLACE, "gpus": ["0"], "node_gpus": 1})
    assert (events[-1]["event"], events[-1]["reason"]) == ("failed", "gpu_unavailable")
    assert "could not select device driver" in events[-1]["detail"]
    assert installation.containers(spec) == []


def test_gpus_that_live_containers_of_anyone_hold_are_not_given_again(installation: Installation) -> None:
    client = connect(60.0).client
    holder = client.create_container(BUSYBOX, ["sleep", "600"], labels={"opeva.cluster": "x", "opeva.gpus": "77,78"})
    try:
        client.start(holder["Id"])
        spec = installation.spec("true", gpus=2, start_timeout_s=0.0)
        events = installation.run(spec, place={**PLACE, "gpus": ["77", "79"], "node_gpus": 0})
        assert (events[-1]["event"], events[-1]["reason"]) == ("failed", "gpu_unavailable")
        assert "77" in events[-1]["detail"]
        client.kill(holder["Id"])
        client.wait(holder["Id"])
        spec = installation.spec("true", gpus=2)
        events = installation.run(spec, place={**PLACE, "gpus": ["77", "79"], "node_gpus": 0})
        # They are free now; this engine has no driver to hand them out with.
        assert "could not select device driver" in events[-1]["detail"]
    finally:
        client.remove_container(holder["Id"], force=True)


def test_adopting_what_is_not_there_says_so(installation: Installation) -> None:
    spec = installation.spec("true", mode="adopt")
    events = installation.run(spec)
    assert _kinds(events) == ["placed", "missing"]
    assert events[-1]["started"] is False


def test_a_container_removed_under_its_runner_is_missing_not_failed(installation: Installation) -> None:
    spec = installation.spec("sleep 600")
    attempt = run_attempt(spec, lambda: True, PLACE)
    running = next(event for event in attempt if event["event"] == "running")
    connect(60.0).client.remove_container(running["container_id"], force=True)
    rest = [event for event in attempt if event["event"] != "note"]
    # The removal kills it first, and its end may be seen before it is gone.
    assert rest[-1]["event"] in ("missing", "exited")
    assert rest[-1].get("exit_code", 137) == 137


@pytest.mark.parametrize(
    ("script", "grace_s", "code"),
    [("true", 1.0, 137), ("trap '' TERM", 1.0, 137), ("trap 'exit 7' TERM", 60.0, 7)],
)
def test_a_container_over_its_time_is_ended(installation: Installation, script: str, grace_s: float, code: int) -> None:
    spec = installation.spec(f"{script}; while true; do sleep 0.1; done", timeout_s=3.0, stop_grace_s=grace_s)
    events = installation.run(spec)
    assert (events[-1]["event"], events[-1]["exit_code"], events[-1]["timed_out"]) == ("exited", code, True)


def test_the_time_of_an_adopted_container_runs_from_its_start(installation: Installation) -> None:
    spec = installation.spec("sleep 600", timeout_s=2.0)
    first = run_attempt({**spec, "timeout_s": None}, lambda: True, PLACE)
    next(event for event in first if event["event"] == "running")
    first.close()
    events = installation.run({**spec, "mode": "adopt"})
    assert events[-1]["timed_out"]
    assert events[-1]["finished_at"] - events[-1]["started_at"] >= 2.0


def test_one_that_ends_by_itself_in_time_did_not_time_out(installation: Installation) -> None:
    events = installation.run(installation.spec("exit 5", timeout_s=3600.0))
    assert (events[-1]["exit_code"], events[-1]["timed_out"]) == (5, False)
