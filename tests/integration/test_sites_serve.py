"""Sites through the real deployments: Serve, two API replicas, the pipe, a database that goes and comes back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
import requests
from pymongo.database import Database

from scripts.harness.api import Api, eventually
from scripts.stack import EmbeddedMongo, Stack
from workers.sites.options import SitesOptions

START = datetime(2025, 6, 7, tzinfo=UTC)
COUNT = 20_000


@pytest.fixture(scope="module")
def site(mongo: EmbeddedMongo) -> Iterator[Database[dict[str, Any]]]:
    """A site of some megabytes."""
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        database = client["streamed_site"]
        database["building_a"].create_index("timestamp")
        database["building_a"].insert_many(
            {"timestamp": START + n * timedelta(minutes=1), "n": n, "text": "x" * 400} for n in range(COUNT)
        )
        database["schema"].insert_one({"_id": "schema", "schema": {"time_zone": "Europe/Lisbon"}})
        yield database
        client.drop_database("streamed_site")


def test_a_site_arrives_whole_through_the_deployments(api: Api, site: Database[dict[str, Any]]) -> None:
    assert site.name in api.json("/sites")["sites"]
    assert api.json(f"/schema/{site.name}") == {"time_zone": "Europe/Lisbon"}
    found = api.json(f"/real-time-data/{site.name}")
    assert [document["n"] for document in found["building_a"]] == list(range(COUNT))
    with api.get(f"/real-time-data/{site.name}", params={"format": "ndjson"}, stream=True) as answer:
        lines = [json.loads(line)["document"]["n"] for line in answer.iter_lines()]
    assert lines == list(range(COUNT))
    history = api.json(
        f"/historical-data/{site.name}", from_ts="2025-06-07", until_ts="2025-06-08", granularity_minutes=90
    )
    assert [bucket["n"] for bucket in history["collections"]["building_a"]["items"]] == [
        44.5 + 90 * n for n in range(16)
    ]


def test_errors_keep_their_status_on_their_way_through_ray(api: Api, site: Database[dict[str, Any]]) -> None:
    body = {"site": site.name, "schema": {}}
    answers = {
        400: api.get("/real-time-data/admin"),
        404: api.get(f"/real-time-data/{site.name}", params={"collections": "building_z"}),
        409: api.post("/schema/create", json=body),
        422: api.post("/schema/create", json={"site": site.name}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status, answer.text
        assert isinstance(answer.json()["detail"], str)


def test_clients_that_leave_in_the_middle_of_a_stream_hold_nothing(api: Api, site: Database[dict[str, Any]]) -> None:
    for _ in range(SitesOptions(None).site_max_streams + 8):
        with api.get(f"/real-time-data/{site.name}", stream=True) as answer:
            if answer.status_code == 200:
                next(answer.iter_content(1000))

    def works() -> bool:
        answer = api.get(f"/real-time-data/{site.name}")
        return answer.status_code == 200 and len(answer.json()["building_a"]) == COUNT

    eventually(works, what="A stream after those that were left")


def test_with_the_database_killed_the_api_says_so_and_recovers_by_itself(
    stack: Stack, api: Api, mongo: EmbeddedMongo, site: Database[dict[str, Any]]
) -> None:
    mongo.kill()
    try:
        calls = [
            api.get("/sites"),
            api.get(f"/real-time-data/{site.name}"),
            api.get(f"/historical-data/{site.name}", params={"minutes": 5}),
            api.get(f"/schema/{site.name}"),
            api.put(f"/schema/update/{site.name}", json={"schema": {}}),
        ]
        for answer in calls:
            assert answer.status_code == 503, answer.text
            assert f"127.0.0.1:{mongo.port}" in answer.json()["detail"]
        deep = api.get("/health", params={"deep": True})
        assert deep.status_code == 503
        assert deep.json()["mongo"]["status"] == "error"
        assert api.get("/health").status_code == 200
        assert api.get("/jobs").status_code == 200
    finally:
        mongo.start(stack.environment())

    def recovered() -> requests.Response:
        return api.get(f"/real-time-data/{site.name}", params={"limit": 3})

    answer = eventually(recovered, lambda seen: seen.status_code == 200, what="The sites after the database came back")
    assert [document["n"] for document in answer.json()["building_a"]] == [COUNT - 3, COUNT - 2, COUNT - 1]
    assert api.json(f"/schema/{site.name}") == {"time_zone": "Europe/Lisbon"}


def test_a_database_that_dies_under_a_stream_is_told_in_its_place_or_ends_it_visibly(
    stack: Stack, api: Api, mongo: EmbeddedMongo, site: Database[dict[str, Any]]
) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    documents = [{"timestamp": start + timedelta(minutes=n), "n": n, "text": "x" * 20_000} for n in range(4000)]
    site["long"].insert_many(documents)
    with api.get(f"/real-time-data/{site.name}", params={"collections": "long"}, stream=True) as answer:
        pieces = answer.iter_content(1 << 16)
        received = [next(pieces)]
        mongo.kill()
        try:
            received.extend(pieces)
        finally:
            mongo.start(stack.environment())
    *whole, last = json.loads(b"".join(received))["long"]
    assert [document["n"] for document in whole] == list(range(len(whole)))
    assert len(whole) < len(documents)
    assert last["code"] == "mongo_unavailable"
    assert f"127.0.0.1:{mongo.port}" in last["error"]
    eventually(lambda: len(api.json(f"/real-time-data/{site.name}", collections="long")["long"]), lambda n: n == 4000)
