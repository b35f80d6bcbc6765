"""`make demo`: runs the demo experiment by the HTTP API, shows its progress and its result.

Brings the stack up if it isn't, makes the demo dataset if it isn't there, and succeeds only if the simulation finished.
"""

import os
import sys
import time
from typing import Any, Final

import requests

from scripts.demo_dataset import DEFAULT_NAME, make_demo_dataset
from scripts.stack import Plan, Stack
from scripts.stack.plan import PROJECT
from workers.clock import Deadline

_CONFIG: Final = PROJECT / "configs" / "demo.yaml"
_ENDED: Final = ("finished", "failed", "stopped", "canceled")
_RUN_DEADLINE: Final = 600.0
_BAR: Final = 40


class DemoError(RuntimeError):
    """The demo can't go on; the message says why."""


class Client:
    """The few calls that the demo makes, each with a deadline; `OPEVA_API_TOKEN` is sent where tokens are asked for."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = requests.Session()
        if token := os.environ.get("OPEVA_API_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, allowed: tuple[int, ...] = (), **arguments: Any) -> Any:
        """The JSON answer. Raises DemoError with the API's own sentence for an error that is not `allowed`."""
        try:
            answer = self._session.request(method, self._base + path, timeout=60, **arguments)
            body = answer.json()
        except requests.RequestException as error:
            raise DemoError(f"{method} {path}: {error}") from error
        if answer.status_code >= 400 and answer.status_code not in allowed:
            raise DemoError(f"{method} {path}: {body.get('detail', answer.text)}")
        return body


def submit(client: Client) -> str:
    """Hand in the demo's config and start it; the job's id. A `demo.yaml` that is there already is what runs."""
    config = {"file_name": _CONFIG.name, "yaml_content": _CONFIG.read_text()}
    client.call("POST", "/experiment-configs/create", allowed=(409,), json=config)
    job = client.call("POST", "/run-simulation", json={"config_path": _CONFIG.name, "submitted_by": "demo"})
    print(f"Job {job['job_id']} ({job['job_name']})")
    return str(job["job_id"])


def follow(client: Client, job: str) -> dict[str, Any]:
    """The job's last status, after showing its progress until it ended."""
    deadline = Deadline(_RUN_DEADLINE)
    shown = -1
    while True:
        status: dict[str, Any] = client.call("GET", f"/status/{job}")
        progress = client.call("GET", f"/progress/{job}")
        percent = int(progress["percent"])
        if sys.stdout.isatty():
            filled = _BAR * percent // 100
            print(f"\r[{'#' * filled:<{_BAR}}] {percent:3d} %  {status['status']:<10}", end="", flush=True)
        elif percent // 25 != shown // 25:
            print(f"{percent:3d} %  {status['status']}", flush=True)
        shown = percent
        if status["status"] in _ENDED:
            if sys.stdout.isatty():
                print()
            return status
        if deadline.passed():
            raise DemoError(f"Job {job} is still {status['status']} after {deadline.seconds:.0f} s")
        time.sleep(0.5)


def show_result(client: Client, job: str) -> None:
    """Print the KPIs of the district and of each building, side by side."""
    result: dict[str, dict[str, float]] = client.call("GET", f"/result/{job}")
    columns = list(result)
    width = max(map(len, columns))
    names = sorted({name for kpis in result.values() for name in kpis})
    indent = max(map(len, names), default=0)
    print(f"{'KPI':<{indent}}  " + "  ".join(f"{column:>{width}}" for column in columns))
    for name in names:
        values = (result[column].get(name) for column in columns)
        cells = (f"{'' if value is None else format(value, '.3f'):>{width}}" for value in values)
        print(f"{name:<{indent}}  " + "  ".join(cells))


def main() -> int:
    """0 if the demo's simulation finished."""
    try:
        plan = Plan.from_environment()
        stack = Stack(plan)
        stack.up()
        print(f"Dataset {make_demo_dataset(plan.shared_root, plan.run_dir / 'cache', DEFAULT_NAME)}")
        client = Client(stack.api_url)
        job = submit(client)
        status = follow(client, job)
        if status["status"] != "finished":
            print(f"The simulation ended as {status['status']}: {status['detail']}", file=sys.stderr)
            print(f"Its log: {stack.api_url}/logs/{job}", file=sys.stderr)
            return 1
        show_result(client, job)
        print(f"Finished on {status['host']} in {status['running_s']:.1f} s. The API: {stack.api_url}/docs")
        return 0
    except (RuntimeError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
