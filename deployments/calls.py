"""A call of a deployment's method with a deadline, whose errors are ours."""

import asyncio
from typing import Any

from ray.exceptions import RayError

from workers.common.errors import OpevaError, Unavailable


async def call(handle: Any, method: str, *args: Any, limit_s: float, deployment: str, what: str) -> Any:
    """What `handle.<method>.remote(*args)` answers.

    Args:
        deployment: the deployment's name, `sites` or `datasets`; the reason of an Unavailable is `<name>_unavailable`.
        what: whom or what the call is about, for messages: `site 'living_lab'`.

    Raises:
        OpevaError: what the method raised.
        Unavailable: it did not answer within `limit_s`, or the replica failed.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await getattr(handle, method).remote(*args)
    except TimeoutError as error:
        raise Unavailable(
            f"The {deployment} deployment did not answer for {what} within {limit_s:g} s", f"{deployment}_unavailable"
        ) from error
    except RayError as error:
        # Ray wraps what the replica raised.
        cause = getattr(error, "cause", None)
        if isinstance(cause, OpevaError):
            raise cause from None
        raise Unavailable(
            f"The {deployment} deployment failed at {what}: {type(error).__name__}", f"{deployment}_unavailable"
        ) from error
