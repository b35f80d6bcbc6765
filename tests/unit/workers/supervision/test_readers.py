"""A change is told only after every copy has it."""

import asyncio

from workers.supervision.readers import Readers


async def test_an_answer_waits_until_each_reader_has_the_change() -> None:
    readers = Readers()
    readers.asks("a", 4)
    readers.asks("b", 3)
    waiting = asyncio.create_task(readers.have(4))
    await asyncio.sleep(0)
    assert not waiting.done()
    readers.asks("b", 4)
    await asyncio.wait_for(waiting, 30)


async def test_nobody_waits_where_there_is_no_reader_and_for_ever_for_none() -> None:
    readers = Readers()
    await asyncio.wait_for(readers.have(9), 30)
    readers.asks("dead", 1)
    await asyncio.wait_for(readers.have(9), 30)
