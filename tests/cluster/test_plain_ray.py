"""The plain ways of Ray: the wheel alone, `ray start` in an empty folder, `serve deploy`, workers by `ray start`."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest
import yaml

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.session import SessionStack
from scripts.harness.titles import REPLICA
from scripts.stack.plan import PROJECT
from scripts.stack.ports import reserved_base
from tests.citylearn import documents
from tests.cluster.joining import bring_busybox, owner, prepare_machine
from tests.cluster.plain import WHEEL, PlainCluster, PlainWorker, plan_beside
from tests.faults.faults import kill_processes

START = datetime(2025, 6, 7, tzinfo=UTC)
SITE = "plain_site"
#: The package as `pip install` put it there.
INSTALLED = WHEEL / "lib" / "python3.11" / "site-packages"
#: Holds both CPUs of the head until it is ended.
HOLD = """
import ray, time
ray.init(address={address!r}, log_to_driver=False)
head = next(n["NodeID"] for n in ray.nodes() if n["Alive"] and "node:__internal_head__" in n["Resources"])
@ray.remote(num_cpus=2)
class Holder:
    def ready(self):
        return True
holder = Holder.options(label_selector={{"ray.io/node-id": head}}).remote()
ray.get(holder.ready.remote(), timeout=120)
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def plain_cluster(running: SessionStack, folder: Path, **values: Any) -> Iterator[PlainCluster]:
    subprocess.run([PROJECT / "scripts" / "setup.sh", "wheel"], check=True, timeout=1800)
    with reserved_base() as base:
        plan = plan_beside(folder, running.plan.node_ip, base)
        plan.shared_root.mkdir(parents=True)
        plan = plan.with_settings(**running.plan.settings)
        cluster = PlainCluster(plan, running.stack.mongo_uri, **values)
        try:
            cluster.up()
            yield cluster
        finally:
            with Api(cluster.api_url) as api:
                jobs.stop_all(api)
            cluster.down()


@pytest.fixture(scope="module")
def cluster(running: SessionStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCluster]:
    with plain_cluster(running, tmp_path_factory.mktemp("plain")) as cluster:
        yield cluster


@pytest.fixture
def api(cluster: PlainCluster) -> Iterator[Api]:
    with Api(cluster.api_url) as api:
        yield api


@pytest.fixture
def site(running: SessionStack) -> Iterator[str]:
    """A site with three days of two buildings."""
    with pymongo.MongoClient[dict[str, Any]](running.stack.mongo_uri) as client:
        database = client[SITE]
        for collection, stored in documents.site(START, 3, {"A": "flat", "B": "nested"}, chargers=True).items():
            database[collection].insert_many(stored)
        database["schema"].insert_one({"_id": "schema", "schema": documents.schema(chargers=True)})
        yield SITE
        client.drop_database(SITE)


@pytest.fixture(scope="module")
def worker(running: SessionStack, cluster: PlainCluster) -> Iterator[PlainWorker]:
    """A machine that joined by `ray start --address` alone, with a resource and a label of its operator's."""
    prepare_machine()
    options = ("--resources", '{"gpu_node": 1}', "--labels", "rack=7")
    with PlainWorker(cluster.stack, running.number + 7, "lab-plain", owner=owner(), options=options) as worker:
        bring_busybox(worker)
        with Api(cluster.api_url) as api:
            eventually(lambda: host(api, worker.name), lambda it: it and it["problem"] is None, what="an able worker")
        yield worker


def host(api: Api, name: str) -> dict[str, Any]:
    seen: dict[str, Any] = api.json("/hosts")["hosts"].get(name, {})
    return seen


