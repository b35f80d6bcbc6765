"""Where a job's container is, and who asks for it."""

import asyncio
import time
from typing import Any

import pytest

from workers.common.options import Options
from workers.jobs.records import JobRecord
from workers.supervision.decisions import container_of
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.whereabouts import Absence


def job(**values: Any) -> JobRecord:
    return JobRecord(job_id="j", job_name="n", image="i", submitted_at=1.0).change(**values)


def container(name: str, *, attempt: int = 1, state: str = "running", started: float | None = 5.0) -> Any:
    return {"id": name, "job_id": "j", "attempt": attempt, "state": state, "started_at": started}


OTHER = {**container("other"), "job_id": "k"}


@pytest.mark.parametrize(
    ("record", "containers", "found"),
    [
        (job(), [OTHER], None),
        (job(), [OTHER, container("a")], "a"),
        (job(), [container("never", state="created", started=None)], "never"),
        # One of an earlier attempt that started after all is the job; one that never started is rubbish.
        (job(attempt=2), [container("early")], "early"),
        (job(attempt=2), [container("early", state="created", started=None)], None),
        (job(attempt=2), [container("early", state="exited"), container("now", attempt=2)], "now"),
        (job(container_id="known"), [container("known", state="exited"), container("stray")], "known"),
    ],
)
def test_a_jobs_container_is_the_one_on_record_or_the_one_that_started(
    record: JobRecord, containers: list[Any], found: str | None
) -> None:
    seen = container_of(record, containers)
    assert (seen and seen["id"]) == found


def test_a_wall_clock_that_steps_makes_no_absence_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    absence = Absence(time.time() - 10.0)
    real = time.time
    for step in (1e6, -1e6):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        assert 10.0 <= absence.seconds() < 1000.0
    assert Absence(real() + 1e6).seconds() < 1000.0


class SlowAgent(HostDirectory):
    """One host whose agent answers when it is told to, with the number of the question."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = asyncio.Event()

    async def call(self, host: Host, timeout_s: float, method: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        number = self.asked
        await self.answer.wait()
        return {"ok": True, "error": None, "containers": [{"id": str(number)}]}


async def test_one_list_answers_all_who_ask_meanwhile_and_a_fresh_one_is_begun_after_the_question() -> None:
    agent = SlowAgent()
    listings = Listings(agent, Options(shared_root="/r", host_shared_root="/r"), "c")
    host = Host("h", "10.0.0.1", "n", "h")
    asking = [asyncio.create_task(listings.of(host)) for _ in range(20)]
    await asyncio.sleep(0)
    fresh = [asyncio.create_task(listings.of(host, fresh=True)) for _ in range(20)]
    await asyncio.sleep(0)
    agent.answer.set()
    assert {answer[0]["id"] for answer in await asyncio.gather(*asking) if answer} == {"1"}
    assert {answer[0]["id"] for answer in await asyncio.gather(*fresh) if answer} == {"2"}
    assert agent.asked == 2
