"""The head's image, started as the documentation says, with jobs as containers beside it."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.images import BUSYBOX, busybox_image
from scripts.stack.plan import PROJECT
from tests.cluster.head_image import IMAGE, Head, run_image, running_head
from tests.simulator.tiny_dataset import write_tiny_dataset

#: Minutes of building images and starting machines.
pytestmark = pytest.mark.long

SOCKET = ["-v", "/var/run/docker.sock:/var/run/docker.sock"]
COMMANDS = json.dumps({BUSYBOX.split(":", maxsplit=1)[0]: jobs.BUSYBOX_COMMAND})
TABLES = ["-e", "RAY_gcs_storage=rocksdb", "-e", "RAY_gcs_storage_path=/var/lib/opeva/run/tables"]
OPTIONS = ["-e", f"OPEVA_IMAGE_COMMANDS={COMMANDS}", "-e", "OPEVA_STOP_RETRY_S=1", "-e", "OPEVA_NUM_CPUS=2"]


@pytest.fixture(scope="module")
def built() -> str:
    """The image, built if what goes into it has changed."""
    subprocess.run([PROJECT / "scripts" / "build-head-image.sh", IMAGE], check=True, timeout=1800)
    return IMAGE


@pytest.fixture(scope="module")
def head(built: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head whose network also is the jobs', over a folder that was empty."""
    busybox_image()
    name = f"opeva-test-{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("head") / "shared"
    with running_head(folder, name, *OPTIONS, "-e", f"OPEVA_CONTAINER_NETWORK={name}") as head:
        yield head


def known_hosts(api: Api) -> list[dict[str, Any]]:
    hosts: list[dict[str, Any]] = api.json("/hosts")["available_hosts"]
    return hosts


def test_the_head_runs_as_nobody_special_over_a_folder_that_it_was_given(head: Head) -> None:
    command = ["docker", "exec", head.name, "grep", "^Uid:", "/proc/1/status"]
    status = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    assert status.split()[1] == "10001"
    private = head.folder / ".opeva"
    eventually(private.exists, what=f"{private}, which the supervisor makes")
    assert (head.folder.stat().st_uid, private.stat().st_uid) == (10001, 10001)


def test_the_host_has_the_name_that_its_engine_knows(head: Head) -> None:
    with head.api() as api:
        (host,) = eventually(lambda: known_hosts(api), lambda hosts: hosts and hosts[0]["docker"])
    known = subprocess.run(
        ["docker", "info", "-f", "{{.Name}}"], check=True, timeout=60, capture_output=True, text=True
    )
    assert host["name"] == known.stdout.strip()


def test_a_job_is_a_container_beside_the_head_on_its_network_with_results_in_the_shared_folder(head: Head) -> None:
    with head.api() as api:
        job = jobs.submit(api, f"echo of a sibling; cd /data/jobs/*/results; echo 1 > kept; {jobs.SLEEP}")
        jobs.wait_for(api, job, "running")
        eventually(lambda: api.get(f"/logs/{job}").text, lambda text: text == "of a sibling\n")
        container = jobs.container_of(job)
        assert container is not None
        assert list(container.attrs["NetworkSettings"]["Networks"]) == [head.name]
        api.post(f"/stop/{job}")
        assert jobs.wait_for(api, job)["status"] == "stopped"
    assert (head.layout.results(job) / "kept").read_text() == "1\n"
    assert head.layout.container_log(job).read_text() == "of a sibling\n"


def test_a_simulation_runs_beside_the_head(head: Head) -> None:
    write_tiny_dataset(head.folder / "datasets" / "tiny")
    body = {
        "config": {
            "metadata": {"experiment_name": "image", "run_name": "tiny"},
            "simulator": {"dataset_path": "/data/datasets/tiny/schema.json"},
            "algorithm": {"name": "rbc"},
        }
    }
    with head.api() as api:
        answer = api.post("/run-simulation", json=body)
        assert answer.status_code == 200, answer.text
        job = answer.json()["job_id"]
        ended = jobs.wait_for(api, job)
        assert ended["status"] == "finished", ended
        assert "District" in api.json(f"/result/{job}")
    assert "District" in json.loads((head.layout.results(job) / "result.json").read_text())


def _goes_on_when_killed(head: Head) -> None:
    with head.api() as api:
        job = jobs.submit(api, "n=0; while [ $n -lt 1200 ]; do n=$((n+1)); echo line $n; sleep 0.1; done")
        jobs.wait_for(api, job, "running")
    head.container.kill()
    head.container.start()
    head.wait_until_healthy()
    with head.api() as api:
        assert jobs.wait_for(api, job, deadline=600)["status"] == "finished"
        assert api.get(f"/logs/{job}").text.splitlines() == [f"line {number}" for number in range(1, 1201)]


def test_jobs_go_on_while_the_head_is_killed_and_are_found_again(head: Head) -> None:
    _goes_on_when_killed(head)


def test_jobs_go_on_while_a_head_that_keeps_rays_tables_is_killed(
    built: str, busybox_image: str, tmp_path: Path
) -> None:
    with running_head(tmp_path / "shared", f"opeva-test-{uuid.uuid4().hex[:8]}", *OPTIONS, *TABLES) as head:
        _goes_on_when_killed(head)


def test_a_head_without_dockers_socket_is_listed_as_a_host_that_runs_no_jobs(built: str, tmp_path: Path) -> None:
    with running_head(tmp_path / "shared", f"opeva-test-{uuid.uuid4().hex[:8]}", socket=False) as head:
        with head.api() as api:
            (host,) = eventually(
                lambda: api.json("/hosts")["available_hosts"], lambda hosts: hosts and hosts[0]["online"]
            )
            assert host["docker"] is False
        assert "mount /var/run/docker.sock" in head.container.logs().decode()


def test_without_a_mounted_folder_it_says_what_to_mount_and_ends(built: str) -> None:
    done = run_image(SOCKET)
    assert done.returncode == 1
    assert "Nothing is mounted at /opt/opeva_shared_data: start the container with -v" in done.stderr


@pytest.mark.parametrize("inside", ["/opt/opeva_shared_data", "/data"])
def test_a_folder_that_jobs_would_not_see_is_refused(built: str, tmp_path: Path, inside: str) -> None:
    other = tmp_path / "other"
    (other / "something").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    done = run_image([*SOCKET, "-v", f"{tmp_path}/shared:{inside}", "-e", f"OPEVA_HOST_SHARED_ROOT={other}"])
    assert done.returncode == 1
    assert f"{inside} in this container is not {other} on the host" in done.stderr
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_role_that_there_is_not_is_refused(built: str) -> None:
    done = run_image([], "tail")
    assert done.returncode == 2
    assert "There is no role 'tail'" in done.stderr


def test_a_worker_of_the_image_says_why_it_can_not_join(built: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    options = [*SOCKET, "-v", f"{tmp_path}/shared:/opt/opeva_shared_data"]
    done = run_image(options, "worker", "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "the head at 127.0.0.1:1 does not answer" in done.stderr
