"""The service that the join script makes where systemd runs: a machine that is switched off is a worker again later."""

import subprocess
from collections.abc import Iterator

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from tests.cluster.booted import BootedHost
from tests.cluster.joining import bring_busybox, owner, prepare_machine

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def lab4(running: SessionStack) -> Iterator[BootedHost]:
    """A machine with systemd that has joined."""
    prepare_machine()
    with (
        BootedHost(running.stack, running.number + 1, "lab-4", num_cpus=1, owner=owner()) as host,
        Api(running.stack.api_url) as api,
    ):
        bring_busybox(host)
        host.wait_until_ready(api)
        yield host


def test_the_service_is_a_worker_that_runs_jobs(api: Api, lab4: BootedHost) -> None:
    assert lab4.inside("systemctl", "is-active", "opeva-worker") == "active"
    assert lab4.inside("systemctl", "is-enabled", "opeva-worker") == "enabled"
    job, ended = jobs.run(api, "echo here", target_host="lab-4")
    assert (ended["status"], ended["host"]) == ("finished", "lab-4")
    assert api.get(f"/logs/{job}").text == "here\n"
    again = lab4.join()
    assert (again.returncode, "already" in again.stdout) == (0, True), again.stderr


def test_a_machine_that_was_switched_off_joins_when_it_is_on_again_at_another_address(
    api: Api, lab4: BootedHost, busybox_image: str
) -> None:
    before = lab4.seen(api)["host"]
    lab4.switch_off()
    # Who comes first has the address that is free now.
    holder = ["docker", "run", "-d", "--rm", busybox_image, "sleep", "300"]
    taken = subprocess.run(holder, check=True, timeout=60, capture_output=True, text=True).stdout.strip()
    try:
        eventually(lambda: lab4.seen(api)["online"], lambda online: not online, what="the host's absence")
        lab4.switch_on()
    finally:
        subprocess.run(["docker", "rm", "-f", taken], check=True, timeout=60, capture_output=True)
    lab4.wait_until_ready(api)
    assert lab4.seen(api)["host"] != before
    assert jobs.run(api, "echo again", target_host="lab-4")[1]["status"] == "finished"


def test_a_machine_that_leaves_has_no_service_any_more(api: Api, lab4: BootedHost) -> None:
    left = lab4.script("--leave")
    assert left.returncode == 0, left.stderr
    assert lab4.inside("systemctl", "is-active", "opeva-worker", check=False) == "inactive"
    assert lab4.inside("sh", "-c", "ls /etc/systemd/system | grep opeva", check=False) == ""
    assert "ray" not in lab4.inside("ps", "-eo", "args")
    eventually(lambda: lab4.seen(api)["online"], lambda online: not online, what="the host's absence")
