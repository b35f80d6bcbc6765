"""Whether the service lives, and whether what it stands on does."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query

from serve_app.http import JSONAnswer
from serve_app.models.common import problems
from serve_app.models.hosts import Health
from serve_app.services import Here, Services
from workers.common.clock import Stopwatch
from workers.common.errors import ErrorCode, OpevaError, Unavailable
from workers.common.files import storage_error

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])


@router.get("/health", response_model=Health, responses=problems(422, 503))
async def health(
    here: Here, deep: Annotated[bool, Query(description="Ask the supervisor, storage, MongoDB and hosts too.")] = False
) -> JSONAnswer:
    """`ok` as long as this replica lives; a deep report is 503 where something that it asks is down."""
    if not deep:
        return JSONAnswer({"status": "ok"})
    report = await _report(here)
    checks = [report["supervisor"], report["storage"], report["mongo"], *report["hosts"].values()]
    down = any(check["status"] == "error" for check in checks)
    return JSONAnswer({"status": "degraded" if down else "ok", **report}, 503 if down else 200)


async def _report(here: Services) -> dict[str, Any]:
    supervisor, storage, mongo, hosts = await asyncio.gather(
        _check("The job supervisor", here, lambda: _supervisor(here)),
        _check("The shared storage", here, lambda: _storage(here)),
        _check("MongoDB", here, lambda: _mongo(here)),
        _check("The list of hosts", here, here.jobs.hosts),
    )
    listed = hosts.pop("hosts", {})
    by_name = {name: _host(name, host) for name, host in listed.items()}
    if hosts["status"] == "error" and supervisor["status"] == "ok":
        supervisor = hosts
    return {"supervisor": supervisor, "storage": storage, "mongo": mongo, "hosts": by_name}


async def _check(what: str, here: Services, ask: Callable[[], Awaitable[Mapping[str, Any]]]) -> dict[str, Any]:
    """The outcome of one check, with its latency; whatever goes wrong is the outcome, not an error of the report."""
    watch = Stopwatch()
    limit = here.settings.api.health_timeout_s
    try:
        more = await asyncio.wait_for(ask(), limit)
        outcome: dict[str, Any] = {"status": "ok", **more}
    except TimeoutError:
        outcome = {"status": "error", "detail": f"{what} did not answer within {limit:g} s"}
    except OpevaError as error:
        outcome = {"status": "error", "detail": error.detail}
    except Exception as error:
        # A report that fails at one part would say nothing of the others.
        logger.exception("The health check of %s failed", what)
        outcome = {"status": "error", "detail": f"{what}: the check failed with {type(error).__name__}"}
    return {"latency_ms": round(watch.elapsed() * 1000, 1), **outcome}


async def _supervisor(here: Services) -> dict[str, Any]:
    health = await here.jobs.health()
    if health.storage is not None:
        raise Unavailable(f"The job supervisor can't write: {health.storage}", ErrorCode.STORAGE_UNAVAILABLE)
    return {"cluster_id": health.cluster_id}


async def _storage(here: Services) -> dict[str, Any]:
    await here.on_storage(_write_and_read, here.layout.private, here.replica)
    return {}


def _write_and_read(folder: Path, replica: str) -> None:
    """Write a small file to the disk and read it back."""
    path = folder / f".health-{replica}-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with path.open("w+b") as file:
            file.write(replica.encode())
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            if file.read() != replica.encode():
                raise Unavailable(f"The shared storage at {folder} does not give back what is written to it")
        path.unlink()
    except OSError as error:
        raise storage_error(error, path) from error


async def _mongo(here: Services) -> dict[str, Any]:
    if here.settings.sites.mongo_uri is None:
        return {"status": "not_configured"}
    ping = await here.sites.ping()
    if not ping["ok"]:
        raise Unavailable(ping["error"])
    return {"ping_ms": ping["latency_ms"]}


def _host(name: str, host: dict[str, Any]) -> dict[str, Any]:
    """A host's check, from what its agent said last: agents are asked all the time."""
    known = {"online": host["online"], "docker": host["docker"], "last_seen": host["last_seen"]}
    if not host["online"]:
        return {"status": "error", "detail": f"The host {name} is not reachable", **known}
    if not host["docker"]:
        detail = host.get("docker_error") or "it does not answer"
        return {"status": "error", "detail": f"Docker is unavailable on the host {name}: {detail}", **known}
    return {"status": "ok", **known}
