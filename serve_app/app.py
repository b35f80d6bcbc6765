"""The application: what `serve deploy` builds, and the HTTP app that each replica builds from it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from ray.serve import Application
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from deployments import api
from serve_app import docs, errors
from serve_app.auth import BearerAuth, TokenFile
from serve_app.head import HeadAsGet
from serve_app.http import JSONAnswer
from serve_app.limits import BodyLimit
from serve_app.routers import health
from serve_app.services import Services
from serve_app.settings import Settings
from serve_app.timing import ServerTiming

_TITLE = "OPEVA"
_ABOUT = (
    "Trains and evaluates energy-management algorithms on communities of buildings: runs simulations in containers on "
    "the hosts of a Ray cluster, follows them to their end, and builds datasets from the data of real sites.\n\n"
    'Errors are `{"detail": "<one sentence>", "code": "<stable_word>"}`. Times are epoch seconds (UTC).'
)
#: What a multipart body has around its file.
_FORM_BYTES = 1 << 20


def build(args: dict[str, str]) -> Application:
    """The Serve application, for `import_path: serve_app.app:build`; `args` are settings by name.

    Raises:
        ValueError: a setting is not acceptable.
    """
    settings = Settings.load(args)
    return api.application(replica_app, settings.to_dict())


def replica_app(settings: dict[str, Any]) -> FastAPI:
    """The HTTP app of a replica, from `Settings.to_dict`."""
    return build_app(Services(settings=Settings.from_dict(settings)))


def build_app(services: Services) -> FastAPI:
    """The HTTP app over `services`, which it starts and closes."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(
        title=_TITLE,
        description=_ABOUT,
        version="0",
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
    for router in (health.router,):
        app.include_router(router)

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
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Content-Disposition", "Server-Timing", "X-Next-Cursor"],
        ),
        Middleware(errors.ErrorGuard),
    ]
    if settings.auth:
        layers.append(Middleware(BearerAuth, tokens=TokenFile(settings.tokens_path)))
    limits = {"/dataset/upload": settings.dataset_upload_bytes + _FORM_BYTES}
    return [*layers, Middleware(BodyLimit, limit=settings.max_body_bytes, limits=limits), Middleware(HeadAsGet)]
