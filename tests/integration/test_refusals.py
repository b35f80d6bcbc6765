"""What the API refuses: each error with its status, its code and a sentence, and nothing on the storage changed."""

import hashlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.stack import Stack
from workers.common import names

CONFIG = {"metadata": {"experiment_name": "e"}}
UNKNOWN = names.new_job_id()
#: Routes of a job, each as (method, path with `{}` for the id).
JOB_ROUTES = [
    ("GET", "/status/{}"),
    ("GET", "/result/{}"),
    ("GET", "/progress/{}"),
    ("GET", "/logs/{}"),
    ("GET", "/logs/file/{}"),
    ("GET", "/file-logs/{}"),
    ("GET", "/logs/{}/events"),
    ("GET", "/logs-chunk/{}"),
    ("GET", "/job-info/{}"),
    ("GET", "/job-resolved-config/{}"),
    ("POST", "/stop/{}"),
    ("POST", "/jobs/{}/requeue"),
    ("DELETE", "/job/{}"),
]
#: (method, path, body, status, code, what the sentence names). `taken.yaml` exists, `absent.yaml` does not.
REFUSED: list[tuple[str, str, Any, int, str, str]] = [
    ("POST", "/run-simulation", {}, 400, "invalid_input", "config_path"),
    ("POST", "/run-simulation", {"config": CONFIG, "config_path": "taken.yaml"}, 400, "invalid_input", "config_path"),
    ("POST", "/run-simulation", {"config": "text"}, 400, "invalid_input", "config"),
    ("POST", "/run-simulation", {"config_path": "absent.yaml"}, 404, "config_not_found", "absent.yaml"),
    ("POST", "/run-simulation", {"config_path": "../taken.yaml"}, 400, "invalid_name", ".."),
    ("POST", "/run-simulation", {"config": CONFIG, "save_as": "taken.yaml"}, 409, "config_exists", "taken.yaml"),
    ("POST", "/run-simulation", {"config": CONFIG, "save_as": "/etc/x.yaml"}, 400, "invalid_name", "/etc/x.yaml"),
    ("POST", "/run-simulation", {"config": CONFIG, "target_host": "nowhere"}, 404, "host_not_found", "nowhere"),
    ("POST", "/run-simulation", {"config": CONFIG, "target_host": "a b"}, 400, "invalid_name", "a b"),
    ("POST", "/run-simulation", {"config": CONFIG, "image": "no image!"}, 400, "invalid_input", "image"),
    ("POST", "/run-simulation", {"config": CONFIG, "resources": {"cpus": "many"}}, 400, "invalid_input", "cpus"),
    ("POST", "/run-simulation", {"config": CONFIG, "resources": {"memory": "1k"}}, 400, "invalid_input", "memory"),
    ("POST", "/run-simulation", {"config": CONFIG, "timeout_s": -1}, 400, "invalid_input", "timeout_s"),
    ("POST", "/run-simulation", {"config": CONFIG, "env": {"A": 1}}, 400, "invalid_input", "env.A"),
    (
        "POST",
        "/run-simulation",
        {"config": {"simulator": {"dataset_path": "datasets/x/schema.json"}}},
        400,
        "dataset_path_relative",
        "dataset_path",
    ),
    (
        "POST",
        "/run-simulation",
        {"config": {"simulator": {"dataset_path": "/data/datasets/absent/schema.json"}}},
        400,
        "dataset_not_found",
        "dataset_path",
    ),
    ("POST", "/experiment-configs/create", {"file_name": "taken.yaml", "config": {}}, 409, "config_exists", "taken"),
    ("POST", "/experiment-configs/create", {"file_name": "new.yaml"}, 400, "invalid_input", "yaml_content"),
    ("POST", "/experiment-configs/create", {"config": {}}, 422, "validation_error", "file_name"),
    ("POST", "/experiment-configs/create", {"file_name": "CON.yaml", "config": {}}, 400, "invalid_name", "CON.yaml"),
    ("PUT", "/experiment-configs/absent.yaml", {"config": {}}, 404, "config_not_found", "absent.yaml"),
    ("DELETE", "/experiment-configs/absent.yaml", None, 404, "config_not_found", "absent.yaml"),
    ("GET", "/experiment-configs/absent.yaml", None, 404, "config_not_found", "absent.yaml"),
    ("DELETE", "/experiment-configs/%2e%2e", None, 400, "invalid_name", ".."),
    ("DELETE", "/experiment-configs/%2e%2e%2f%2e%2e", None, 400, "invalid_name", ".."),
    ("POST", "/simulation-data/index", {"job_id": UNKNOWN}, 404, "job_not_found", UNKNOWN),
    ("POST", "/simulation-data/file", {"job_id": "..", "relative_path": "x"}, 400, "invalid_job_id", ".."),
    ("POST", "/nowhere", {}, 404, "no_such_route", "/nowhere"),
    ("PATCH", "/jobs", {}, 405, "method_not_allowed", "/jobs"),
    *[(method, path.format(UNKNOWN), None, 404, "job_not_found", UNKNOWN) for method, path in JOB_ROUTES],
    *[(method, path.format("%2e%2e"), None, 400, "invalid_job_id", "..") for method, path in JOB_ROUTES],
]
#: Texts of YAML files that are refused with 422, line and column.
NO_YAML = ["a: [1, 2\n", "a: 1\na: 2\n", "!!python/object:os.system {}\n", "a: 1\n\tb: 2\n"]


