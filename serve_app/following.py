"""Logs as answers: as text up to now, as text that goes on with the job, and as server-sent events."""

import codecs
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from serve_app.services import Jobs
from serve_app.streams import HEARTBEAT, event, json_event
from workers.outputs.log_follow import FollowStatus, follow
from workers.outputs.logs import Log, lines_with_offsets

#: Logs are whatever a program writes; what leaves here is UTF-8, with U+FFFD for what is not.
TEXT: Final = "text/plain; charset=utf-8"


async def as_text(blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Blocks of bytes as blocks of valid UTF-8; a character that is cut by a block's end comes with the next block."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    async for block in blocks:
        if text := decoder.decode(block):
            yield text.encode()
    if rest := decoder.decode(b"", final=True):
        yield rest.encode()


def followed(
    jobs: Jobs, job_id: str, log: Log, start: int, *, sized: bool, heartbeat_s: float | None = None
) -> AsyncIterator[bytes]:
    """A job's log from the byte `start` on, to its end; `sized` for the log whose length the job's record gives."""

    def status() -> FollowStatus:
        record = jobs.known(job_id)
        if record is None:
            # The job was deleted: nothing will come any more.
            return FollowStatus(ended=True)
        return FollowStatus(record.terminal, record.log_bytes if sized else None)

    return follow(log, status, start=start, heartbeat_s=heartbeat_s)


async def as_events(jobs: Jobs, job_id: str, blocks: AsyncIterator[bytes], start: int) -> AsyncGenerator[bytes, None]:
    """A log's blocks from `start` on as events: one per line, whose id is the byte to go on from, and at last `end`.

    Empty blocks become heartbeats. The events of a block go out together, since each piece has its cost on the way.
    """
    yield HEARTBEAT
    batch: list[bytes] = []
    async for offset, line in lines_with_offsets(_marked(blocks), start):
        if line is not None:
            batch.append(event(line, id=str(offset)))
        elif batch:
            yield b"".join(batch)
            batch.clear()
        else:
            yield HEARTBEAT
    record = jobs.known(job_id)
    batch.append(json_event({"job_id": job_id, "status": record.state if record else "deleted"}, name="end"))
    yield b"".join(batch)


async def _marked(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`blocks` with an empty one after each, which shows where its lines end."""
    async for block in blocks:
        yield block
        if block:
            yield b""
