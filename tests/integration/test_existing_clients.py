"""Two web clients that exist, call by call: what they send is taken, what they read is there with the type they expect.

`tests/data/existing_clients.json` says what each sends and reads, in the order in which a person would make it do so.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pymongo
import pytest
import requests

from scripts.harness import jobs
from scripts.harness.api import PATIENCE, Api, eventually
from scripts.stack import EmbeddedMongo

CLIENTS: Final = json.loads((Path(__file__).parents[1] / "data" / "existing_clients.json").read_text())
_AREAS: Final = {"sites": ("/sites", "/real-time-data", "/schema"), "datasets": ("/dataset",)}
SITE: Final = "living_lab"
#: Writes all that a simulation writes, and goes on.
_SCRIPT: Final = f"""cd /data/jobs/*
    echo '{{"progress_pct": 25, "step": 1}}' > progress/progress.json
    mkdir -p results/simulation_data/s1 && echo x > results/simulation_data/s1/a.csv
    echo own > logs/own.log
    echo '{{"District": {{"cost": NaN, "peak": 2.5, "none": null}}}}' > results/result.json
    echo printed; {jobs.SLEEP}"""


def _area(path: str) -> str:
    return next((area for area, starts in _AREAS.items() if path.startswith(starts)), "jobs")


def _calls(client: str, area: str) -> list[dict[str, Any]]:
    return [call for call in CLIENTS[client] if _area(call["path"]) == area]


@pytest.fixture
def site(mongo: EmbeddedMongo) -> Iterator[str]:
    """A site with a building whose readings cover both what the clients ask of the past and the last days."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongo.uri, serverSelectionTimeoutMS=60_000)
    with client:
        for name in (SITE, "new_site"):
            client.drop_database(name)
        quarter = timedelta(minutes=15)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        starts = [(datetime(2025, 6, 7, 12, tzinfo=UTC), 240), (now - 8 * quarter, 8)]
        readings = [
            {"timestamp": start + n * quarter, "non_shiftable_load": 0.5, "solar_generation": 0.1, "energy_price": 0.08}
            for start, count in starts
            for n in range(count)
        ]
        client[SITE]["building_R-H-01"].insert_many(readings)
        client[SITE]["schema"].insert_one({"_id": "schema", "schema": {"buildings": {"R-H-01": {"include": True}}}})
        yield SITE
        for name in (SITE, "new_site"):
            client.drop_database(name)


@pytest.fixture
def job(api: Api, busybox_image: str) -> Iterator[str]:
    """A job that runs and has written all there is to write; the newest of all jobs."""
    jobs.stop_all(api)
    api.post("/experiment-configs/create", json={"file_name": "demo.yaml", "config": {"a": 1}, "overwrite": True})
    for name in ("cypress.yaml", "y.yaml"):
        api.delete(f"/experiment-configs/{name}")
    job = jobs.submit(api, _SCRIPT, image=busybox_image, target_host="local")
    eventually(lambda: api.get(f"/logs/{job}").text, lambda text: text == "printed\n")
    yield job
    jobs.stop_all(api)
    for name in ("demo.yaml", "y.yaml"):
        api.delete(f"/experiment-configs/{name}")


@pytest.mark.parametrize("client", ["client_2025", "client_2026"])
def test_jobs_hosts_and_configs_serve_the_client(api: Api, client: str, job: str) -> None:
    _check_all(api, client, "jobs", job_id=job)


def test_what_waits_serves_the_client_of_2026(api: Api, job: str) -> None:
    waiting = jobs.submit(api, resources={"cpus": 2}, target_host="local")
    queue = eventually(lambda: api.json("/queue"))
    assert [entry["job_id"] for entry in queue] == [waiting]
    assert queue[0]["job_id"] != job


def test_sites_serve_the_client_of_2025(api: Api, site: str) -> None:
    _check_all(api, "client_2025", "sites", site=site)


@pytest.fixture
def dataset(api: Api, site: str) -> Iterator[str]:
    """A dataset that is there before the client looks, and none of the name that it will give to another."""
    for name in ("earlier", "from-ui"):
        api.delete(f"/dataset/{name}")
    window = {"from_ts": "2025-06-07 14:00:00", "until_ts": "2025-06-08 14:00:00"}
    body = {"name": "earlier", "description": "An earlier one", "site_id": site, "citylearn_configs": {}, **window}
    answer = api.post("/dataset", json=body, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    yield "earlier"
    for name in ("earlier", "from-ui"):
        api.delete(f"/dataset/{name}")


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("client", ["client_2025", "client_2026"])
def test_datasets_serve_the_client(api: Api, client: str, site: str) -> None:
    _check_all(api, client, "datasets", site=site, name="from-ui")


def test_every_call_of_the_clients_is_tried() -> None:
    tried = [
        call for client in ("client_2025", "client_2026") for area in ("jobs", *_AREAS) for call in _calls(client, area)
    ]
    assert len(tried) == len(CLIENTS["client_2025"]) + len(CLIENTS["client_2026"])
    assert _calls("client_2026", "sites") == []


def _check_all(api: Api, client: str, area: str, **names: str) -> None:
    """Make every call of the client in that area, in its order; what is wrong of all of them fails the test."""
    problems: list[str] = []
    for call in _calls(client, area):
        names["<name from /hosts>"] = api.json("/hosts")["available_hosts"][0]["name"]
        answer = _call(api, client, call, names)
        label = f"{call['method']} {call['path']}"
        if answer.status_code not in call.get("status", [200]):
            problems.append(f"{label}: {answer.status_code} {answer.text}")
        else:
            problems += [f"{label}: {problem}" for problem in _wrong(call, answer)]
        _afterwards(api, call, answer, names)
    assert problems == []


def _call(api: Api, client: str, call: dict[str, Any], names: dict[str, str]) -> requests.Response:
    path = call["path"]
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    body = json.dumps(call["body"]) if "body" in call else None
    if body is not None:
        body = body.replace("<name from /hosts>", names["<name from /hosts>"])
        body = body.replace("<id>", names.get("job_id", ""))
    # The client of 2026 says so on GETs too.
    says_json = body is not None or client == "client_2026"
    headers = {"Content-Type": "application/json"} if says_json else {}
    return api.request(call["method"], path, data=body, headers=headers, timeout=PATIENCE)


def _afterwards(api: Api, call: dict[str, Any], answer: requests.Response, names: dict[str, str]) -> None:
    """What a person waits for before the next click."""
    if call["path"] == "/run-simulation" and answer.ok:
        # It is of the image that the installation has for simulations, which is not this test's subject.
        made = answer.json()["job_id"]
        api.post(f"/stop/{made}")
        jobs.wait_for(api, made)
        assert api.delete(f"/job/{made}").status_code == 200
    if call["path"] == "/stop/{job_id}":
        jobs.wait_for(api, names["job_id"], "stopped")


def _wrong(call: dict[str, Any], answer: requests.Response) -> list[str]:
    """What the client would not find, or could not show, in an answer."""
    reads = call.get("reads", {})
    if call.get("status", [200])[0] >= 400:
        detail = answer.json().get("detail")
        return [] if isinstance(detail, str) else [f"detail is {detail!r}"]
    if isinstance(reads, str):
        return [] if answer.content else ["the body is empty"]
    problems = []
    content = answer.json()
    for pointer, kind in reads.items():
        found, value = _at(content, pointer)
        if not found or not _is(kind, value):
            problems.append(f"{pointer or 'the answer'} should be {kind}: {value!r}")
    for pointer, values in call.get("never", {}).items():
        if pointer == "anywhere":
            problems += [f"holds {value}" for value in ("null", "NaN") if value in answer.text]
        elif _at(content, pointer) == (True, values):
            problems.append(f"{pointer} is {values!r}")
    return problems


def _at(content: Any, pointer: str) -> tuple[bool, Any]:
    """What a JSON pointer leads to; `<name>` stands for the first key there."""
    for part in pointer.split("/")[1:]:
        try:
            if part == "<name>":
                content = next(iter(content.values()))
            else:
                content = content[int(part)] if isinstance(content, list) else content[part]
        except (LookupError, StopIteration, TypeError):
            return False, content
    return True, content


def _is(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return number
        case "number 0..100":
            return number and 0 <= value <= 100
        case "epoch seconds":
            return number and 1e9 < value <= time.time() + 60
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "array of string":
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        case "object of arrays":
            return isinstance(value, dict) and bool(value) and all(isinstance(entry, list) for entry in value.values())
        case "ISO":
            return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    raise ValueError(f"unknown kind {kind!r}")
