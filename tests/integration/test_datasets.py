"""Datasets from a real database, built by Ray Data on a real stack, proven in CityLearn."""

import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.harness.titles import DATASETS
from scripts.stack import EmbeddedMongo, Stack
from tests.citylearn import documents
from tests.citylearn.test_citylearn_steps_datasets import ENVIRONMENTS, step
from tests.faults.faults import kill_processes
from workers.common.layout import Layout

Document = dict[str, Any]
START = datetime(2025, 6, 7, tzinfo=UTC)
CLIENTS = json.loads((Path(__file__).parents[1] / "data" / "existing_clients.json").read_text())["client_2025"]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(mongo: EmbeddedMongo) -> Iterator[pymongo.MongoClient[Document]]:
    with pymongo.MongoClient[Document](mongo.uri) as client:
        yield client


@pytest.fixture
def site(server: pymongo.MongoClient[Document]) -> Iterator[Database[Document]]:
    """A site of a test's own, with three days of two buildings and their cars."""
    database = server[f"datasets_{next(_numbers)}"]
    content = documents.site(START, 3, {"A": "flat", "B": "nested"}, chargers=True)
    for collection, stored in content.items():
        database[collection].create_index("timestamp")
        database[collection].insert_many(stored)
    database["schema"].insert_one({"_id": "schema", "schema": documents.schema(chargers=True)})
    yield database
    server.drop_database(database.name)


@pytest.fixture
def layout(stack: Stack) -> Layout:
    return Layout(stack.plan.shared_root)


def name() -> str:
    return f"dataset-{next(_numbers)}"


def built(api: Api, body: Document, **query: str) -> Any:
    return api.post("/dataset", json=body, params=query, timeout=300)


def test_a_sites_data_become_a_dataset_that_citylearn_steps(api: Api, site: Database[Document], layout: Layout) -> None:
    body: Document = {"name": name(), "site_id": site.name, "period": 15}
    answer = built(api, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == 3 * 96
    assert answer.json()["validation"] is None
    folder = layout.dataset(body["name"])
    for environment in ENVIRONMENTS:
        (told,) = step(environment, [folder])
        assert told["steps"] == 3 * 96 - 1
        assert all(energy > 1.0 for energy in told["charged_kwh"].values())
    # Nothing of a build is left but the dataset and what is told of it.
    assert not list((layout.private / "builds").iterdir())
    status = api.json(f"/dataset/{body['name']}/status")
    assert (status["status"], status["percent"], status["rows"]) == ("finished", 100.0, 3 * 96)
    assert status["warnings"] == api.json(f"/dataset/{body['name']}")["warnings"] == answer.json()["warnings"]


def test_an_existing_clients_request_is_built_as_it_is(api: Api, site: Database[Document], layout: Layout) -> None:
    (known,) = [c for c in CLIENTS if c["path"] == "/dataset" and c["body"]["name"]]
    body = {**known["body"], "name": name(), "site_id": site.name}
    answer = built(api, body)
    assert answer.status_code == 200, answer.text
    (told,) = step("CityLearn 3.0.2", [layout.dataset(body["name"])])
    assert told["steps"] == answer.json()["rows"] - 1 == 52  # from 14:00 to 19:00, two days later
    listed = {row["name"]: row for row in api.json("/datasets")}[body["name"]]
    assert (listed["site_id"], listed["period"]) == (site.name, 60)
    assert api.get(f"/dataset/download/{body['name']}").status_code == 200
    assert "removed" in api.delete(f"/dataset/{body['name']}").json()["message"]
    assert api.get(f"/dataset/{body['name']}/status").status_code == 404


def test_two_builds_of_one_request_are_the_same_bytes(api: Api, site: Database[Document], layout: Layout) -> None:
    bodies = [{"name": name(), "site_id": site.name} for _ in range(2)]
    contents = []
    for body in bodies:
        assert built(api, body).status_code == 200
        archive = api.get(f"/dataset/download/{body['name']}", timeout=60).content
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            contents.append({n: opened.read(n) for n in opened.namelist() if n != "manifest.json"})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 7


def test_a_name_that_is_taken_is_refused_or_replaced_in_one_step(
    api: Api, site: Database[Document], layout: Layout
) -> None:
    body = {"name": name(), "site_id": site.name, "description": "first"}
    assert built(api, body).status_code == 200
    again = built(api, {**body, "description": "second"})
    assert (again.status_code, again.json()["code"]) == (409, "dataset_exists")
    assert api.json(f"/dataset/{body['name']}")["description"] == "first"
    replaced = built(api, {**body, "description": "second", "overwrite": True})
    assert replaced.status_code == 200, replaced.text
    assert api.json(f"/dataset/{body['name']}")["description"] == "second"
    assert not list((layout.private / "builds").iterdir())


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"site_id": "no_such_site"}, 404, "no_such_site"),
        ({"citylearn_configs": {"selected_buildings": ["Z"]}}, 404, "'Z'"),
        ({"from_ts": "2031-01-01", "until_ts": "2031-02-01"}, 404, "no readings"),
        ({"from_ts": "2025-06-08", "until_ts": "2025-06-08"}, 400, "2025-06-08"),
        ({"from_ts": "Invalid Date", "until_ts": "Invalid Date"}, 400, "Invalid Date"),
        ({"period": 7}, 400, "divides a day"),
        ({"citylearn_configs": {"weather": "no-such-dataset"}}, 404, "no-such-dataset"),
    ],
)
def test_what_cannot_be_built_is_refused_and_leaves_nothing(
    api: Api, site: Database[Document], layout: Layout, change: Document, status: int, said: str
) -> None:
    body = {"name": name(), "site_id": site.name, **change}
    answer = built(api, body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]
    assert not layout.dataset(body["name"]).exists()
    assert not list((layout.private / "builds").glob("*"))


