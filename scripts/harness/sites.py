"""The sites without Ray: the deployment's replica in this process, its routes as an app, a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from deployments.sites import SitesReplica
from deployments.sites_client import SitesClient
from serve_app import errors
from serve_app.routers import sites
from workers.sites.options import SitesOptions


class LocalHandle:
    """Calls a replica in this process as a Serve handle calls one in another."""

    def __init__(self, replica: SitesReplica) -> None:
        self._replica = replica

    def __getattr__(self, name: str) -> "LocalMethod":
        return LocalMethod(getattr(self._replica, name))


class LocalMethod:
    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self._method = method

    def remote(self, *args: Any) -> Awaitable[Any]:
        return self._method(*args)


@asynccontextmanager
async def local_sites(options: SitesOptions) -> AsyncIterator[SitesClient]:
    """A client of a replica in this process."""
    replica = SitesReplica(options.to_dict(), host="127.0.0.1")
    try:
        yield SitesClient(LocalHandle(replica), options)
    finally:
        replica.close()


@asynccontextmanager
async def sites_api(options: SitesOptions) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes of sites, over a replica in this process."""
    async with local_sites(options) as client:
        app = FastAPI()
        app.state.services = SimpleNamespace(sites=client)
        errors.install(app)
        app.include_router(sites.router)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sites", timeout=120) as api:
            yield api
