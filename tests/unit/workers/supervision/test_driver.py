"""A job is attended on the Ray node that its host has now, though Ray may say nothing of a runner on a former one."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import ray

from tests.contracts.runner_events import check_events
from tests.harness.fake_runner import FakeRunner
from workers.common.layout import Layout
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.jobs.records import JobRecord, State
from workers.supervision import runners as runners_module
from workers.supervision.book import JobBook
from workers.supervision.driver import JobDriver
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.runners import Runners
from workers.supervision.whereabouts import Whereabouts

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"
CONTAINER = {"id": "c1", "name": "n", "job_id": JOB, "attempt": 1, "state": "running", "started_at": 5.0, "gpus": []}


class Scene:
    """A driver of one job that runs on the host `w`, which has the Ray node `old`."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        options = Options(str(root), str(root), adoption_wait_s=0.3)
        layout = Layout(root)
        layout.records.mkdir(parents=True)
        self.sent: list[FakeRunner] = []
        self.hosts = HostDirectory(options, "v")
        self.container: dict[str, Any] = dict(CONTAINER)
        record = JobRecord(
            job_id=JOB, job_name="a job", image="busybox", submitted_at=1.0, state=State.RUNNING, attempt=1,
            claimed=True, host="w", node_id="old", container_id="c1", started_at=5.0,
        )  # fmt: skip
        self.book = JobBook(layout, [record])
        self.book.journal.start()
        self.put("old")

        async def call(host: Host, timeout_s: float, method: Any, *_: object) -> Any:
            assert (method, host.node_id) == (HostAgent.listing, self.hosts.all()[0].node_id)
            return {"ok": True, "error": None, "containers": [self.container]}

        monkeypatch.setattr(self.hosts, "call", call)
        monkeypatch.setattr(runners_module, "runner_function", lambda: self)
        monkeypatch.setattr(ray, "cancel", self._cancel)
        listings, whereabouts = Listings(self.hosts, options, "i"), Whereabouts(self.book, options)
        runners = Runners(self.book, self.hosts, listings, whereabouts, options, "i")
        self.driver = JobDriver(self.book, self.hosts, listings, whereabouts, runners, lambda: None)

    def options(self, **options: Any) -> "Scene":
        self._options = options
        return self

    def remote(self, spec: dict[str, Any]) -> FakeRunner:
        self.sent.append(FakeRunner(self._options, spec))
        return self.sent[-1]

    def put(self, node_id: str, *, online: bool = True) -> None:
        self.hosts._put(Host("w", "10.0.0.2", node_id, "w", {"CPU": 2.0}, online=online, docker=True))

    async def runner(self, count: int) -> FakeRunner:
        """The newest runner, once so many were sent."""
        async with asyncio.timeout(30):
            while len(self.sent) < count:
                await asyncio.sleep(0.01)
        assert len(self.sent) == count
        return self.sent[-1]

    async def ended(self) -> JobRecord:
        async with asyncio.timeout(30):
            while not self.book.get(JOB).terminal:
                await asyncio.sleep(0.01)
        return self.book.get(JOB)

    def _cancel(self, runner: FakeRunner, *, force: bool) -> None:
        runner.canceled = not force


@pytest.mark.parametrize("state", ["running", "exited"])
@pytest.mark.parametrize("worked", [True, False], ids=["a runner that worked", "one that waited for its place"])
async def test_a_runner_on_a_node_that_the_host_no_longer_has_is_given_up_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, *, worked: bool
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.container["state"] = state
    scene.driver.drive(JOB)
    first = await scene.runner(1)
    if worked:
        first.placed()
        await asyncio.sleep(0.05)
    scene.put("new")
    second = await scene.runner(2)
    assert (first.canceled, second.canceled) == (True, False)
    assert (first.node_id, second.node_id) == ("old", "new")
    second.placed()
    second.running()
    second.exited(3)
    assert (await scene.ended()).exit_code == 3
    check_events(scene.sent[-1].events)


async def test_a_runner_is_not_given_up_while_its_host_is_only_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.driver.drive(JOB)
    runner = await scene.runner(1)
    runner.placed()
    runner.running()
    await asyncio.sleep(0.05)
    scene.put("old", online=False)
    async with asyncio.timeout(30):
        while scene.book.get(JOB).state is not State.UNKNOWN:
            await asyncio.sleep(0.01)
    scene.put("old")
    runner.exited(3)
    assert (await scene.ended()).exit_code == 3
    check_events(scene.sent[-1].events)
    assert not runner.canceled
    assert scene.sent == [runner]