def test_a_build_goes_on_by_itself_and_tells_how_far_it_is(api: Api, site: Database[Document], layout: Layout) -> None:
    body = {"name": name(), "site_id": site.name}
    started = built(api, body, wait="false")
    assert started.status_code == 202, started.text
    url = "/" + started.json()["status_url"]
    seen: list[Document] = []

    def look() -> bool:
        seen.append(api.json(url))
        return seen[-1]["status"] not in ("queued", "running")

    eventually(look)
    assert (seen[-1]["status"], seen[-1]["percent"], seen[-1]["rows"]) == ("finished", 100.0, 72)
    assert [s["percent"] for s in seen] == sorted(s["percent"] for s in seen)
    assert {s["stage"] for s in seen} <= {"waiting", "starting", "reading", "completing", "writing", "finished"}
    assert layout.dataset(body["name"]).is_dir()


@pytest.fixture
def long_build(server: pymongo.MongoClient[Document]) -> Iterator[Document]:
    """The request of a build that takes seconds: finding, reading and completing so much."""
    database = server[f"datasets_{next(_numbers)}"]
    minutes = [{"timestamp": START + timedelta(minutes=m), "non_shiftable_load": 0.1} for m in range(10 * 1440)]
    for collection in ("building_A", "building_B"):
        database[collection].create_index("timestamp")
        database[collection].insert_many([{**document} for document in minutes])
    yield {"name": name(), "site_id": database.name}
    server.drop_database(database.name)


def ended(api: Api, body: Document) -> Document:
    """The status of a build, once it has ended."""
    url = f"/dataset/{body['name']}/status"
    told: Document = eventually(lambda: api.json(url), lambda s: s["status"] not in ("queued", "running"))
    return told


