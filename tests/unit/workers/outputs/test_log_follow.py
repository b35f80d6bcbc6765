"""Following a log ends at its true end, whatever happens to the file meanwhile, and holds nothing open."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from workers.common.errors import Unavailable
from workers.common.layout import Layout
from workers.outputs import log_follow
from workers.outputs.log_follow import FollowStatus, follow
from workers.outputs.logs import ContainerLog, SimulationLog

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"
#: For tests in which a deadline must not play a part, and for those in which it must.
LONG, AT_ONCE = 1e6, 0.0


class Play:
    """A follower's surroundings: each wait runs the next act, so that a test tells what happens when, without time."""

    def __init__(self, layout: Layout) -> None:
        self.path = layout.container_log(JOB)
        self.status = FollowStatus(ended=False)
        self.acts: list[Callable[[], object]] = []
        self.waits = 0

    async def wait(self, _: float) -> None:
        self.waits += 1
        assert self.waits < 100, "the follower does not end"
        if self.acts:
            self.acts.pop(0)()

    def append(self, content: bytes) -> Callable[[], object]:
        def act() -> None:
            with self.path.open("ab") as file:
                file.write(content)

        return act

    def end(self, log_bytes: int | None = None) -> Callable[[], object]:
        def act() -> None:
            self.status = FollowStatus(ended=True, log_bytes=log_bytes)

        return act


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.logs(JOB).mkdir(parents=True)
    return layout


@pytest.fixture
def play(layout: Layout) -> Play:
    return Play(layout)


@pytest.fixture
def run(layout: Layout, play: Play) -> Callable[..., Awaitable[bytes]]:
    async def collect(start: int = 0, visible_deadline_s: float = LONG, settle_s: float = AT_ONCE) -> bytes:
        got = b""
        async for block in follow(
            ContainerLog(layout, JOB),
            lambda: play.status,
            start=start,
            visible_deadline_s=visible_deadline_s,
            settle_s=settle_s,
            wait=play.wait,
        ):
            got += block
        return got

    return collect


Run = Callable[..., Awaitable[bytes]]


async def test_a_log_is_followed_from_before_it_exists_to_its_last_line(play: Play, run: Run) -> None:
    play.acts = [play.append(b"one\n"), play.append(b"two"), play.append(b"\nlast"), play.end(12)]
    assert await run() == b"one\ntwo\nlast"


async def test_the_end_is_believed_only_when_every_byte_is_there(play: Play, run: Run) -> None:
    play.acts = [play.append(b"one\n"), play.end(8), lambda: None, lambda: None, play.append(b"last")]
    assert await run() == b"one\nlast"


async def test_bytes_that_never_become_visible_are_waited_for_no_longer_than_the_deadline(play: Play, run: Run) -> None:
    play.acts = [play.append(b"one\n"), play.end(100)]
    assert await run(visible_deadline_s=AT_ONCE) == b"one\n"


async def test_where_nobody_knows_the_length_what_is_there_is_drained(play: Play, run: Run) -> None:
    play.path.write_bytes(b"x" * 1_000_000)
    play.status = FollowStatus(ended=True)
    assert len(await run()) == 1_000_000


async def test_following_a_job_that_ended_without_output_ends(play: Play, run: Run) -> None:
    play.status = FollowStatus(ended=True, log_bytes=0)
    assert await run() == b""
    assert play.waits == 0
    play.status = FollowStatus(ended=True)
    assert await run() == b""


async def test_a_follower_that_resumes_gets_what_follows_its_offset(play: Play, run: Run) -> None:
    play.path.write_bytes(b"one\ntwo\n")
    play.status = FollowStatus(ended=True, log_bytes=8)
    assert await run(start=4) == b"two\n"
    assert await run(start=8) == b""
    assert await run(start=20) == b""


async def test_a_log_that_is_cut_back_and_written_again_goes_on_where_it_was(play: Play, run: Run) -> None:
    play.path.write_bytes(b"one\ntwo\n")
    play.acts = [
        lambda: os.truncate(play.path, 4),
        play.append(b"two\nthree\n"),
        lambda: play.path.unlink(),
        lambda: None,
        lambda: play.path.write_bytes(b"one\ntwo\nthree\nfour\n"),
        play.end(19),
    ]
    assert await run() == b"one\ntwo\nthree\nfour\n"


async def test_a_storage_that_fails_for_a_moment_is_waited_for_and_for_good_is_told(
    play: Play, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    play.path.write_bytes(b"one\n")
    real = os.pread
    failing = True

    def recover() -> None:
        nonlocal failing
        failing = False

    def read(descriptor: int, size: int, offset: int) -> bytes:
        if failing:
            raise OSError(116, "Stale file handle")
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", read)
    play.status = FollowStatus(ended=True, log_bytes=4)
    play.acts = [lambda: None, recover]
    assert await run() == b"one\n"
    failing = True
    with pytest.raises(Unavailable, match=r"container\.log"):
        await run(visible_deadline_s=AT_ONCE)


async def test_the_simulations_own_log_is_followed_from_when_there_is_one(layout: Layout, play: Play) -> None:
    play.path = layout.simulation_log(JOB)
    play.acts = [play.path.touch, play.append(b"own\n"), play.append(b"last"), play.end()]
    blocks = [b async for b in follow(SimulationLog(layout, JOB), lambda: play.status, settle_s=0, wait=play.wait)]
    assert b"".join(blocks) == b"own\nlast"


async def test_heartbeats_come_while_nothing_is_written(layout: Layout, play: Play) -> None:
    play.acts = [lambda: None, lambda: None, play.append(b"x"), play.end(1)]
    source = follow(ContainerLog(layout, JOB), lambda: play.status, heartbeat_s=0, wait=play.wait)
    blocks = [block async for block in source]
    assert blocks.index(b"x") == 3
    assert set(blocks) == {b"", b"x"}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_followers_that_are_dropped_leave_no_descriptor(layout: Layout, play: Play) -> None:
    play.path.write_bytes(b"begin\n")
    before = descriptors()

    async def watch(begun: asyncio.Event) -> None:
        async for _ in follow(ContainerLog(layout, JOB), lambda: play.status):
            begun.set()

    events = [asyncio.Event() for _ in range(50)]
    watchers = [asyncio.create_task(watch(event)) for event in events]
    async with asyncio.timeout(60):
        for event in events:
            await event.wait()
    for watcher in watchers:
        watcher.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*watchers, return_exceptions=True))
    # Reads that were under way in threads close what they opened.
    async with asyncio.timeout(60):
        while descriptors() > before:
            await asyncio.sleep(0.02)


async def test_pauses_grow_while_nothing_comes_and_are_short_again_after_output(layout: Layout, play: Play) -> None:
    pauses: list[float] = []

    async def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 12:
            play.append(b"x")()
        elif len(pauses) == 14:
            play.status = FollowStatus(ended=True, log_bytes=1)

    assert [b async for b in follow(ContainerLog(layout, JOB), lambda: play.status, wait=wait)] == [b"x"]
    assert pauses[0] == pauses[12] == log_follow.POLL_S
    assert pauses[11] == log_follow.POLL_MAX_S
    assert pauses[:12] == sorted(pauses[:12])
