"""Sites over a real wire-protocol database: what is stored arrives whole, in order, and as JSON."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pymongo
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from pymongo.database import Database

from scripts.harness.sites import local_sites, sites_api
from scripts.stack import EmbeddedMongo
from scripts.stack.ports import reserved_base
from scripts.stack.processes import Kept
from workers.sites.options import SitesOptions

Document = dict[str, Any]
HOUR = timedelta(hours=1)
START = datetime(2025, 6, 7, tzinfo=UTC)
CLIENTS = json.loads((Path(__file__).parents[1] / "data" / "existing_clients.json").read_text())["client_2025"]


class Server:
    """A database server of this module's own, which tests may freeze and end."""

    def __init__(self, port: int, folder: Path) -> None:
        self.mongo = EmbeddedMongo(port, folder, mark=f"sites-{port}", owner=os.getpid())
        self.mongo.start(dict(os.environ))
        self.client: pymongo.MongoClient[Document] = pymongo.MongoClient(self.mongo.uri, tz_aware=True)
        self._names = (f"site_{number}" for number in itertools.count())

    def new_site(self) -> Database[Document]:
        return self.client[next(self._names)]

    def signal(self, number: signal.Signals) -> None:
        kept = Kept("mongo", self.mongo.folder, self.mongo.mark)
        for pid in kept.processes():
            os.kill(pid, number)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with reserved_base() as base:
        server = Server(base, tmp_path_factory.mktemp("sites"))
        yield server
        server.client.close()
        server.mongo.stop()


@pytest.fixture
def site(server: Server) -> Database[Document]:
    """A site of this test's own, still empty."""
    return server.new_site()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with sites_api(SitesOptions(server.mongo.uri)) as client:
        yield client


async def ok(api: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: httpx.AsyncClient, path: str, status: int, **parameters: Any) -> str:
    answer = await api.get(path, params=parameters)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail", "code"}
    return str(answer.json()["detail"])


def fill(site: Database[Document], name: str, documents: list[Document], *, indexed: bool = True) -> None:
    if indexed:
        site[name].create_index("timestamp")
    site[name].insert_many(documents)


def as_stored(instant: datetime, kind: int) -> Any:
    """An instant as producers store it, in one of seven ways."""
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    east = instant + 2 * HOUR
    return (
        instant,
        f"{text}Z",
        text.replace("T", " "),
        f"{east:%Y-%m-%dT%H:%M:%S}+02:00",
        int(instant.timestamp()),
        instant.timestamp() * 1000,
        str(int(instant.timestamp() * 1000)),
    )[kind]


def numbers(documents: list[Document]) -> list[int]:
    return [document["n"] for document in documents]


@pytest.mark.parametrize("indexed", [True, False])
async def test_documents_come_by_instant_however_their_timestamps_are_stored(
    api: httpx.AsyncClient, site: Database[Document], indexed: bool
) -> None:
    documents = [{"timestamp": as_stored(START + n * timedelta(minutes=20), n % 7), "n": n} for n in range(400)]
    random.Random(5).shuffle(documents)
    fill(site, "building_a", documents, indexed=indexed)
    fill(site, "building_b", [{"timestamp": as_stored(START, 4), "n": 0}], indexed=indexed)
    site["schema"].insert_one({"_id": "schema", "schema": {}})

    found = await ok(api, f"/real-time-data/{site.name}")
    assert list(found) == ["building_a", "building_b"]
    assert numbers(found["building_a"]) == list(range(400))
    lines = (await api.get(f"/real-time-data/{site.name}", params={"format": "ndjson"})).text.splitlines()
    assert [json.loads(line)["collection"] for line in lines] == ["building_a"] * 400 + ["building_b"]
    assert numbers([json.loads(line)["document"] for line in lines]) == [*range(400), 0]

    newest = await ok(api, f"/real-time-data/{site.name}", limit=37, collections="building_a")
    assert numbers(newest["building_a"]) == list(range(363, 400))
    half = await ok(
        api, f"/historical-data/{site.name}", from_ts="2025-06-08T00:00:00Z", until_ts="2025-06-09 00:00:00"
    )
    assert numbers(half["collections"]["building_a"]["items"]) == list(range(72, 144))


