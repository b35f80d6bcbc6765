"""Machines that join by `workers/join-ray-worker.sh`: network namespaces, each with an engine and a raylet."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from scripts.stack.plan import PROJECT
from tests.cluster.joining import SCRIPT, JoiningHost, bring_busybox, owner, prepare_machine

WHOLE_CPU = {"cpus": 1}
#: Counts until a file `go` lies in the job's folder.
COUNT = "n=0; until [ -e /data/jobs/*/go ]; do n=$((n+1)); echo line $n; sleep 0.05; done; echo end"


@pytest.fixture(scope="module")
def machines(running: SessionStack) -> Iterator[tuple[JoiningHost, JoiningHost]]:
    """Two hosts that have joined: `lab-2`, and `lab-3` with the tag gpu_node."""
    prepare_machine()
    stack, number = running.stack, running.number
    plain = JoiningHost(stack, number + 1, "lab-2", num_cpus=1, owner=owner())
    tagged = JoiningHost(stack, number + 2, "lab-3", num_cpus=1, owner=owner(), tags=("gpu_node", "big-memory"))
    with plain, tagged, Api(stack.api_url) as api:
        for host in (plain, tagged):
            bring_busybox(host)
            host.wait_until_ready(api)
        yield plain, tagged


@pytest.fixture
def lab2(machines: tuple[JoiningHost, JoiningHost]) -> JoiningHost:
    return machines[0]


@pytest.fixture
def lab3(machines: tuple[JoiningHost, JoiningHost]) -> JoiningHost:
    return machines[1]


def test_a_joined_machine_is_listed_under_its_name_with_its_address_and_tags(api: Api, lab3: JoiningHost) -> None:
    seen = lab3.seen(api)
    assert (seen["online"], seen["docker"], seen["host"]) == (True, True, lab3.address)
    assert sorted(seen["info"]["tags"]) == ["big-memory", "gpu_node"]
    assert seen["resources"]["cpus"] == 1


@pytest.mark.parametrize(
    ("target", "place"), [("lab-2", "lab-2"), ("gpu_node", "lab-3"), ("address of lab-2", "lab-2")], ids=str
)
def test_a_job_goes_where_it_is_sent_by_name_tag_or_address(
    api: Api, lab2: JoiningHost, target: str, place: str
) -> None:
    job, ended = jobs.run(api, "echo here", target_host=lab2.address if target.startswith("address") else target)
    assert (ended["status"], ended["host"]) == ("finished", place)
    assert api.get(f"/logs/{job}").text == "here\n"


def test_jobs_spread_over_the_machines_as_there_is_room(
    api: Api, lab2: JoiningHost, lab3: JoiningHost, busybox_image: str
) -> None:
    """Four CPUs in all, two of them the head's: four jobs of one CPU each run at once."""
    placed = [jobs.submit(api, jobs.SLEEP, resources=WHOLE_CPU) for _ in range(4)]
    hosts = [jobs.wait_for(api, job, "running")["host"] for job in placed]
    jobs.stop_all(api)
    assert sorted(hosts) == ["head", "head", "lab-2", "lab-3"]


def test_joining_again_changes_nothing(api: Api, lab2: JoiningHost) -> None:
    before = lab2.seen(api)["node_id"]
    again = lab2.join()
    assert again.returncode == 0, again.stderr
    assert "joined to" in again.stdout
    assert "already" in again.stdout
    assert lab2.seen(api)["node_id"] == before
    other = lab2.join("--tag", "another")
    assert other.returncode == 1
    assert "other settings: --leave first" in other.stderr
    assert lab2.script("--status").returncode == 0


def test_a_machine_that_leaves_and_returns_has_lost_no_line_of_its_job(api: Api, lab2: JoiningHost) -> None:
    job = jobs.submit(api, COUNT, target_host="lab-2")
    jobs.wait_for(api, job, "running")
    left = lab2.script("--leave")
    assert left.returncode == 0, left.stderr
    assert lab2.script("--status").returncode == 1
    assert lab2.script("--leave").returncode == 0, "leaving twice is leaving once"
    jobs.wait_for(api, job, "unknown")
    eventually(lambda: lab2.seen(api)["online"], lambda online: not online, what="the host's absence")
    lab2.start_ray()
    lab2.wait_until_ready(api)
    jobs.wait_for(api, job, "running")
    (lab2.stack.layout.job(job) / "go").touch()
    assert jobs.wait_for(api, job)["status"] == "finished"
    lines = api.get(f"/logs/{job}").text.splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines))] + ["end"]


