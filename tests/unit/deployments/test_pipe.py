"""The pipe between replicas: whole or known not to be, as slow as its reader, and gone when that is gone."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from deployments.pipe import PipeReader, PipeServer, Ticket
from workers.common.errors import Unavailable

#: What a test waits for comes at once; this is for a machine that is busy with something else.
PATIENCE = 60.0


@pytest.fixture
async def server() -> AsyncIterator[PipeServer]:
    server = PipeServer("127.0.0.1", limit=2, stall_timeout_s=PATIENCE)
    yield server
    server.close()


async def fetch(ticket: Ticket) -> PipeReader:
    return await PipeReader.fetch(ticket, connect_timeout_s=PATIENCE, timeout_s=PATIENCE, what="a test")


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


async def test_a_stream_arrives_as_it_was_made(server: PipeServer) -> None:
    blocks = [b"a", b"", b"b" * 1_000_000, b"c"]
    reader = await fetch(server.offer(iter(blocks)))
    assert b"".join([frame async for frame in reader]) == b"".join(blocks)


async def test_a_slow_reader_holds_its_producer_back(server: PipeServer) -> None:
    made = 0
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 1
                yield b"x" * 262_144
        finally:
            ended.set()

    reader = await fetch(server.offer(endless()))
    seen = -1
    while made != seen:  # until the buffers of both ends are full
        seen = made
        await asyncio.sleep(0.5)
    # A few megabytes are on the way; what an endless producer could make meanwhile is hundreds of times that.
    assert made < 100
    await anext(reader)
    await reader.aclose()
    await until(ended)


async def test_a_producer_that_fails_is_not_taken_for_the_end(server: PipeServer) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise ValueError("the source broke")

    reader = await fetch(server.offer(broken()))
    assert await anext(reader) == b"some"
    with pytest.raises(Unavailable, match="broke off"):
        await anext(reader)


async def test_a_stream_is_given_once_and_only_for_its_token(server: PipeServer) -> None:
    ticket = server.offer(iter([b"secret"]))
    with pytest.raises(Unavailable):
        await fetch({**ticket, "token": bytes(32)})
    reader = await fetch(ticket)
    assert [frame async for frame in reader] == [b"secret"]
    with pytest.raises(Unavailable):
        await fetch(ticket)


async def test_more_streams_than_are_served_at_once_are_refused_until_one_ends(server: PipeServer) -> None:
    readers = [await fetch(server.offer(iter([b"1", b"2"] * 100_000))) for _ in range(2)]
    with pytest.raises(Unavailable, match="2 streams"):
        server.offer(iter([]))
    for reader in readers:
        await reader.aclose()
    for _ in range(int(PATIENCE * 10)):
        try:
            reader = await fetch(server.offer(iter([b"next"])))
            break
        except Unavailable:
            await asyncio.sleep(0.1)
    assert [frame async for frame in reader] == [b"next"]


async def test_a_server_that_is_gone_is_said_to_be(server: PipeServer) -> None:
    ticket = server.offer(iter([]))
    server.close()
    with pytest.raises(Unavailable, match="a test"):
        await fetch(ticket)
