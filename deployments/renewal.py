"""Renews the application where `serve deploy` alone does not: each API replica looks now and then.

- Serve does nothing for a config that it has already, also where the code on the disk is another one by then.
- Serve builds an application in a task that takes no CPU, and Ray sends that to a worker machine while the head is
  busy (Ray 2.60 prefers other nodes once half of the head is in use); there the application can't be imported.

In both cases the application is deployed once more, with the code's version among its variables and with a selector
that keeps the build off machines without this package. `tests/cluster/test_plain_ray.py` shows both.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve

from workers.common.frozen_code import ORIGIN_FILE
from workers.common.nodes import HEAD_TRACE, NODE_LABEL, with_package
from workers.common.version import ROOT, VERSION_VARIABLE, changed_at, code_version, fingerprint

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 3.0
#: The deployment whose selector Serve takes for its build task; any would do.
_PINNED: Final = "datasets"
_NOT_IMPORTED: Final = "No module named"


async def watch() -> None:
    """Look for as long as the replica lives."""
    look = Look(serve.get_replica_context().app_name)
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await asyncio.to_thread(look)
        except Exception as error:
            # Whatever it is (Ray's head is away, files are being replaced), a later look finds what is to be done.
            logger.warning("Whether the application is to be renewed could not be seen: %s", error)


class Look:
    """One replica's look at what was deployed and what lies on the disk."""

    def __init__(self, application: str) -> None:
        self._application = application
        origin = ROOT / ORIGIN_FILE
        #: Where the running code was copied from; None if it runs in place and no change could be told.
        self._origin = Path(origin.read_text()) if origin.is_file() else None
        #: The newest change on the disk that makes no difference.
        self._seen = 0.0

    def __call__(self) -> None:
        """Renew the application if that is due. Raises RayError, OSError, RuntimeError."""
        status = serve.status().applications.get(self._application)
        if status is None:
            return
        not_imported = status.status == "DEPLOY_FAILED" and _NOT_IMPORTED in status.message
        if not_imported or self._changed_before(status.last_deployed_time_s):
            self._renew(self._on_disk())

    def _changed_before(self, deployed_at: float) -> bool:
        """Whether the code on the disk was another one already when `serve deploy` was last called."""
        if self._origin is None:
            return False
        changed = changed_at(self._origin)
        if changed <= self._seen or changed > deployed_at:
            return False
        if fingerprint(self._origin) == code_version():
            self._seen = changed
            return False
        return True

    def _on_disk(self) -> str:
        return code_version() if self._origin is None else fingerprint(self._origin)

    def _renew(self, version: str) -> None:
        client = serve.context._get_global_client()
        details = client.get_serve_details()["applications"]
        configs = {name: one["deployed_app_config"] for name, one in details.items() if one.get("deployed_app_config")}
        config = configs.get(self._application)
        if config is None:
            return
        renewed = renewed_config(config, version, _selector())
        if renewed == config:
            return  # that was tried, by this replica or another, and what came of it is Serve's to say
        logger.warning("The application is renewed: version %s takes the place of %s", version, code_version())
        configs[self._application] = renewed
        client.deploy_apps(serve.schema.ServeDeploySchema(applications=list(configs.values())))


def renewed_config(config: dict[str, Any], version: str, selector: dict[str, str] | None) -> dict[str, Any]:
    """An application's config that Serve takes for another one, and builds where `selector` lets it."""
    runtime_env = dict(config.get("runtime_env") or {})
    runtime_env["env_vars"] = {**(runtime_env.get("env_vars") or {}), VERSION_VARIABLE: version}
    deployments = [one for one in config.get("deployments") or [] if one["name"] != _PINNED]
    present = (one for one in config.get("deployments") or [] if one["name"] == _PINNED)
    own: dict[str, Any] = next(present, {"name": _PINNED})
    options: dict[str, Any] = {"num_cpus": 0, "resources": HEAD_TRACE, **(own.get("ray_actor_options") or {})}
    options.pop("label_selector", None)
    if selector:
        options["label_selector"] = selector
    pinned: dict[str, Any] = {**own, "ray_actor_options": options}
    return {**config, "runtime_env": runtime_env, "deployments": [*deployments, pinned]}


def _selector() -> dict[str, str] | None:
    """Keeps off the machines that lack this package; None if all have it."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    carrying = {node["NodeID"] for node in with_package(alive)}
    lacking = sorted(node["NodeID"] for node in alive if node["NodeID"] not in carrying)
    return {NODE_LABEL: f"!in({','.join(lacking)})"} if lacking else None