@pytest.fixture
def quiet(api: Api) -> Iterator[None]:
    """Nothing runs, and a config `taken.yaml` is there."""
    jobs.stop_all(api)
    api.post("/experiment-configs/create", json={"file_name": "taken.yaml", "config": {"a": 1}, "overwrite": True})
    yield
    api.delete("/experiment-configs/taken.yaml")


#: Copies for people, which follow earlier jobs in their own time; what they follow is compared.
_COPIES = ("job_track.json", "job_info.json")


def _tree(root: Path) -> dict[str, str]:
    """Every entry below the shared root with its content's digest."""
    found = {}
    for path in sorted(root.rglob("*")):
        if any(name in path.name for name in _COPIES):
            continue
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
        found[str(path)] = f"{mode:o} {hashlib.sha256(content).hexdigest()}"
    return found


def _settled(stack: Stack) -> dict[str, str]:
    """The tree once what earlier requests had written is written."""
    seen: list[dict[str, str]] = []

    def look() -> bool:
        seen.append(_tree(stack.layout.root))
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3] == seen[-4]

    eventually(look, what="a shared folder that nobody changes")
    return seen[-1]


@pytest.mark.usefixtures("quiet")
def test_every_refusal_says_why_and_changes_nothing(api: Api, stack: Stack) -> None:
    before = _settled(stack)
    listed = {path: api.json(path) for path in ("/jobs", "/experiment-configs", "/queue")}
    wrong = []
    for method, path, body, status, code, says in REFUSED:
        answer = api.request(method, path, json=body)
        seen = answer.json() if answer.headers["content-type"] == "application/json" else {}
        told = seen.get("detail")
        if (answer.status_code, seen.get("code")) != (status, code) or not isinstance(told, str) or says not in told:
            wrong.append((method, path, body, answer.status_code, answer.text))
    for text in NO_YAML:
        for method, path in (("POST", "/experiment-configs/create"), ("PUT", "/experiment-configs/taken.yaml")):
            answer = api.request(method, path, json={"file_name": "new.yaml", "yaml_content": text})
            if answer.status_code not in (400, 422) or "line" not in answer.json()["detail"]:
                wrong.append((method, path, text, answer.status_code, answer.text))
    assert wrong == []
    assert {path: api.json(path) for path in listed} == listed
    assert _settled(stack) == before


@pytest.mark.usefixtures("quiet")
def test_bodies_that_are_too_large_broken_off_or_no_json_change_nothing(api: Api, stack: Stack) -> None:
    before = _settled(stack)
    large = 33 << 20
    for content in (b"x" * large, (b"x" * (1 << 20) for _ in range(33))):
        answer = api.post("/run-simulation", data=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    for content in (b"", b"{", b"[]", b'{"config": NaN}'):
        answer = api.post("/run-simulation", data=content)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_json")
    with socket.create_connection(("127.0.0.1", stack.plan.ports.api), timeout=60) as connection:
        connection.sendall(b'POST /run-simulation HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{"config": {}')
    assert api.json("/health") == {"status": "ok"}
    assert _settled(stack) == before
