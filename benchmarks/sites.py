"""How fast a site's documents stream, against a bare loop over the same documents.

    python -m benchmarks.sites --uri mongodb://127.0.0.1:27017 [--documents 1000000] [--api http://127.0.0.1:8000]

Loads the documents once (a database named after their number), with the index on `timestamp`, then measures in one run:

- bare: a pymongo loop over the sorted collection that dumps each document with orjson;
- reader: `workers.sites.streams` alone, in this process;
- api: `GET /real-time-data` of a running system, with the growth of its Serve replicas' memory (on this machine).

Then the first two once more, against a server that answers from memory (`benchmarks.replay_mongo`), so that only this
side costs, beside that server's own rate, the batches as bytes (raw) and with their decoding (decode). Of each way that
runs in this process its peak of memory is printed, beyond what the process had.
"""

import argparse
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import bson
import orjson
import pymongo
import requests

from benchmarks import peaks
from benchmarks.replay_mongo import Replay, speed
from workers.sites.client import MongoConnection
from workers.sites.database import Sites
from workers.sites.options import SitesOptions
from workers.sites.streams import RealTimeQuery, blocks, real_time
from workers.sites.time_queries import SERVER_BATCH, latest_s
from workers.sites.windows import Floors

_COLLECTION: Final = "building_1"
_INSERT: Final = 5000
_CADENCE: Final = timedelta(minutes=1)
_REPLICAS: Final = ("ray::ServeReplica", "ray::ProxyActor")


@dataclass
class Measured:
    """One way to read the documents."""

    name: str
    seconds: float
    #: Of this process's processors: what a machine that others use too disturbs least.
    cpu_s: float
    first_byte_s: float
    size: int
    #: Bytes at the peak, beyond what this process had.
    memory: int

    def line(self, documents: int, bare: "Measured") -> str:
        rate = documents / self.seconds
        ratio = bare.seconds / self.seconds
        return (
            f"{self.name:8s} {self.seconds:8.1f} s  first byte {self.first_byte_s:6.2f} s  {rate:9.0f} documents/s"
            f"  {self.size / 1e6:7.0f} MB  {ratio:5.2f} of bare"
            f"  {self.cpu_s:6.1f} s of CPU  {self.memory / 1e6:6.1f} MB of memory"
        )


