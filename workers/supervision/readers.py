"""Who keeps a copy of the jobs, and how far each has come.

An API process keeps a copy of the jobs and is a reader. A call that changes a job is answered only when the copies have
the change too: a client that is served by one API process now and by another one next must not see time go backwards.
For example after `POST /stop/{id}`, a `GET /status/{id}` at any replica says `stop_requested`
(`test_an_answer_waits_until_each_reader_has_the_change`).
"""

import asyncio

from workers.common.clock import Deadline, Stopwatch

#: A reader that did not ask for so long is gone, and nobody waits for it.
GONE_S = 5.0
#: The longest that an answer waits for the copies.
PATIENCE_S = 0.5


class Readers:
    """The readers of a feed. A reader that asks for what came after a number has all up to it."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int, Stopwatch]] = {}
        self._came = asyncio.Event()

    def asks(self, reader: str, number: int) -> None:
        """Note that a reader has all up to `number`."""
        self._asked[reader] = (number, Stopwatch())
        self._came.set()

    async def have(self, number: int) -> None:
        """Wait until every reader has all up to `number`, as long as patience goes."""
        deadline = Deadline(PATIENCE_S)
        while self._behind(number) and not deadline.passed():
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), deadline.left())
            except TimeoutError:
                return

    def _behind(self, number: int) -> bool:
        self._asked = {reader: seen for reader, seen in self._asked.items() if seen[1].elapsed() < GONE_S}
        return any(has < number for has, _ in self._asked.values())
