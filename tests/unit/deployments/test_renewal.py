"""The application is renewed where `serve deploy` alone does not do it, and only there."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve

from deployments import renewal
from deployments.renewal import Look, renewed_config
from workers.common.version import PACKAGES, VERSION_VARIABLE, code_version, fingerprint

CONFIG = {"name": "opeva", "import_path": "serve_app.app:build", "args": {"image": "i"}}
WORKER = {"NodeID": "w", "Alive": True, "Resources": {"CPU": 2.0}, "Labels": {}}
HEAD = {"NodeID": "h", "Alive": True, "Resources": {"node:__internal_head__": 1.0}, "Labels": {}}


class Serve:
    """What Serve says of the application, and what it is asked to deploy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status = SimpleNamespace(status="RUNNING", message="", last_deployed_time_s=0.0)
        self.config: dict[str, Any] = dict(CONFIG)
        self.deployed: list[Any] = []
        monkeypatch.setattr(serve, "status", lambda: SimpleNamespace(applications={"opeva": self.status}))
        monkeypatch.setattr(serve.context, "_get_global_client", lambda: self)
        monkeypatch.setattr(ray, "nodes", lambda: [HEAD, WORKER])

    def get_serve_details(self) -> dict[str, Any]:
        return {"applications": {"opeva": {"deployed_app_config": self.config}, "other": {"deployed_app_config": None}}}

    def deploy_apps(self, schema: Any) -> None:
        self.deployed.append(schema)
        (application,) = schema.applications
        self.config = application.model_dump(exclude_unset=True)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Serve:
    return Serve(monkeypatch)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the running code was copied from: by now another version of it."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text("changed = True\n")
    monkeypatch.setattr(renewal, "ROOT", tmp_path)
    (tmp_path / "ORIGIN").write_text(str(tmp_path))
    return tmp_path


def test_code_that_changed_before_serve_deploy_is_deployed_and_once(serving: Serve, origin: Path) -> None:
    look = Look("opeva")
    serving.status.last_deployed_time_s = time.time() + 1
    look()
    look()
    (schema,) = serving.deployed
    (application,) = schema.applications
    assert application.args == {"image": "i"}
    assert application.runtime_env["env_vars"][VERSION_VARIABLE] == fingerprint(origin)


def test_code_that_changed_after_serve_deploy_waits_for_the_next(serving: Serve, origin: Path) -> None:
    serving.status.last_deployed_time_s = time.time() - 60
    # Tools that copy files set their times back.
    for module in origin.rglob("*.py"):
        os.utime(module, (0, 0))
    Look("opeva")()
    assert serving.deployed == []


def test_code_that_was_touched_and_is_the_same_is_not_deployed(
    serving: Serve, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = fingerprint(origin)
    monkeypatch.setattr(renewal, "code_version", lambda: same)
    serving.status.last_deployed_time_s = time.time() + 1
    Look("opeva")()
    assert serving.deployed == []


def test_a_build_that_landed_where_the_package_is_not_is_made_once_more_and_elsewhere(serving: Serve) -> None:
    serving.status.status = "DEPLOY_FAILED"
    serving.status.message = "ModuleNotFoundError: No module named 'serve_app'"
    look = Look("opeva")
    look()
    look()
    (schema,) = serving.deployed
    (pinned,) = schema.applications[0].deployments
    assert pinned.ray_actor_options.label_selector == {"ray.io/node-id": "!in(w)"}
    assert schema.applications[0].runtime_env["env_vars"] == {VERSION_VARIABLE: code_version()}


@pytest.mark.parametrize("status", ["RUNNING", "DEPLOYING", "UNHEALTHY"])
def test_nothing_is_deployed_while_all_is_well_or_under_way(serving: Serve, status: str) -> None:
    serving.status.status = status
    Look("opeva")()
    assert serving.deployed == []


def test_what_an_operator_set_stays_set() -> None:
    given = {
        **CONFIG,
        "runtime_env": {"env_vars": {"OPEVA_IMAGE": "mine"}, "pip": []},
        "deployments": [
            {"name": "api", "num_replicas": 3},
            {"name": "datasets", "max_ongoing_requests": 7, "ray_actor_options": {"num_cpus": 1}},
        ],
    }
    assert renewed_config(given, "v", {"ray.io/node-id": "!in(w)"}) == {
        **CONFIG,
        "runtime_env": {"env_vars": {"OPEVA_IMAGE": "mine", VERSION_VARIABLE: "v"}, "pip": []},
        "deployments": [
            {"name": "api", "num_replicas": 3},
            {
                "name": "datasets",
                "max_ongoing_requests": 7,
                "ray_actor_options": {
                    "num_cpus": 1,
                    "resources": {"node:__internal_head__": 0.001},
                    "label_selector": {"ray.io/node-id": "!in(w)"},
                },
            },
        ],
    }
