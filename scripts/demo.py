"""`make demo`: builds a dataset from a site's data and runs a simulation on it, all by the HTTP API.

Brings the stack up if it isn't, loads a sample site into the development database if it has none, and succeeds only if
the simulation finished. What is there already from an earlier run is used again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import requests
import yaml

from scripts.demo_dataset import DEFAULT_NAME, make_demo_dataset
from scripts.stack import Plan, Stack
from scripts.stack.plan import PROJECT
from workers.common.clock import Deadline

_CONFIG: Final = PROJECT / "configs" / "demo.yaml"
#: The dataset that the example configs name.
_EXAMPLE: Final = DEFAULT_NAME
_SITE: Final = "living_lab"
_DATASET: Final = f"{_SITE}_demo"
#: How much of the site's data the dataset takes; the sample has 30 days.
_DAYS: Final = 28
_ENDED: Final = ("finished", "failed", "stopped", "canceled")
#: For a simulation as for a build: much longer than either takes on a busy machine.
_DEADLINE: Final = 600.0
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


def lay_out_examples(client: Client, plan: Plan) -> None:
    """Put the example configs and the dataset that they name where the API finds them; what is there already stays."""
    make_demo_dataset(plan.shared_root, plan.run_dir / "cache", _EXAMPLE)
    for config in sorted(_CONFIG.parent.glob("*.yaml")):
        body = {"file_name": config.name, "yaml_content": config.read_text()}
        client.call("POST", "/experiment-configs/create", allowed=(409,), json=body)


def dataset_from_site(client: Client, stack: Stack) -> str:
    """The name of a dataset built from the sample site, or of the example where there is no such site.

    The site's data are loaded into a database for development only, never into one that somebody gave us.
    """
    if stack.plan.mongo_uri is None and _SITE not in client.call("GET", "/sites")["sites"]:
        command = [sys.executable, "-m", "scripts.sample_sites", "--uri", stack.mongo_uri, "--site", _SITE]
        command += ["--cache", str(stack.plan.run_dir / "cache")]
        subprocess.run(command, check=True, cwd=PROJECT, timeout=300)
    if _DATASET in (dataset["name"] for dataset in client.call("GET", "/datasets")):
        return _DATASET
    if _SITE not in client.call("GET", "/sites")["sites"]:
        return _EXAMPLE
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    body = {
        "name": _DATASET,
        "site_id": _SITE,
        "from_ts": (today - timedelta(days=_DAYS)).isoformat(),
        "until_ts": today.isoformat(),
        "citylearn_configs": {},
    }
    client.call("POST", "/dataset", params={"wait": "false"}, json=body)
    built = watch(lambda: client.call("GET", f"/dataset/{_DATASET}/status"), f"dataset {_DATASET}")
    if built["status"] != "finished":
        raise DemoError(f"The dataset {_DATASET} was not built: {built['error']}")
    print(f"Dataset {_DATASET}: {built['rows']} hours of site {_SITE}")
    return _DATASET


def submit(client: Client, dataset: str) -> str:
    """Start the demo's experiment on a dataset; the job's id."""
    config = yaml.safe_load(_CONFIG.read_text())
    config["simulator"].update(dataset_name=dataset, dataset_path=f"/data/datasets/{dataset}/schema.json")
    job = client.call("POST", "/run-simulation", json={"config": config, "submitted_by": "demo"})
    print(f"Job {job['job_id']} ({job['job_name']}) on dataset {dataset}")
    return str(job["job_id"])


def watch(look: Callable[[], dict[str, Any]], what: str) -> dict[str, Any]:
    """What `look` returns last, its percentage shown meanwhile as a bar, or as lines where there is no terminal."""
    deadline = Deadline(_DEADLINE)
    shown = -1
    while True:
        seen = look()
        percent = int(seen["percent"] or 0)
        if sys.stdout.isatty():
            print(
                f"\r[{'#' * (_BAR * percent // 100):<{_BAR}}] {percent:3d} %  {seen['status']:<10}", end="", flush=True
            )
        elif percent // 25 != shown // 25:
            print(f"{percent:3d} %  {seen['status']}", flush=True)
        shown = percent
        if seen["status"] in _ENDED:
            if sys.stdout.isatty():
                print()
            return seen
        if deadline.passed():
            raise DemoError(f"{what} is still {seen['status']} after {deadline.seconds:.0f} s")
        time.sleep(0.5)


def follow(client: Client, job: str) -> dict[str, Any]:
    """The job's last status, after showing its progress until it ended."""

    def look() -> dict[str, Any]:
        status: dict[str, Any] = client.call("GET", f"/status/{job}")
        return {**status, "percent": client.call("GET", f"/progress/{job}")["percent"]}

    return watch(look, f"job {job}")


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
        client = Client(stack.api_url)
        lay_out_examples(client, plan)
        job = submit(client, dataset_from_site(client, stack))
        status = follow(client, job)
        if status["status"] != "finished":
            print(f"The simulation ended as {status['status']}: {status['detail']}", file=sys.stderr)
            print(f"Its log: {stack.api_url}/logs/{job}", file=sys.stderr)
            return 1
        show_result(client, job)
        print(f"Finished on {status['host']} in {status['running_s']:.1f} s. The API: {stack.api_url}/docs")
        return 0
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
