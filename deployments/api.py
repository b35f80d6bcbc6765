"""The HTTP API as a Serve deployment."""

from typing import Any

from ray import serve
from ray.serve import Application

from deployments.placing import on_head
from workers.common.frozen_code import FrozenApp

_deployment = serve.deployment(
    name="api",
    # Two, so that requests are served while a lost one is replaced, which the short health period notices at once.
    num_replicas=2,
    health_check_period_s=1,
    # A replica follows logs for as long as clients stay; Serve's own default of 5 requests would block the sixth.
    max_ongoing_requests=1000,
    # Streams that follow something would hold up a replica's end; their clients come back to the next one.
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=5,
)


def application(builder: str, settings: dict[str, Any], code: str | None, *deployments: Application) -> Application:
    """The Serve application of the API, over other deployments.

    `builder` (`module:function`) makes the HTTP app of each replica there, from the copy `code`, since an app can't be
    pickled; it is given the settings and the deployments' handles.
    """
    ingress = on_head(_deployment(serve.ingress()(FrozenApp)), code)
    application: Application = ingress.bind(code, builder, settings, *deployments)
    return application
