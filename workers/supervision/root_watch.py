"""Watches that the shared root stays the installation's: a mount may go, or another come in its place, at any moment.

While it is not, nothing is written, swept or claimed there: what is known of the jobs is in memory, and reads go on.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from workers.common import identity
from workers.common.errors import ErrorCode, OpevaError, Unavailable
from workers.common.layout import Layout

logger = logging.getLogger(__name__)

#: How often the root is looked at.
LOOK_EVERY_S = 1.0
#: A root that is another installation's for so many looks in a row will not change back by itself.
OTHER_FOR_SURE = 5


class RootWatch:
    """Whether the root bears the installation's id. `problem` is what is wrong there, or None."""

    def __init__(self, layout: Layout, cluster_id: str, timeout_s: float) -> None:
        self._layout = layout
        self._cluster_id = cluster_id
        self._timeout_s = timeout_s
        # One thread: where the storage hangs, looks must not pile up.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="root")
        self._others = 0
        self.problem: OpevaError | None = None
        #: Called when `problem` came, changed or went.
        self.on_change: Callable[[], None] = lambda: None
        #: Called while the root is, and stays, another installation's.
        self.on_other: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Look now, in the caller's thread. Raises Unavailable (`shared_root_missing`, `storage_unavailable`)."""
        found = identity.read(self._layout)
        if found == self._cluster_id:
            return
        if found is None:
            raise Unavailable(
                f"{self._layout.root} does not hold this installation any more: is the shared folder mounted?",
                ErrorCode.SHARED_ROOT_MISSING,
            )
        raise Unavailable(f"{self._layout.root} holds another installation ({found})", ErrorCode.SHARED_ROOT_OTHER)

    async def checked(self) -> None:
        """As `check`, with a deadline, for the event loop."""
        await self._look()
        if self.problem is not None:
            raise type(self.problem)(self.problem.detail, self.problem.code)

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        looking = asyncio.get_running_loop().run_in_executor(self._thread, self.check)
        try:
            await asyncio.wait_for(looking, self._timeout_s)
        except OpevaError as error:
            self._others = self._others + 1 if error.code == ErrorCode.SHARED_ROOT_OTHER else 0
            self._note(error)
        except TimeoutError:
            self._note(
                Unavailable(
                    f"The shared storage at {self._layout.root} did not answer within {self._timeout_s:g} s",
                    ErrorCode.STORAGE_UNAVAILABLE,
                )
            )
        else:
            self._others = 0
            self._note(None)
        if self._others >= OTHER_FOR_SURE:
            self.on_other()

    def _note(self, problem: OpevaError | None) -> None:
        before, self.problem = self.problem, problem
        if (before and before.detail) != (problem and problem.detail):
            if problem is None:
                logger.info("%s is this installation's again", self._layout.root)
            else:
                logger.error("Nothing is written: %s", problem.detail)
            self.on_change()
