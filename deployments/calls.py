"""A call of a deployment's method with a deadline, whose errors are ours."""

import asyncio
from typing import Any, Literal

from ray.exceptions import RayError

from workers.common.errors import ErrorCode, OpevaError, Unavailable

Deployment = Literal["sites", "datasets"]


async def call(handle: Any, method: str, *args: Any, limit_s: float, deployment: Deployment, what: str) -> Any:
    """What `handle.<method>.remote(*args)` answers.

    Args:
        deployment: the deployment's name; an Unavailable of ours has the code `<name>_unavailable`.
        what: whom or what the call is about, for messages: `site 'living_lab'`.

    Raises:
        OpevaError: what the method raised.
        Unavailable: it did not answer within `limit_s`, or the replica failed.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await getattr(handle, method).remote(*args)
    except TimeoutError as error:
        raise _unavailable(deployment, f"did not answer for {what} within {limit_s:g} s") from error
    except RayError as error:
        # Ray wraps what the replica raised.
        cause = getattr(error, "cause", None)
        if isinstance(cause, OpevaError):
            raise cause from None
        raise _unavailable(deployment, f"failed at {what}: {type(error).__name__}") from error


def _unavailable(deployment: Deployment, problem: str) -> Unavailable:
    sentence = f"The {deployment} deployment {problem}"
    if deployment == "sites":
        return Unavailable(sentence, ErrorCode.SITES_UNAVAILABLE)
    return Unavailable(sentence, ErrorCode.DATASETS_UNAVAILABLE)
