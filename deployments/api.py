"""The HTTP API as a Serve deployment."""

from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

#: Makes a replica's app from plain data and the handles of the deployments below it. A function of a module, so that it
#: travels by name.
AppBuilder = Callable[..., ASGIApp]


@serve.deployment(
    name="api",
    # Two, so that requests are served while a lost one is replaced, which the short health period notices at once.
    num_replicas=2,
    health_check_period_s=1,
    # A replica follows logs for as long as clients stay; Serve's own default of 5 requests would block the sixth.
    max_ongoing_requests=1000,
    # No CPU, so that jobs which hold all of them can't keep a replica from coming back; and only where the package is.
    ray_actor_options={"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}},
    # Streams that follow something would hold up a replica's end; their clients come back to the next one.
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=5,
)
@serve.ingress()
class Api:
    """A replica: the app is built here, after the constructor, since an app can't be pickled."""

    def __init__(self, build_app: AppBuilder, settings: dict[str, Any], *handles: Any) -> None:
        self._build_app = build_app
        self._settings = settings
        self._handles = handles

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._build_app(self._settings, *self._handles)


def application(build_app: AppBuilder, settings: dict[str, Any], *deployments: Application) -> Application:
    """The Serve application of the API, over other deployments; `build_app` is called on each replica, with handles."""
    deployment: serve.Deployment = Api
    return deployment.bind(build_app, settings, *deployments)