def load(uri: str, site: str, documents: int) -> None:
    """Fill the site, unless it is filled already."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
    collection = client[site][_COLLECTION]
    if collection.estimated_document_count() == documents:
        return
    print(f"Loading {documents} documents into {site} …", flush=True)
    collection.drop()
    collection.create_index("timestamp")
    random = Random(1)
    last = datetime.now(UTC).replace(second=0, microsecond=0)
    for start in range(0, documents, _INSERT):
        stamps = [last - (documents - n) * _CADENCE for n in range(start, min(start + _INSERT, documents))]
        collection.insert_many([_document(stamp, random) for stamp in stamps], ordered=False)


def _document(stamp: datetime, random: Random) -> dict[str, Any]:
    session = {
        "charger_id": "AC000001_1",
        "soc": random.randrange(100),
        "power": 3.3,
        "user_id": "u1",
        "flexibility": {"arrival.time": "09:00:00", "departure.time": "17:00:00", "departure.soc": 80},
    }
    return {
        "timestamp": stamp,
        "non_shiftable_load": random.random(),
        "solar_generation": random.random(),
        "electricity_pricing": 0.12,
        "generated": 0,
        "charging_sessions": [session],
    }


def _bare(uri: str, site: str) -> Iterator[bytes]:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
    with client[site][_COLLECTION].find({}, sort=[("timestamp", 1)]) as cursor:
        for document in cursor:
            yield orjson.dumps(document, default=str)


def _raw(uri: str, site: str) -> Iterator[bytes]:
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        collection, order = client[site][_COLLECTION], [("timestamp", 1)]
        batches: Iterator[Any] = collection.find_raw_batches({}, sort=order, batch_size=SERVER_BATCH)
        yield from batches


def _decode(uri: str, site: str) -> Iterator[bytes]:
    for raw in _raw(uri, site):
        bson.decode_all(raw)
        yield raw


def _reader(uri: str, site: str) -> Iterator[bytes]:
    connection = MongoConnection(SitesOptions(uri))
    yield from blocks(real_time(connection, Sites(connection).open(site), RealTimeQuery(), Floors()))


def _api(api: str, site: str) -> Iterator[bytes]:
    with requests.get(f"{api}/real-time-data/{site}", stream=True, timeout=600) as answer:
        answer.raise_for_status()
        yield from answer.iter_content(1 << 18)


def _measure(name: str, read: Callable[[], Iterator[bytes]]) -> Measured:
    gc.collect()
    peaks.forget()
    before = peaks.peak()
    start, cpu = time.perf_counter(), time.process_time()
    first: float | None = None
    size = 0
    for piece in read():
        if first is None:
            first = time.perf_counter() - start
        size += len(piece)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return Measured(name, seconds, cpu_s, first or 0.0, size, peaks.peak() - before)


def _replayed(uri: str, site: str) -> list[Measured]:
    """What this side costs by itself; prints the rate at which the replay serves."""
    reads = {"bare": _bare, "raw": _raw, "decode": _decode, "reader": _reader}
    # The reader looks for documents until a day after now, which must be the same now for the replay to know it.
    with Replay(uri) as replay, patch("workers.sites.windows.latest_s", return_value=latest_s()):
        sizes = {name: sum(map(len, read(replay.uri, site))) for name, read in reads.items()}
        replay.only()
        rate = speed(
            replay.uri, site, {"find": _COLLECTION, "filter": {}, "sort": {"timestamp": 1}, "batchSize": SERVER_BATCH}
        )
        print(f"replay   {rate:8.0f} MB/s served from memory")
        ways = [_measure(name, partial(read, replay.uri, site)) for name, read in reads.items()]
    # A stream tells of an error in its own text.
    if {way.name: way.size for way in ways} != sizes:
        raise RuntimeError(f"The replay gave other answers than {sizes}: {ways}")
    return ways


class Memory:
    """The resident memory of the Serve replicas on this machine, sampled until it is asked for its growth."""

    def __init__(self) -> None:
        self._before = _resident()
        self._peak = dict(self._before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            for name, size in _resident().items():
                self._peak[name] = max(size, self._peak.get(name, 0))

    def growth(self) -> dict[str, int]:
        """Bytes by process, at the peak."""
        self._stop.set()
        self._thread.join()
        return {name: self._peak[name] - size for name, size in self._before.items()}


def _resident() -> dict[str, int]:
    """Private resident bytes of each replica: what it shares with others (Ray's object store) is not its growth."""
    found: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            title = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if title.startswith(_REPLICAS):
                pages = (process / "statm").read_text().split()
                found[f"{title} ({process.name})"] = (int(pages[1]) - int(pages[2])) * 4096
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--api", help="the address of a running system that reads the same database")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    options = parser.parse_args()
    site = f"bench_{options.documents}"
    load(options.uri, site, options.documents)

    ways = [_measure("bare", lambda: _bare(options.uri, site)), _measure("reader", lambda: _reader(options.uri, site))]
    growth: dict[str, int] = {}
    if options.api:
        memory = Memory()
        ways.append(_measure("api", lambda: _api(options.api, site)))
        growth = memory.growth()
    for way in ways:
        print(way.line(options.documents, ways[0]))
    replayed = _replayed(options.uri, site)
    for way in replayed:
        print(way.line(options.documents, replayed[0]))
    for name, size in growth.items():
        print(f"{size / 1e6:6.1f} MB more in {name}")
    if options.json:
        print(json.dumps({"ways": [vars(w) for w in ways], "replayed": [vars(w) for w in replayed], "growth": growth}))


if __name__ == "__main__":
    main()