def test_serve_deploy_on_a_plain_ray_builds_a_dataset_and_a_job_runs_on_it(api: Api, site: str, image: str) -> None:
    built = api.post("/dataset", json={"name": "first", "site_id": site}, timeout=300)
    assert built.status_code == 200, built.text
    config = yaml.safe_load((WHEEL / "share" / "opeva" / "configs" / "demo.yaml").read_text())
    config["simulator"] |= {"dataset_name": "first", "dataset_path": "/data/datasets/first/schema.json"}
    body = {"config": config, "image": image, "resources": {"cpus": 1}}
    answer = api.post("/run-simulation", json=body)
    assert answer.status_code == 200, answer.text
    job = answer.json()["job_id"]
    ended = jobs.wait_for(api, job)
    assert ended["status"] == "finished", (ended, api.get(f"/logs/{job}").text)
    assert api.json(f"/result/{job}")["District"]


def test_what_the_wheel_installs_says_the_version_that_the_application_has(api: Api) -> None:
    program = "import importlib.metadata as m; print(m.version('opeva-backend'), end='')"
    installed = subprocess.run([WHEEL / "bin" / "python", "-c", program], check=True, capture_output=True, text=True)
    for version in (api.json("/")["version"], api.json("/openapi.json")["info"]["version"]):
        assert version.split("+")[0] == installed.stdout


@pytest.mark.parametrize("target", ["lab-plain", "gpu_node", "rack"])
def test_a_plain_worker_runs_a_job_by_its_hostname_and_by_what_its_operator_gave_it(
    api: Api, worker: PlainWorker, target: str
) -> None:
    job, ended = jobs.run(api, "echo here", target_host=target)
    assert (ended["status"], ended["host"]) == ("finished", worker.name)
    assert api.get(f"/logs/{job}").text == "here\n"


def test_a_plain_worker_takes_what_the_head_has_no_room_for_and_stops_it(api: Api, worker: PlainWorker) -> None:
    running = [jobs.submit(api, jobs.SLEEP, resources={"cpus": 1}) for _ in range(2 + worker.num_cpus)]
    try:
        hosts = sorted(jobs.wait_for(api, job, "running")["host"] for job in running)
        assert hosts.count(worker.name) == worker.num_cpus
        late = jobs.submit(api, "echo late", resources={"cpus": 1})
        waiting = eventually(lambda: jobs.status(api, late), lambda seen: seen["reason"], what="a reason to wait")
        assert waiting["reason"] == "waiting_for_room"
    finally:
        jobs.stop_all(api)
    assert {jobs.status(api, job)["status"] for job in running} == {"stopped"}


def test_a_worker_without_the_shared_folder_says_so_and_gets_no_job(
    running: SessionStack, cluster: PlainCluster, api: Api
) -> None:
    prepare_machine()
    hidden = (str(cluster.plan.shared_root),)
    with PlainWorker(cluster.stack, running.number + 8, "lab-bare", owner=owner(), hidden=hidden) as bare:
        seen = eventually(lambda: host(api, bare.name), lambda it: "folder" in (it.get("problem") or ""))
        problem = str(seen["problem"])
        assert problem.startswith(f"The shared folder is not at {cluster.plan.shared_root} on host lab-bare")
        job = jobs.submit(api, target_host="lab-bare")
        seen = eventually(lambda: jobs.status(api, job), lambda seen: seen["reason"], what="a reason to wait")
        assert (seen["status"], seen["reason"]) == ("queued", "storage_unavailable")
        assert problem in seen["detail"]
        api.post(f"/stop/{job}")


@contextmanager
def edited() -> Iterator[str]:
    """The installed package with another title, as an upgrade in place makes it; gives the title."""
    module = INSTALLED / "serve_app" / "app.py"
    content = module.read_text()
    # If this test is killed, the next set-up installs the package anew.
    marker = WHEEL / ".installed"
    installed = marker.read_text()
    marker.unlink()
    try:
        assert '_TITLE = "OPEVA"' in content
        module.write_text(content.replace('_TITLE = "OPEVA"', '_TITLE = "EDITED"'))
        yield "EDITED"
    finally:
        module.write_text(content)
        marker.write_text(installed)


class Answers:
    """Asks the API for its title all the time; what was answered, in order, without repeats."""

    def __init__(self, url: str) -> None:
        self.titles: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Answers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)

    def _ask(self) -> None:
        with Api(self._url) as api:
            while not self._over.is_set():
                title = eventually(lambda: api.get("/", timeout=10), lambda answer: answer.ok, what="an answer").json()
                if self.titles[-1:] != [title["name"]]:
                    self.titles.append(title["name"])
                time.sleep(0.05)