def test_a_cancelled_build_leaves_nothing(api: Api, long_build: Document, layout: Layout) -> None:
    cancel = f"/dataset/{long_build['name']}/cancel"
    assert built(api, long_build, wait="false").status_code == 202
    assert "is being cancelled" in api.post(cancel).json()["message"]
    told = ended(api, long_build)
    assert (told["status"], told["code"]) == ("canceled", "build_cancelled")
    assert not layout.dataset(long_build["name"]).exists()
    eventually(lambda: not list((layout.private / "builds").iterdir()))
    assert "has ended" in api.post(cancel).json()["message"]


def test_a_build_whose_process_is_killed_is_told_as_interrupted_and_leaves_nothing(
    stack: Stack, api: Api, long_build: Document, layout: Layout
) -> None:
    assert built(api, long_build, wait="false").status_code == 202
    eventually(lambda: list((layout.private / "builds").iterdir()), what="the build's folder")
    kill_processes(stack, DATASETS)
    eventually(lambda: api.get("/datasets").ok and api.get(f"/dataset/{long_build['name']}/status").ok)
    told = ended(api, long_build)
    assert (told["status"], told["code"]) == ("failed", "build_interrupted")
    assert not layout.dataset(long_build["name"]).exists()
    eventually(lambda: not list((layout.private / "builds").iterdir()), what="the end of the build's folder")
    assert built(api, long_build).status_code == 200


@pytest.mark.usefixtures("busybox_image")
def test_a_build_needs_no_cpu_that_simulations_hold(api: Api, site: Database[Document]) -> None:
    job = jobs.submit(api, jobs.SLEEP, resources={"cpus": 2}, target_host="local")
    try:
        jobs.wait_for(api, job, "running")
        assert built(api, {"name": name(), "site_id": site.name}).status_code == 200
    finally:
        jobs.stop_all(api)


def test_dates_available_are_by_timestamp_whatever_its_type(api: Api, server: pymongo.MongoClient[Document]) -> None:
    database = server[f"datasets_{next(_numbers)}"]
    for collection, index in (("building_A", True), ("building_B", False)):
        if index:
            database[collection].create_index("timestamp")
        database[collection].insert_many(
            [
                {"timestamp": START},
                {"timestamp": "2025-06-01T01:30:00+02:00"},
                {"timestamp": int((START + timedelta(days=9)).timestamp() * 1000)},
                {"timestamp": (START - timedelta(days=2)).timestamp()},
                {"timestamp": "never"},
            ]
        )
    database["building_C"].insert_one({"timestamp": None})
    database["logs"].insert_one({"timestamp": START - timedelta(days=99)})
    try:
        assert api.json(f"/dataset/dates-available/{database.name}") == [
            {
                "installation": f"building_{letter}",
                "oldest_record": "2025-05-31T23:30:00.000Z",
                "newest_record": "2025-06-16T00:00:00.000Z",
            }
            for letter in "AB"
        ]
        assert api.get("/dataset/dates-available/no_such_site").status_code == 404
    finally:
        server.drop_database(database.name)


def test_a_dataset_is_validated_by_the_simulator_if_asked(
    api: Api, site: Database[Document], image: str, layout: Layout
) -> None:
    body: Document = {"name": name(), "site_id": site.name, "validate": True}
    answer = built(api, body)
    assert answer.status_code == 200, answer.text
    validation = answer.json()["validation"]
    assert (validation["status"], validation["image"]) == ("passed", image), validation
    stored = json.loads((layout.dataset(body["name"]) / "manifest.json").read_text())
    assert stored["validation"] == validation
    assert api.json(f"/status/{validation['job_id']}")["status"] == "finished"


def test_a_building_without_an_index_is_read_as_well(api: Api, site: Database[Document], layout: Layout) -> None:
    indexed, plain = name(), name()
    assert built(api, {"name": indexed, "site_id": site.name}).status_code == 200
    for collection in ("building_A", "building_B"):
        site[collection].drop_indexes()
    assert built(api, {"name": plain, "site_id": site.name}).status_code == 200
    for file in layout.dataset(indexed).glob("*.csv"):
        assert (layout.dataset(plain) / Path(file).name).read_bytes() == file.read_bytes()
