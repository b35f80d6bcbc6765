"""Calls of another deployment's methods, with a deadline, and with errors that are ours.

A deployment's methods are declared once, as a Protocol (`deployments.interfaces`). Its replica and its client implement
it, and the client names each method by its declaration, so that mypy checks the name, the arguments and the answer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, TypeVarTuple

from ray.exceptions import RayError

from workers.common.errors import ErrorCode, OpevaError, Unavailable

Arguments = TypeVarTuple("Arguments")
T = TypeVar("T")


class Remote:
    """A deployment's handle; its Unavailable has the code `<name>_unavailable`."""

    def __init__(self, name: Literal["sites", "datasets"], handle: Any) -> None:
        self._name = name
        self._handle = handle

    async def call(
        self,
        limit_s: float,
        what: str,
        method: Callable[[Any, *Arguments], Coroutine[Any, Any, T]],
        *args: *Arguments,
    ) -> T:
        """The answer of a method of the deployment.

        Args:
            what: whom or what the call is about, for messages: `site 'living_lab'`.
            method: the method as its interface declares it: `DatasetBuilds.status`.

        Raises:
            OpevaError: what the method raised.
            Unavailable: it did not answer within `limit_s`, or the replica failed.
        """
        try:
            async with asyncio.timeout(limit_s):
                # The one place where a method is found by its name: Serve's handles have no types.
                answer: T = await getattr(self._handle, method.__name__).remote(*args)
                return answer
        except TimeoutError as error:
            raise self._unavailable(f"did not answer for {what} within {limit_s:g} s") from error
        except RayError as error:
            # Ray wraps what the replica raised.
            cause = getattr(error, "cause", None)
            if isinstance(cause, OpevaError):
                raise cause from None
            raise self._unavailable(f"failed at {what}: {type(error).__name__}") from error

    def _unavailable(self, event: str) -> Unavailable:
        sentence = f"The {self._name} deployment {event}"
        if self._name == "sites":
            return Unavailable(sentence, ErrorCode.SITES_UNAVAILABLE)
        return Unavailable(sentence, ErrorCode.DATASETS_UNAVAILABLE)
