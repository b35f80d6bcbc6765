"""What changes something goes on to its end, whether or not its client stays."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The loop holds tasks weakly: these are the ones whose clients may have gone.
_going_on: set[asyncio.Task[Any]] = set()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is not cancelled when this request is.

    NOTE: Serve cancels a request's handler when its client disconnects, and with it the remote calls that were made in
    the request's context. So the work has a task of its own in an empty context: nothing ties it to the request.
    """
    task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_tell)
        raise


def _tell(task: asyncio.Task[Any]) -> None:
    """Log the failure of work that nobody awaits any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("A request whose client had left failed: %s", error, exc_info=error)
