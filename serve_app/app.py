"""The application: what `serve deploy` builds, and the HTTP app that each replica builds from it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI
from ray.serve import Application
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from deployments import api, datasets, renewal, sites
from deployments.datasets_client import DatasetsClient
from deployments.placing import frozen_code
from deployments.sites_client import SitesClient
from serve_app import docs, errors
from serve_app.auth import BearerAuth, TokenFile
from serve_app.head_requests import HeadAsGet
from serve_app.http import JSONAnswer
from serve_app.limits import BodyLimit
from serve_app.routers import configs, health, hosts, job_files, jobs, logs
from serve_app.routers import datasets as dataset_routes
from serve_app.routers import sites as site_routes
from serve_app.services import Services
from serve_app.settings import Settings
from serve_app.timing import ServerTiming
from workers.common.version import full_version
from workers.supervision.client import JobsClient

_TITLE = "OPEVA"
_ABOUT = (
    "Trains and evaluates energy-management algorithms on communities of buildings: runs simulations in containers on "
    "the hosts of a Ray cluster, follows them to their end, and builds datasets from the data of real sites.\n\n"
    'Errors are `{"detail": "<one sentence>", "code": "<stable_word>"}`. Times are epoch seconds (UTC).'
)
_THREADS = 64
#: What a multipart body has around its file.
_FORM_BYTES = 1 << 20


def build(args: dict[str, str]) -> Application:
    """The Serve application, for `import_path: serve_app.app:build`; `args` are settings by name.

    Raises:
        ValueError: a setting is not acceptable.
    """
    settings = Settings.load(args)
    code = frozen_code()
    deployments = (
        sites.application(settings.sites, code),
        datasets.application(settings.datasets, code),
    )
    return api.application("serve_app.app:replica_app", settings.to_dict(), code, *deployments)


def __getattr__(name: str) -> Application:
    """`serve_app.app:application`, for `serve build`, which takes no function: the application of the environment."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return build({})


def replica_app(settings: dict[str, Any], sites_handle: Any, datasets_handle: Any) -> FastAPI:
    """The HTTP app of a replica, from `Settings.to_dict` and the handles of the deployments of sites and datasets."""
    validated = Settings.from_dict(settings)
    services = Services(
        validated,
        JobsClient(validated.jobs),
        SitesClient(sites_handle, validated.sites),
        DatasetsClient(datasets_handle, validated.datasets),
    )
    return build_app(services, renewal.watch)


def build_app(services: Services, *watchers: Callable[[], Coroutine[Any, Any, None]]) -> FastAPI:
    """The HTTP app over `services`, which it starts and closes; `watchers` run as long as it does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The default of five threads on two cores would be taken by a few slow reads of the shared storage.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "storage"))
        await services.jobs.start()
        tasks = [asyncio.create_task(work()) for work in (services.warm, *watchers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await services.jobs.close()

    app = FastAPI(
        title=_TITLE,
        description=_ABOUT,
        version=full_version(),
        lifespan=lifespan,
        middleware=_middleware(services.settings),
        docs_url=None,
        redoc_url=None,
        # A redirect to another spelling would name this server, not the proxy that the client talks to.
        redirect_slashes=False,
    )
    app.state.services = services
    errors.install(app)
    docs.install(app)
    for module in (health, hosts, jobs, job_files, logs, configs, site_routes, dataset_routes):
        app.include_router(module.router)

    @app.get("/", include_in_schema=False)
    async def index() -> JSONAnswer:
        return JSONAnswer({"name": app.title, "version": app.version, "docs": "docs", "openapi": "openapi.json"})

    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """What lies around the routes, outermost first."""
    layers = [
        Middleware(ServerTiming),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.api.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Content-Disposition", "Server-Timing", "X-Next-Cursor"],
        ),
        Middleware(errors.ErrorGuard),
    ]
    if settings.api.auth:
        layers.append(Middleware(BearerAuth, tokens=TokenFile(settings.tokens_path)))
    limits = {"/dataset/upload": settings.api.dataset_upload_bytes + _FORM_BYTES}
    return [*layers, Middleware(BodyLimit, limit=settings.api.max_body_bytes, limits=limits), Middleware(HeadAsGet)]
