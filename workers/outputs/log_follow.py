"""Following a log while its job runs, to its true end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from workers.common.clock import Deadline, Stopwatch
from workers.common.errors import OpevaError
from workers.outputs.logs import Log, read

logger = logging.getLogger(__name__)

#: Pauses between two looks at a log that does not grow: short at first, longer the longer nothing comes.
POLL_S: Final = 0.1
POLL_MAX_S: Final = 0.8
#: How long after a job's end its log may take to be visible here as a whole; shared storage lags.
VISIBLE_DEADLINE_S: Final = 15.0
#: The same where nobody knows the log's length.
SETTLE_S: Final = 1.0


@dataclass(frozen=True)
class FollowStatus:
    """What a follower needs to know of the job."""

    ended: bool
    #: The log's length, known at the end of a job whose log was copied completely.
    log_bytes: int | None = None


async def follow(
    log: Log,
    status: Callable[[], FollowStatus],
    *,
    start: int = 0,
    heartbeat_s: float | None = None,
    visible_deadline_s: float = VISIBLE_DEADLINE_S,
    settle_s: float = SETTLE_S,
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[bytes]:
    """The log from `start` on, in blocks, as it grows.

    It ends when the job has ended and `log_bytes` are delivered, or when after the job's end nothing new came for
    `visible_deadline_s` (for `settle_s` where the length is not known). The log need not exist yet; if it is cut back
    and written again, as a resumed copy does, reading goes on where it was. No descriptor is held while it waits.

    Args:
        heartbeat_s: after so many seconds without output an empty block is given.
        wait: how to pause; it may return early, when the job's state changes.

    Raises:
        Unavailable: the storage failed for longer than `visible_deadline_s`.
    """
    offset = start
    pause = POLL_S
    quiet = Stopwatch()
    end: Deadline | None = None
    broken: Deadline | None = None
    while True:
        # Asked before the read: what was written before the end is then read before the end is believed.
        seen = status()
        try:
            block = await asyncio.to_thread(read, log, offset)
            broken = None
        except OpevaError:
            block = b""
            if broken is None:
                broken = Deadline(visible_deadline_s)
            elif broken.passed():
                raise
        if block:
            offset += len(block)
            pause = POLL_S
            end = None
            yield block
            quiet = Stopwatch()
            continue
        if seen.ended and broken is None:
            if seen.log_bytes is not None and offset >= seen.log_bytes:
                return
            if end is None:
                end = Deadline(settle_s if seen.log_bytes is None else visible_deadline_s)
            elif end.passed():
                if seen.log_bytes is not None:
                    logger.warning("Of a log of %d bytes only %d are visible", seen.log_bytes, offset)
                return
        if heartbeat_s is not None and quiet.elapsed() >= heartbeat_s:
            yield b""
            quiet = Stopwatch()
        await wait(pause)
        pause = min(POLL_MAX_S, pause * 1.5)
