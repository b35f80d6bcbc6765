"""The files by which the product is installed and published: what they promise, without the services that they name."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROOT = "${OPEVA_SHARED_ROOT:-/opt/opeva_shared_data}"
SOCKET = "/var/run/docker.sock:/var/run/docker.sock"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    content = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    assert content["networks"] == {"opeva_network": {"external": True}}
    services: dict[str, Any] = content["services"]
    assert all(service["networks"] == ["opeva_network"] for service in services.values())
    return services


def test_compose_brings_up_the_head_mlflow_mongodb_and_watchtower(services: dict[str, Any]) -> None:
    assert sorted(services) == ["head", "mlflow", "mongo", "watchtower"]


def test_the_shared_folder_has_one_path_everywhere_and_the_head_the_hosts_docker(services: dict[str, Any]) -> None:
    head = services["head"]
    assert head["volumes"] == [SOCKET, f"{ROOT}:{ROOT}"]
    assert (head["environment"]["OPEVA_SHARED_ROOT"], head["environment"]["OPEVA_HOST_SHARED_ROOT"]) == (ROOT, ROOT)
    assert services["mlflow"]["volumes"] == [f"{ROOT}/mlflow:/mlflow"]


def test_the_app_uses_the_services_beside_it_unless_told_otherwise(services: dict[str, Any]) -> None:
    environment = services["head"]["environment"]
    assert environment["OPEVA_MONGO_URI"] == "${OPEVA_MONGO_URI:-mongodb://mongo:27017}"
    assert environment["OPEVA_MLFLOW_TRACKING_URI"] == "${OPEVA_MLFLOW_TRACKING_URI:-http://mlflow:5000}"
    # MLflow answers only those who call it by a name that it was told.
    assert "--allowed-hosts ${OPEVA_MLFLOW_HOSTS:-mlflow:5000," in services["mlflow"]["command"]


def test_only_the_api_is_published_to_other_machines(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == ["${OPEVA_API_PORT:-8000}:8000"]


def test_watchtower_looks_once_a_day_and_only_at_what_bears_its_label(services: dict[str, Any]) -> None:
    assert services["watchtower"]["command"].split() == ["--interval", "86400", "--label-enable", "--cleanup"]
    label = "com.centurylinklabs.watchtower.enable"
    renewed = [name for name, service in services.items() if service.get("labels", {}).get(label) == "true"]
    assert renewed == ["head", "mlflow"]


def test_the_image_is_built_from_the_lock_that_the_product_is_tested_with() -> None:
    """Each package of the runtime lock is pinned in the whole lock to the same version."""
    pinned = {name: _versions(PROJECT / name) for name in ("requirements.lock", "requirements-runtime.lock")}
    runtime = pinned["requirements-runtime.lock"]
    assert runtime
    assert runtime.items() <= pinned["requirements.lock"].items()
    assert not {"pytest", "secantusdb"} & runtime.keys()


def test_changes_are_tested_and_main_is_published_by_commit_version_and_as_latest() -> None:
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert any("make test" in step.get("run", "") for step in jobs["test"]["steps"])
    image = jobs["image"]
    assert (image["needs"], image["permissions"]["packages"]) == ("test", "write")
    steps = {step["uses"].split("@")[0]: step["with"] for step in image["steps"] if "with" in step}
    assert steps["docker/login-action"]["registry"] == "ghcr.io"
    assert steps["docker/build-push-action"]["push"] is True
    kinds = re.findall(r"type=(\w+)(?:,value=([^,\n]+))?", steps["docker/metadata-action"]["tags"])
    assert kinds == [("sha", ""), ("raw", "${{ steps.version.outputs.version }}"), ("semver", ""), ("raw", "latest")]


@pytest.mark.parametrize("script", ["workers/join-ray-worker.sh", "scripts/build-head-image.sh"])
def test_scripts_are_valid_and_say_so_without_doing_anything(script: str) -> None:
    subprocess.run(["bash", "-n", PROJECT / script], check=True, timeout=60)


def test_the_join_script_is_a_file_at_the_address_that_people_download_it_from() -> None:
    script = PROJECT / "workers" / "join-ray-worker.sh"
    assert not script.is_symlink()
    assert (PROJECT / "workers" / "host" / "join-ray-worker.sh").resolve() == script


def test_the_join_script_explains_every_option_that_it_takes() -> None:
    script = PROJECT / "workers" / "join-ray-worker.sh"
    helped = subprocess.run([script, "--help"], check=True, timeout=60, capture_output=True, text=True).stdout
    taken = set(re.findall(r"--[a-z-]+(?= \||\)|\n)", script.read_text().split("parse() {")[1].split("\n}\n")[0]))
    assert {option for option in taken - {"--run", "--help"} if option not in helped} == set()


def _versions(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", lock.read_text(), re.MULTILINE))