def renewed(api: Api, cluster: PlainCluster, title: str) -> None:
    eventually(lambda: api.json("/")["name"], lambda name: name == title, what=f"an answer of {title}")
    eventually(cluster.status, lambda seen: seen["status"] == "RUNNING", what="the application renewed")


def test_an_edit_is_answered_by_after_serve_deploy_and_by_no_replica_before(cluster: PlainCluster, api: Api) -> None:
    job = jobs.submit(api, jobs.SLEEP)
    jobs.wait_for(api, job, "running")
    with edited() as title:
        with Answers(cluster.api_url) as answers:
            for _ in range(2):
                kill_processes(cluster.stack, REPLICA, most=1)
                eventually(lambda: len(cluster.stack.pids(REPLICA)) == 2, what="two replicas")
                time.sleep(3)
            assert answers.titles == ["OPEVA"]
            cluster.deploy()
            renewed(api, cluster, title)
            kill_processes(cluster.stack, REPLICA, most=1)
            eventually(lambda: len(cluster.stack.pids(REPLICA)) == 2, what="two replicas")
        assert answers.titles == ["OPEVA", title]
        assert jobs.status(api, job)["status"] == "running"
    with Answers(cluster.api_url) as answers:
        cluster.deploy()
        renewed(api, cluster, "OPEVA")
    assert answers.titles[-1] == "OPEVA"
    api.post(f"/stop/{job}")
    assert jobs.wait_for(api, job)["status"] == "stopped"


def test_an_application_is_built_on_the_head_though_that_is_busy_and_a_plain_worker_idle(
    cluster: PlainCluster, api: Api, worker: PlainWorker
) -> None:
    """Serve's build takes no CPU, and Ray sends what takes none away from a node that is full."""
    held = subprocess.Popen(
        [WHEEL / "bin" / "python", "-c", HOLD.format(address=cluster.stack.ray_address)],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with edited() as title:
            cluster.deploy()
            renewed(api, cluster, title)
    finally:
        held.kill()
        held.wait(60)
        cluster.deploy()
    renewed(api, cluster, "OPEVA")


@pytest.mark.long
def test_it_works_with_a_token_with_a_proxy_on_every_node_and_with_a_head_that_lends_no_cpu(
    running: SessionStack, tmp_path: Path
) -> None:
    prepare_machine()
    options = {"token": "a-token-of-this-test", "options": ("--num-cpus", "0"), "changes": (("HeadOnly", "EveryNode"),)}
    with plain_cluster(running, tmp_path, **options) as cluster, Api(cluster.api_url) as api:
        job = jobs.submit(api, "echo here", resources={"cpus": 1})
        seen = eventually(
            lambda: jobs.status(api, job), lambda seen: seen["reason"] == "unschedulable", what="a reason"
        )
        assert seen["detail"].startswith("No host is large enough for 1 CPUs (")
        with PlainWorker(cluster.stack, running.number + 9, "lab-token", owner=owner(), token=cluster.token) as worker:
            bring_busybox(worker)
            ended = jobs.wait_for(api, job)
            assert (ended["status"], ended["host"]) == ("finished", "lab-token"), ended


def test_serve_build_writes_a_config_of_the_application_without_a_cluster(tmp_path: Path) -> None:
    subprocess.run([PROJECT / "scripts" / "setup.sh", "wheel"], check=True, timeout=1800)
    made = tmp_path / "built.yaml"
    subprocess.run(
        [WHEEL / "bin" / "serve", "build", "serve_app.app:application", "-o", made],
        cwd=tmp_path,
        env={"PATH": f"{WHEEL / 'bin'}:/usr/bin:/bin", "OPEVA_SHARED_ROOT": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
        timeout=300,
        capture_output=True,
    )
    (application,) = yaml.safe_load(made.read_text())["applications"]
    assert sorted(one["name"] for one in application["deployments"]) == ["api", "datasets", "sites"]
