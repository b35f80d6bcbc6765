"""Jobs on a machine that has the shared folder over a network file system, with what that sees late."""

import socket
from collections.abc import Iterator

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from tests.cluster.joining import JoiningHost, bring_busybox, owner, prepare_machine
from tests.cluster.network_folder import SshfsHost, SshServer, over_sshfs

pytestmark = pytest.mark.long

LINES = 20_000


@pytest.fixture(scope="module")
def lab(running: SessionStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshfsHost]:
    prepare_machine()
    stack = running.stack
    with socket.socket() as probe:
        probe.bind((running.plan.node_ip, 0))
        port = probe.getsockname()[1]
    mark = f"{running.plan.mark}-sshd"
    server = SshServer(tmp_path_factory.mktemp("ssh"), running.plan.node_ip, port, mark)
    server.start()
    host = over_sshfs(JoiningHost(stack, running.number + 1, "far", num_cpus=2, owner=owner()), server)
    try:
        with host, Api(stack.api_url) as api:
            bring_busybox(host)
            host.wait_until_ready(api)
            yield host
    finally:
        server.stop()


def test_the_machine_sees_the_folder_through_the_network_only(lab: SshfsHost) -> None:
    assert lab.mounted()


def test_a_job_there_has_its_whole_log_and_its_results_here(api: Api, lab: SshfsHost) -> None:
    script = f'seq {LINES}; cd /data/jobs/*/results; echo \'{{"District": {{"cost": 1.5}}}}\' > result.json'
    job, ended = jobs.run(api, script, target_host="far")
    assert (ended["status"], ended["host"]) == ("finished", "far")
    assert api.get(f"/logs/{job}").text == "".join(f"{number}\n" for number in range(1, LINES + 1))
    assert api.json(f"/result/{job}") == {"District": {"cost": 1.5}}


def test_a_log_is_followed_while_it_grows_there_to_its_end(api: Api, lab: SshfsHost) -> None:
    script = "for n in $(seq 40); do echo line $n; sleep 0.2; done"
    job = jobs.submit(api, script, target_host="far")
    with api.get(f"/logs/{job}", params={"follow": "true"}, stream=True, timeout=300) as answer:
        lines = [line.decode() for line in answer.iter_lines()]
    assert lines == [f"line {number}" for number in range(1, 41)]


def test_progress_that_a_container_rewrites_there_arrives_here(api: Api, lab: SshfsHost) -> None:
    rewrite = "echo '{\"progress_pct\": '$n'}' > new; mv new progress.json"
    script = f"cd /data/jobs/*/progress; for n in $(seq 0 10 100); do {rewrite}; sleep 0.3; done; {jobs.SLEEP}"
    job = jobs.submit(api, script, target_host="far")
    eventually(lambda: api.json(f"/progress/{job}")["percent"], lambda percent: percent == 100)
    api.post(f"/stop/{job}")
    assert jobs.wait_for(api, job)["status"] == "stopped"


def test_many_jobs_there_each_find_their_own_new_folder(api: Api, lab: SshfsHost) -> None:
    script = "echo $MINE; cd /data/jobs/*/results; echo $MINE > mine"
    placed = [jobs.submit(api, script, target_host="far", env={"MINE": str(n)}) for n in range(8)]
    for number, job in enumerate(placed):
        assert jobs.wait_for(api, job)["status"] == "finished"
        assert api.get(f"/logs/{job}").text == f"{number}\n"
        assert (lab.stack.layout.results(job) / "mine").read_text() == f"{number}\n"


def test_a_deleted_job_leaves_nothing_there(api: Api, lab: SshfsHost) -> None:
    job, _ = jobs.run(api, "echo gone", target_host="far")
    assert api.delete(f"/job/{job}").status_code == 200
    assert not lab.stack.layout.job(job).exists()
