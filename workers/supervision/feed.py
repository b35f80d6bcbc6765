"""What changed among the jobs, in order, for those who keep a copy."""

import asyncio
import uuid
from collections import OrderedDict

from workers.common.clock import Deadline


class ChangeFeed:
    """Numbers each change of a job; readers ask what came after the number they know.

    Only the last change of each job is kept, so a reader that was away gets each job once, as it stands now. A feed has
    an `epoch`: numbers of another epoch mean nothing here, and such a reader starts over.
    """

    def __init__(self) -> None:
        self.epoch = uuid.uuid4().hex
        self.number = 0
        self._last: OrderedDict[str, int] = OrderedDict()
        self._changed = asyncio.Event()

    def note(self, key: str) -> None:
        """Count a change of `key` (a job that was made, changed or removed)."""
        self.number += 1
        self._last[key] = self.number
        self._last.move_to_end(key)
        self._changed.set()

    def touch(self) -> None:
        """Wake the readers for something beside the jobs that their answer has too (the hosts)."""
        self.number += 1
        self._changed.set()

    def number_of(self, key: str) -> int:
        """The number of the last change of `key`; 0 if it never changed."""
        return self._last.get(key, 0)

    def after(self, number: int) -> list[str]:
        """The keys that changed after `number`, oldest change first."""
        keys: list[str] = []
        for key in reversed(self._last):
            if self._last[key] <= number:
                break
            keys.append(key)
        keys.reverse()
        return keys

    async def wait(self, number: int, timeout_s: float) -> bool:
        """Wait until something changed after `number`; False if nothing did within `timeout_s`."""
        deadline = Deadline(timeout_s)
        while self.number <= number:
            if deadline.passed():
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline.left())
            except TimeoutError:
                return self.number > number
        return True
