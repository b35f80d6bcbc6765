"""Where our deployments stand and which code they run."""

import logging
from pathlib import Path
from typing import Any

import ray
from ray.serve import Application

from workers.common.frozen_code import Frozen, copy_packages
from workers.common.nodes import HEAD_TRACE
from workers.common.version import PACKAGES, ROOT, VERSION_VARIABLE, code_version

logger = logging.getLogger(__name__)

#: In a session's folder: the copies of the code, one for each version that was deployed.
_COPIES = "opeva-code"


def on_head(deployment: Any, code: str | None) -> Any:
    """A deployment's options: on the head, since the package is there and a plain worker lacks it, and at no CPU, so
    that jobs which hold all of them can't keep a replica from coming back."""
    options: dict[str, Any] = {"num_cpus": 0, "resources": HEAD_TRACE}
    if code is not None:
        # Ray then keeps the processes of each version's replicas and tasks apart.
        options["runtime_env"] = {"env_vars": {VERSION_VARIABLE: code_version()}}
    return deployment.options(ray_actor_options=options)


def replica_of(deployment: Any, code: str | None, target: str, *args: Any) -> Application:
    """The application of a deployment whose replicas are `target` (`module:class`), made from the copy `code`."""
    bound: Application = on_head(deployment(Frozen), code).bind(code, target, *args)
    return bound


def frozen_code() -> str | None:
    """A copy of this process's code for the replicas to run; None where there is no Ray, or no room for it.

    It lies in the folder of Ray's session on this node, the head.
    """
    if not ray.is_initialized():
        return None  # `serve build` only looks at the application
    here = ray.get_runtime_context().get_node_id()
    sockets = Path(next(node["RayletSocketName"] for node in ray.nodes() if node["NodeID"] == here))
    try:
        return str(copy_packages(ROOT, PACKAGES, code_version(), sockets.parent.parent / _COPIES))
    except OSError as error:
        logger.warning("The application runs its code in place, where changes reach it, for want of a copy: %s", error)
        return None