@pytest.mark.long
def test_machines_join_again_by_themselves_when_the_head_is_restarted(api: Api, lab2: JoiningHost) -> None:
    job = jobs.submit(api, COUNT, target_host="lab-2")
    jobs.wait_for(api, job, "running")
    stack = lab2.stack
    stack.ray.kill()
    # A process that was killed may hold its port for a moment longer.
    eventually(lambda: stack.plan.ports.busy().keys() - {"mongo"}, lambda busy: not busy, what="free ports")
    stack.up()
    eventually(lambda: lab2.seen(api), lambda host: host.get("online") and host.get("docker"), deadline=400)
    jobs.wait_for(api, job, "running")
    (lab2.stack.layout.job(job) / "go").touch()
    assert jobs.wait_for(api, job)["status"] == "finished"


REFUSALS = {
    "an option that there isn't": (["--sideways"], "there is no option --sideways"),
    "an option without its value": (["--address"], "--address needs a value"),
    "an address that is none": (["--address", "head:6379:1"], "must be HOST or HOST:PORT"),
    "a name that is none": (["--name", "lab 2"], "--name may hold"),
    "a tag that is Ray's": (["--tag", "memory"], "--tag memory is a name of Ray's"),
    "a relative folder": (["--shared-root", "data"], "must be an absolute path"),
    "a Python that there isn't": (["--python", "/none/python"], "there is no /none/python"),
    "a Python without Ray": (["--python", str(PROJECT / ".venv" / "bin" / "pip")], "lacks ray or docker"),
    "a name that is taken": (["--name", "head"], "the head has a host head already"),
    "a head that is silent": (["--address", "127.0.0.1:1"], "the head at 127.0.0.1:1 does not answer"),
    "a folder that is not mounted": (["--shared-root", "EMPTY"], "is not the shared folder"),
    "another installation's folder": (["--shared-root", "OTHER"], "is the shared folder of another installation"),
}


@pytest.mark.parametrize(("options", "says"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_wrong_is_refused_in_a_sentence_and_changes_nothing(
    api: Api, lab2: JoiningHost, tmp_path: Path, options: list[str], says: str
) -> None:
    (tmp_path / "other" / ".opeva").mkdir(parents=True)
    (tmp_path / "other" / ".opeva" / "cluster_id").write_text(uuid.uuid4().hex)
    (tmp_path / "empty").mkdir()
    paths = {"EMPTY": str(tmp_path / "empty"), "OTHER": str(tmp_path / "other")}
    words = [paths.get(word, word) for word in options]
    done = lab2.join("--name", "lab-9", "--state-dir", str(tmp_path / "state"), *words)
    assert done.returncode == 1, done.stdout
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "state" / "settings").exists()
    assert "lab-9" not in api.json("/hosts")["hosts"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("import platform; platform.python_version = lambda: '3.9.1'", "Python is 3.9.1 here and 3.11"),
        ("import ray; ray.__version__ = '2.9.0'", "Ray is 2.9.0 here and 2."),
    ],
    ids=["Python", "Ray"],
)
def test_another_version_than_the_heads_is_refused(lab2: JoiningHost, tmp_path: Path, change: str, says: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(change)
    done = lab2.join("--name", "lab-9", "--state-dir", str(tmp_path / "state"), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert says in done.stderr


def test_the_service_runs_the_script_and_waits_for_docker_and_the_folder(tmp_path: Path) -> None:
    command = [str(SCRIPT), "--print-unit", "--state-dir", str(tmp_path)]
    unit = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    assert f"ExecStart=/bin/bash {tmp_path}/join-ray-worker.sh --run --state-dir {tmp_path}" in unit
    assert "RequiresMountsFor=/opt/opeva_shared_data" in unit
    assert "After=network-online.target docker.service" in unit
