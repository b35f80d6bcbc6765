"""Calls of a deployment: its answers and errors as they are, its silence and its failures as Unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from deployments.calls import Remote
from deployments.interfaces import DatasetBuilds
from workers.common.errors import NotFound, Unavailable


class Handle:
    """A Serve handle whose method `status` does what a test says."""

    def __init__(self, status: Callable[[str], Awaitable[Any]]) -> None:
        self.status = Method(status)


class Method:
    def __init__(self, work: Callable[[str], Awaitable[Any]]) -> None:
        self.remote = work


async def status(work: Callable[[str], Awaitable[Any]], limit_s: float = 60.0) -> Any:
    return await Remote("datasets", Handle(work)).call(limit_s, "dataset 'june'", DatasetBuilds.status, "june")


async def test_a_call_has_the_arguments_and_the_answer_of_the_method() -> None:
    async def replica(name: str) -> dict[str, str]:
        return {"name": name}

    assert await status(replica) == {"name": "june"}


async def test_what_the_replica_raised_is_raised() -> None:
    async def replica(name: str) -> None:
        raise RayTaskError("status", "a trace", NotFound(f"There is no {name}", "dataset_not_found"))

    with pytest.raises(NotFound, match="There is no june") as raised:
        await status(replica)
    assert raised.value.code == "dataset_not_found"


async def test_a_replica_that_is_silent_or_lost_is_unavailable() -> None:
    async def silent(_: str) -> None:
        await asyncio.sleep(60)

    async def lost(_: str) -> None:
        raise RayActorError

    with pytest.raises(Unavailable, match=r"datasets .* not answer for dataset 'june' within 0\.01 s") as late:
        await status(silent, 0.01)
    with pytest.raises(Unavailable, match="datasets deployment failed at dataset 'june': RayActorError") as failed:
        await status(lost)
    assert late.value.code == failed.value.code == "datasets_unavailable"