@pytest.mark.parametrize("kind", range(7))
async def test_minutes_counts_back_from_now_for_each_kind_of_timestamp(
    api: httpx.AsyncClient, site: Database[Document], kind: int
) -> None:
    now = datetime.now(UTC)
    fill(site, "building_a", [{"timestamp": as_stored(now - n * HOUR, kind), "n": n} for n in range(60)])
    found = await ok(api, f"/real-time-data/{site.name}", minutes=24 * 60 + 30)
    assert numbers(found["building_a"]) == list(range(24, -1, -1))
    found = await ok(api, f"/historical-data/{site.name}", minutes=24 * 60 + 30)
    assert numbers(found["collections"]["building_a"]["items"]) == list(range(24, -1, -1))


async def test_each_document_comes_once_whatever_the_density_of_the_data(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    moments = [datetime(1971, 3, 1, tzinfo=UTC), datetime(2009, 1, 1, tzinfo=UTC)]
    moments += [datetime(2016, 1, 1, tzinfo=UTC) + n * timedelta(seconds=1) for n in range(5000)]
    moments += [datetime(2019, 1, 1, tzinfo=UTC) + n * timedelta(days=40) for n in range(30)]
    moments += [datetime(2024, 5, 5, 5, tzinfo=UTC)] * 1500
    moments += [datetime.now(UTC) + timedelta(days=3), datetime(2044, 1, 1, tzinfo=UTC)]
    fill(site, "building_a", [{"timestamp": moment, "n": n} for n, moment in enumerate(moments)])
    for _ in range(2):
        found = await ok(api, f"/real-time-data/{site.name}")
        assert sorted(numbers(found["building_a"])) == list(range(len(moments)))
        stamps = [document["timestamp"] for document in found["building_a"]]
        assert stamps == sorted(stamps)
    newest = await ok(api, f"/real-time-data/{site.name}", limit=1000)
    assert len(newest["building_a"]) == 1000


async def test_documents_without_a_readable_timestamp_come_where_no_range_is_asked(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    stamps = [None, "yesterday", START, "2025-06-07T01:00:00Z"]
    fill(site, "building_a", [*({"timestamp": stamp, "n": n} for n, stamp in enumerate(stamps)), {"n": 4}])
    found = numbers((await ok(api, f"/real-time-data/{site.name}"))["building_a"])
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert set(found[:2]) == {0, 4}
    ranged = await ok(api, f"/historical-data/{site.name}", from_ts="2025-01-01", until_ts="2026-01-01")
    assert numbers(ranged["collections"]["building_a"]["items"]) == [2, 3]


async def test_bson_types_become_json_once_and_well(api: httpx.AsyncClient, site: Database[Document]) -> None:
    identity = ObjectId()
    fill(
        site,
        "building_a",
        [
            {
                "_id": identity,
                "timestamp": START,
                "text": 'ü "\u2028',
                "nan": float("nan"),
                "inf": [float("inf"), {"deep": float("-inf")}],
                "price": Decimal128("0.1"),
                "whole": Decimal128("12"),
                "exact": Decimal128("0.1234567890123456789012345678901234"),
                "decimal_nan": Decimal128("NaN"),
                "large": Int64(2**62),
                "binary": Binary(b"\x00\xff"),
                "when": datetime(2025, 6, 7, 12, 30, 0, 5000, tzinfo=UTC),
                "pattern": Regex("^a", "i"),
                "flag": True,
                "nothing": None,
            }
        ],
    )
    answer = await api.get(f"/real-time-data/{site.name}")
    assert answer.headers["content-type"] == "application/json"
    (document,) = answer.json()["building_a"]
    when = document.pop("when")
    assert when.endswith("Z")
    assert datetime.fromisoformat(when) == datetime(2025, 6, 7, 12, 30, 0, 5000, tzinfo=UTC)
    assert document.pop("timestamp") == "2025-06-07T00:00:00Z"
    assert isinstance(document.pop("pattern"), str)
    assert document == {
        "_id": str(identity),
        "text": 'ü "\u2028',
        "nan": None,
        "inf": [None, {"deep": None}],
        "price": 0.1,
        "whole": 12,
        "exact": "0.1234567890123456789012345678901234",
        "decimal_nan": None,
        "large": 2**62,
        "binary": "AP8=",
        "flag": True,
        "nothing": None,
    }


async def test_one_bad_collection_says_so_in_its_own_place_and_the_rest_arrives(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    documents = [{"timestamp": START + n * HOUR, "n": n} for n in range(3)]
    fill(site, "building_a", documents)
    fill(site, "building_c", documents)
    site.command(
        {
            "create": "building_b",
            "viewOn": "building_a",
            "pipeline": [{"$project": {"timestamp": 1, "n": {"$divide": [1, "$n"]}}}],
        }
    )
    found = await ok(api, f"/real-time-data/{site.name}")
    assert numbers(found["building_a"]) == numbers(found["building_c"]) == [0, 1, 2]
    assert set(found["building_b"][-1]) == {"error", "code"}
    assert "building_b" in found["building_b"][-1]["error"]

    lines = (await api.get(f"/real-time-data/{site.name}", params={"format": "ndjson"})).text.splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["collection"] for entry in entries if "error" in entry] == ["building_b"]
    assert sum("document" in entry for entry in entries) == 6

    history = await ok(api, f"/historical-data/{site.name}", from_ts="2025-01-01", until_ts="2026-01-01")
    assert "building_b" in history["collections"]["building_b"]["error"]
    assert numbers(history["collections"]["building_c"]["items"]) == [0, 1, 2]


async def pages(api: httpx.AsyncClient, path: str, **parameters: Any) -> AsyncIterator[list[Document]]:
    """The pages of `building_a`, one after the other."""
    while True:
        page = (await ok(api, path, **parameters))["collections"]["building_a"]
        yield page["items"]
        if page["next_cursor"] is None:
            return
        parameters = {"cursor": page["next_cursor"], "limit": parameters["limit"]}


async def test_paging_gives_each_document_once_though_others_are_inserted_meanwhile(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    # Groups of equal instants that pages cut in two, each instant stored in several ways.
    documents = [{"timestamp": as_stored(START + n // 12 * HOUR, n % 7), "n": n} for n in range(240)]
    random.Random(3).shuffle(documents)
    fill(site, "building_a", documents)
    whole = await ok(api, f"/historical-data/{site.name}", from_ts="2025-06-01", until_ts="2025-07-01")
    assert whole["collections"]["building_a"]["next_cursor"] is None
    expected = numbers(whole["collections"]["building_a"]["items"])
    assert sorted(expected) == list(range(240))

    seen: list[int] = []
    path = f"/historical-data/{site.name}"
    async for items in pages(api, path, from_ts="2025-06-01", until_ts="2025-07-01", limit=25):
        seen += numbers(items)
        site["building_a"].insert_one({"timestamp": START - HOUR, "n": -1})
        site["building_a"].insert_one({"timestamp": START + 400 * HOUR, "n": 1000})
    assert [number for number in seen if number < 1000] == expected
    assert seen.count(1000) > 0


async def test_a_page_goes_on_behind_a_document_that_was_deleted(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    fill(site, "building_a", [{"_id": n, "timestamp": START, "n": n} for n in range(20)])
    path = f"/historical-data/{site.name}"
    first = (await ok(api, path, from_ts="2025-06-01", until_ts="2025-07-01", limit=10))["collections"]["building_a"]
    site["building_a"].delete_one({"_id": 9})
    rest = (await ok(api, path, cursor=first["next_cursor"]))["collections"]["building_a"]
    assert numbers(first["items"] + rest["items"]) == list(range(20))


@pytest.mark.parametrize("minutes", [15, 45, 90, 1440])
async def test_buckets_average_numbers_on_the_utc_epoch_page_by_page(
    api: httpx.AsyncClient, site: Database[Document], minutes: int
) -> None:
    documents: list[Document] = [
        {
            "timestamp": as_stored(START + n * timedelta(minutes=7), n % 7),
            "load": float(n),
            "state": "on" if n % 2 else "off",
            "deep": {"soc": Decimal128(Decimal(n)), "hole": float("nan")},
        }
        for n in range(500)
    ]
    fill(site, "building_a", documents)
    width = minutes * 60
    expected: dict[float, list[int]] = {}
    for n in range(500):
        instant = (START + n * timedelta(minutes=7)).timestamp()
        expected.setdefault(instant // width * width, []).append(n)

    found: list[Document] = []
    parameters = {"from_ts": "2025-06-07", "until_ts": "2025-07-07", "granularity_minutes": minutes, "limit": 25}
    async for items in pages(api, f"/historical-data/{site.name}", **parameters):
        found += items
    assert [datetime.fromisoformat(bucket["timestamp"]).timestamp() for bucket in found] == list(expected)
    for bucket, members in zip(found, expected.values(), strict=True):
        assert bucket["load"] == pytest.approx(sum(members) / len(members))
        assert bucket["deep"]["soc"] == pytest.approx(sum(members) / len(members))
        assert bucket["deep"]["hole"] is None
        assert bucket["state"] == documents[members[0]]["state"]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "minutes"),
        ({"from_ts": "2025-06-07"}, "until_ts"),
        ({"until_ts": "2025-06-07"}, "from_ts"),
        ({"from_ts": "2025-06-08", "until_ts": "2025-06-07"}, "earlier"),
        ({"from_ts": "2025-06-07", "until_ts": "2025-06-07"}, "earlier"),
        ({"from_ts": "Invalid Date", "until_ts": "2025-06-07"}, "from_ts"),
        ({"from_ts": "2025-06-07", "until_ts": "tomorrow"}, "until_ts"),
        ({"from_ts": "2025-06-07", "until_ts": "2025-06-08", "minutes": 5}, "not both"),
        ({"cursor": "not-a-cursor"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "", "minutes": 5}, "cursor"),
        ({"minutes": 5, "granularity_minutes": 60, "time_zone": "Europe/Nowhere"}, "Europe/Lisbon"),
        ({"minutes": 5, "granularity_minutes": 60, "time_zone": ""}, "Europe/Lisbon"),
        ({"minutes": 5, "granularity_minutes": 50, "time_zone": "Europe/Lisbon"}, "granularity_minutes"),
        ({"minutes": 5, "time_zone": "Europe/Lisbon"}, "granularity_minutes"),
    ],
    ids=str,
)
async def test_a_range_that_is_none_is_refused_with_a_sentence(
    api: httpx.AsyncClient, site: Database[Document], parameters: Document, says: str
) -> None:
    fill(site, "building_a", [{"timestamp": START}])
    assert says in await refused(api, f"/historical-data/{site.name}", 400, **parameters)


async def buckets(api: httpx.AsyncClient, site: Database[Document], **more: Any) -> list[Document]:
    """The hourly buckets of `building_a` on 2025-06-07, or as `more` says."""
    parameters = {"from_ts": "2025-06-07", "until_ts": "2025-06-08", "granularity_minutes": 60, **more}
    answer = await ok(api, f"/historical-data/{site.name}", **parameters)
    items: list[Document] = answer["collections"]["building_a"]["items"]
    return items


async def test_buckets_take_each_charger_each_text_and_each_soc_for_what_it_is(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    def charger(name: Any, soc: Any, power: Any) -> Document:
        return {"charger_id": name, "soc": soc, "power": power}

    fill(
        site,
        "building_a",
        [
            {"timestamp": START, "load": "1.5", "charging_sessions": [charger(3, 40, 2.0), charger(5, -1, "10")]},
            {
                "timestamp": START + HOUR / 2,
                "load": Decimal128("2.5"),
                "charging_sessions": [charger(5, None, "20"), charger(3, -1, 4.0)],
            },
        ],
    )
    (bucket,) = await buckets(api, site)
    assert bucket["load"] == 2.0
    assert bucket["charging_sessions"] == [charger(3, 40.0, 3.0), charger(5, None, 15.0)]


async def test_documents_of_one_instant_and_those_sent_again_count_once(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    second = timedelta(seconds=1)
    fill(
        site,
        "building_a",
        [
            # The last inserted counts, whatever its timestamp is stored as.
            {"_id": 9, "timestamp": as_stored(START, 0), "load": 4.0},
            {"_id": 1, "timestamp": as_stored(START, 4), "load": 100.0, "price": 0.5},
            # Each sent again a second later, once across the end of an hour.
            {"_id": 10, "timestamp": START + HOUR - second, "load": 1.0},
            {"_id": 11, "timestamp": START + HOUR, "load": 1.0},
            {"_id": 12, "timestamp": START + HOUR + 30 * second, "load": 7.0},
            {"_id": 13, "timestamp": START + HOUR + 33 * second, "load": 7.0},
            {"_id": 14, "timestamp": START + HOUR + 34 * second, "load": 4.0},
        ],
    )
    expected = [(2.5, 0.5), (6.0, None)]
    assert [(bucket["load"], bucket.get("price")) for bucket in await buckets(api, site)] == expected
    found = []
    parameters = {"from_ts": "2025-06-07", "until_ts": "2025-06-08", "granularity_minutes": 60, "limit": 1}
    async for items in pages(api, f"/historical-data/{site.name}", **parameters):
        found += [(bucket["load"], bucket.get("price")) for bucket in items]
    assert found == expected
    assert len(await buckets(api, site, from_ts="2025-06-07T01:00:00Z")) == 1
    # As they are, all of them come.
    raw = await ok(api, f"/historical-data/{site.name}", from_ts="2025-06-07", until_ts="2025-06-08")
    assert len(raw["collections"]["building_a"]["items"]) == 7


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-06-07", 24)])
async def test_a_local_day_has_the_hours_that_its_clock_gives_it(
    api: httpx.AsyncClient, site: Database[Document], day: str, hours: int
) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Lisbon")).astimezone(UTC)
    quarters = hours * 4
    fill(
        site,
        "building_a",
        [
            {"timestamp": as_stored(midnight + n * HOUR / 4, n % 7 if n >= 0 else 0), "n": n}
            for n in range(-8, quarters + 8)
        ],
    )
    span = {"from_ts": (midnight - HOUR).isoformat(), "until_ts": (midnight + (hours + 1) * HOUR).isoformat()}
    path = f"/historical-data/{site.name}"
    for minutes, count, mean in ((1440, 1, (quarters - 1) / 2), (60, hours, 1.5)):
        found: list[Document] = []
        query = {**span, "granularity_minutes": minutes, "time_zone": "Europe/Lisbon", "limit": 1 if count == 1 else 7}
        async for items in pages(api, path, **query):
            found += items
        within = [bucket for bucket in found if 0 <= bucket["n"] < quarters]
        assert len(within) == count
        assert within[0]["timestamp"] == f"{midnight:%Y-%m-%dT%H:%M:%S}.000Z"
        assert within[0]["n"] == mean
    assert [bucket["n"] for bucket in within] == [4 * n + 1.5 for n in range(hours)]


def items_of(history: Any) -> dict[str, list[int]]:
    return {name: numbers(page["items"]) for name, page in history["collections"].items()}


async def test_the_next_page_of_150_collections_is_one_request(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    names = [f"building_R-H-{n:03}" for n in range(150)]
    for name in names:
        texts = [f"2025-06-07T{hour:02}:00:00.123456+01:00" for hour in range(3)]
        fill(site, name, [{"timestamp": text, "n": n} for n, text in enumerate(texts)], indexed=False)
    path = f"/historical-data/{site.name}"
    for more, rest in (({}, [1, 2]), ({"granularity_minutes": 60, "time_zone": "Europe/Lisbon"}, [1.0, 2.0])):
        first = await ok(api, path, minutes=5_259_600, limit=1, **more)
        assert items_of(first) == {name: [0] for name in names}
        cursors = [page["next_cursor"] for page in first["collections"].values()]
        request = api.build_request("GET", path, params={"cursor": cursors})
        assert (
            len(request.url.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.headers.raw) < 15000
        )
        repeated = await api.send(request)
        assert repeated.status_code == 200, repeated.text
        assert items_of(repeated.json()) == dict.fromkeys(names, rest)
        for given in (cursors, ",".join(cursors)):
            posted = await api.post(path, json={"cursor": given})
            assert posted.json() == repeated.json()
        assert await ok(api, path, cursor=",".join(cursors)) == repeated.json()


async def test_a_body_asks_for_what_no_url_has_room_for(api: httpx.AsyncClient, site: Database[Document]) -> None:
    names = [f"building_{n:03}_{'x' * 80}" for n in range(120)]
    for name in names:
        fill(site, name, [{"_id": f"{n}-{'é' * 100}", "timestamp": START, "n": n} for n in range(2)], indexed=False)
    path = f"/historical-data/{site.name}"
    span = {"from_ts": "2025-06-07", "until_ts": "2025-06-08"}
    first = (await api.post(path, json={**span, "limit": 1, "collections": names})).json()["collections"]
    cursors = [page["next_cursor"] for page in first.values()]
    assert len(",".join(cursors)) > 15 << 10
    rest = await api.post(path, json={"cursor": cursors, "limit": 1})
    assert items_of(rest.json()) == {name: [1] for name in names}
    one = {**span, "granularity_minutes": 60, "collections": names[0], "time_zone": "Europe/Lisbon"}
    assert (await api.post(path, json=one)).json() == await ok(api, path, **one)
    for body, status in (
        ({}, 400),
        ({**span, "limit": 0}, 422),
        ({"minutes": "x"}, 422),
        ({**one, "time_zone": "Lisbon/Europe"}, 400),
        ([], 422),
    ):
        answer = await api.post(path, json=body)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"detail", "code"}


async def test_a_site_or_collection_that_is_not_there_is_named(
    api: httpx.AsyncClient, site: Database[Document]
) -> None:
    fill(site, "building_a", [{"timestamp": START}])
    for path in ("real-time-data", "historical-data"):
        more = {"minutes": 5}
        assert "no_such_site" in await refused(api, f"/{path}/no_such_site", 404, **more)
        assert "building_z" in await refused(
            api, f"/{path}/{site.name}", 404, collections="building_a,building_z", **more
        )
        assert "schema" in await refused(api, f"/{path}/{site.name}", 404, collections="schema", **more)
        for name in ("admin", "local", "config", "Admin", "%2e%2e", "a.b", "$x", "a b", "a%00", "status"):
            await refused(api, f"/{path}/{name}", 400, **more)
        assert (await api.get(f"/{path}/{site.name}", params={"minutes": 0})).status_code == 422


async def test_an_empty_range_or_collection_is_an_empty_list(api: httpx.AsyncClient, site: Database[Document]) -> None:
    fill(site, "building_a", [{"timestamp": START}])
    site.create_collection("building_b")
    assert await ok(api, f"/real-time-data/{site.name}", minutes=5) == {"building_a": [], "building_b": []}
    history = await ok(api, f"/historical-data/{site.name}", minutes=5, collections="building_b", limit=3)
    assert history["collections"] == {"building_b": {"items": [], "next_cursor": None}}
    assert (await api.get(f"/real-time-data/{site.name}?minutes=5&format=ndjson")).text == ""


@pytest.mark.parametrize("kind", [0, 2])
async def test_stamps_without_an_offset_are_the_clock_of_the_sites_source_time_zone(
    api: httpx.AsyncClient, site: Database[Document], kind: int
) -> None:
    # A day on which the clock goes back: its second pass of an hour can't be told from the first.
    lisbon = ZoneInfo("Europe/Lisbon")
    instants = [datetime(2025, 10, 25, 20, tzinfo=UTC) + n * HOUR for n in range(12) if n != 5]
    clocks = [instant.astimezone(lisbon).replace(tzinfo=UTC) for instant in instants]
    fill(site, "building_a", [{"timestamp": as_stored(clock, kind), "n": n} for n, clock in enumerate(clocks)])
    fill(site, "building_b", [{"timestamp": as_stored(instant, 1), "n": n} for n, instant in enumerate(instants)])
    site["schema"].insert_one({"_id": "schema", "schema": {"source_time_zone": "Europe/Lisbon"}})
    path = f"/historical-data/{site.name}"
    found = (await ok(api, path, from_ts="2025-10-25T23:00:00Z", until_ts="2025-10-26T03:00:00Z"))["collections"]
    within = [n for n, instant in enumerate(instants) if instant.hour >= 23 or instant.hour < 3]
    assert numbers(found["building_a"]["items"]) == numbers(found["building_b"]["items"]) == within
    if kind == 0:
        stamps = [datetime.fromisoformat(document["timestamp"]) for document in found["building_a"]["items"]]
        assert stamps == [instants[n] for n in within]
    now = datetime.now(UTC)
    fill(site, "building_c", [{"timestamp": as_stored(now.astimezone(lisbon).replace(tzinfo=UTC), kind), "n": 0}])
    assert len((await ok(api, f"/real-time-data/{site.name}", minutes=10))["building_c"]) == 1


async def test_the_existing_clients_calls_work(
    api: httpx.AsyncClient, server: Server, site: Database[Document]
) -> None:
    create = next(call for call in CLIENTS if call["path"] == "/schema/create")["body"]
    answer = await api.post("/schema/create", json={**create, "site": site.name})
    assert answer.status_code == 200, answer.text
    assert any("charger_1" in warning for warning in answer.json()["warnings"])
    assert await ok(api, f"/schema/{site.name}") == create["schema"]
    fill(site, "building_R-H-01", [{"timestamp": datetime.now(UTC), "load": 1.0}])
    assert list(await ok(api, f"/real-time-data/{site.name}?minutes=8600")) == ["building_R-H-01"]
    names = (await ok(api, "/sites"))["sites"]
    assert site.name in names
    assert not {"admin", "local", "config"} & set(names)


async def test_of_creators_of_one_schema_exactly_one_wins(api: httpx.AsyncClient, site: Database[Document]) -> None:
    bodies = [{"site": site.name, "schema": {"by": n}} for n in range(12)]
    answers = await asyncio.gather(*(api.post("/schema/create", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
    assert await ok(api, f"/schema/{site.name}") == {"by": winner}


async def test_a_schema_is_updated_only_where_there_is_one(api: httpx.AsyncClient, site: Database[Document]) -> None:
    update = {"schema": {"time_zone": "Europe/Lisbon"}}
    assert (await api.put(f"/schema/update/{site.name}", json=update)).status_code == 404
    assert "no site" in await refused(api, f"/schema/{site.name}", 404)
    fill(site, "building_a", [{"timestamp": START}])
    assert "no schema" in await refused(api, f"/schema/{site.name}", 404)
    assert (await api.post("/schema/create", json={"site": site.name, "schema": {}})).status_code == 200
    assert (await api.put(f"/schema/update/{site.name}", json=update)).status_code == 200
    assert await ok(api, f"/schema/{site.name}") == update["schema"]


async def test_a_schema_keeps_any_json_that_mongodb_can_hold(api: httpx.AsyncClient, site: Database[Document]) -> None:
    schema = {
        "dotted.key": {"$dollar": {"$gt": [1, None, 2.5, {"": "empty"}]}, "$ref": "x"},
        "$set": {"a": 1},
        "large": 2**62,
        "unicode": "Édifício \U0001f50b",
        "list": [[], {}, [[1]]],
    }
    assert (await api.post("/schema/create", json={"site": site.name, "schema": schema})).status_code == 200
    assert await ok(api, f"/schema/{site.name}") == schema
    assert (await api.put(f"/schema/update/{site.name}", json={"schema": schema})).status_code == 200
    assert await ok(api, f"/schema/{site.name}") == schema
    for bad in ({"nul\0key": 1}, {"text": "x" * (17 << 20)}):
        answer = await api.put(f"/schema/update/{site.name}", json={"schema": bad})
        assert answer.status_code in (400, 413), answer.text
    assert await ok(api, f"/schema/{site.name}") == schema
    assert (await api.post("/schema/create", json={"site": site.name, "schema": []})).status_code == 422
    assert (await api.post("/schema/create", json={"site": "admin", "schema": {}})).status_code == 400


async def test_with_the_database_down_or_frozen_every_route_says_so_and_recovers_by_itself(
    tmp_path: Path,
) -> None:
    with reserved_base() as base, contextlib.ExitStack() as exits:
        server = Server(base, tmp_path)
        exits.callback(server.mongo.stop)
        exits.callback(server.client.close)
        site = server.client["living_lab"]
        fill(site, "building_a", [{"timestamp": START, "n": 0}])
        options = SitesOptions(server.mongo.uri, mongo_timeout_s=1.0)
        async with sites_api(options) as api, local_sites(options) as client:

            async def all_refuse() -> None:
                calls = [
                    api.get("/sites"),
                    api.get("/real-time-data/living_lab"),
                    api.get("/historical-data/living_lab?minutes=5"),
                    api.get("/schema/living_lab"),
                    api.post("/schema/create", json={"site": "living_lab", "schema": {}}),
                    api.put("/schema/update/living_lab", json={"schema": {}}),
                ]
                for answer in await asyncio.gather(*calls):
                    assert answer.status_code == 503, answer.text
                    assert f"127.0.0.1:{base}" in answer.json()["detail"]
                health = await client.ping()
                assert not health["ok"]
                assert f"127.0.0.1:{base}" in health["error"]

            async def works() -> None:
                for _ in range(100):
                    answer = await api.get("/real-time-data/living_lab")
                    if answer.status_code == 200 and (await client.ping())["ok"]:
                        assert numbers(answer.json()["building_a"]) == [0]
                        return
                    await asyncio.sleep(0.2)
                raise AssertionError(answer.text)

            await works()
            server.signal(signal.SIGSTOP)
            try:
                await all_refuse()
            finally:
                server.signal(signal.SIGCONT)
            await works()
            server.mongo.stop()
            await all_refuse()
            server.mongo.start(dict(os.environ))
            await works()


async def test_without_a_configured_database_the_answer_says_what_to_set() -> None:
    for uri, says in ((None, "OPEVA_MONGO_URI"), ("mongodb://u:secret@host:port:x/", "OPEVA_MONGO_URI")):
        async with sites_api(SitesOptions(uri)) as api:
            detail = await refused(api, "/sites", 503)
            assert says in detail
            assert "secret" not in detail


async def test_a_site_that_the_user_may_not_read_is_left_out_of_the_list(tmp_path: Path) -> None:
    def serve(*more: str) -> None:
        data = ["--host", "127.0.0.1", "--port", str(base), "--storage-path", str(tmp_path / "data")]
        kept.start(
            [str(Path(sys.executable).with_name("secantusd-py")), *data, *more], dict(os.environ), owner=os.getpid()
        )
        with pymongo.MongoClient[Document](f"mongodb://127.0.0.1:{base}/", serverSelectionTimeoutMS=90_000) as client:
            client.admin.command("ping")

    def uri(user: str, password: str) -> str:
        return f"mongodb://{user}:{password}@127.0.0.1:{base}/?authSource=admin"

    with reserved_base() as base, contextlib.ExitStack() as exits:
        kept = Kept("mongo", tmp_path, f"sites-auth-{base}")
        exits.callback(kept.stop)
        serve()
        with pymongo.MongoClient[Document](f"mongodb://127.0.0.1:{base}/") as client:
            for name in ("open_site", "closed_site"):
                fill(client[name], "building_a", [{"timestamp": START, "n": 0}])
            read: list[Any] = [{"role": "read", "db": "open_site"}]
            client.admin.command("createUser", "narrow", pwd="pw", roles=read)
            client.admin.command(
                "createUser", "lister", pwd="pw", roles=[*read, {"role": "clusterMonitor", "db": "admin"}]
            )
        kept.stop()
        serve("--auth")
        async with sites_api(SitesOptions(uri("lister", "pw"))) as api:
            assert await ok(api, "/sites") == {"sites": ["open_site"]}
            assert numbers((await ok(api, "/real-time-data/open_site"))["building_a"]) == [0]
            assert "closed_site" in await refused(api, "/real-time-data/closed_site", 404)
        async with sites_api(SitesOptions(uri("narrow", "pw"))) as api:
            assert numbers((await ok(api, "/real-time-data/open_site"))["building_a"]) == [0]
            assert "closed_site" in await refused(api, "/real-time-data/closed_site", 404)
        async with sites_api(SitesOptions(uri("lister", "secret"), mongo_timeout_s=2.0)) as api:
            detail = await refused(api, "/sites", 503)
            assert "password" in detail
            assert "secret" not in detail
