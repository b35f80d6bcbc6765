"""How long a dataset of a year takes, against a bare loop that only reads the same fields.

    python -m benchmarks.datasets --uri mongodb://127.0.0.1:27017 [--days 365] [--cadence 1] [--buildings 1]
        [--period 60] [--readers N] [--builds N] [--sessions]

Loads the documents once (a database named after their number), with the index on `timestamp`, starts a Ray of its own,
and measures in one run:

- bare: a pymongo loop over a find with the projection of a build;
- convert: what a build does with documents beside reading them, on documents in memory, by one process and by as many
  as there are cores, beside a loop that does nothing, which shows what the cores themselves give: so the CPU-bound part
  scales where the database does not;
- build: the whole, from the request to the folder, after one small build that started its processes. Each is between
  two bare loops and compared with their mean, since a machine that others use too is not always as fast;
- replay: the same against a server that answers from memory (`benchmarks.replay_mongo`), so that only this side costs:
  the rate of that server itself, the batches as bytes (raw), with their decoding (decode), the bare loop, and builds.

The embedded database serves one core, so whole builds scale with `--readers` on a real MongoDB or the replay only.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import bson
import pymongo
import ray
from pymongo.collection import Collection

from benchmarks import peaks
from benchmarks.replay_mongo import Replay, speed
from workers.common.layout import Layout
from workers.datasets.asked.request import DatasetRequest, parse_request
from workers.datasets.asked.site_schema import SiteSchema, select_buildings
from workers.datasets.builds import pipeline
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.kept.store import DatasetStore
from workers.datasets.measures.grid import MINUTE_MS, TimeWindow
from workers.datasets.reading.documents import ReadOptions
from workers.datasets.reading.mongo import PROJECTION
from workers.datasets.reading.users import CarNames
from workers.datasets.steps.windows import read_window
from workers.sites.client import MongoConnection
from workers.sites.database import Sites
from workers.sites.options import SitesOptions
from workers.sites.time_queries import SERVER_BATCH

Document = dict[str, Any]
START: Final = datetime(2025, 1, 1, tzinfo=UTC)
_INSERT: Final = 5000
_SAMPLE: Final = 50_000
_ROUNDS: Final = 20
_LOOPS: Final = 40_000_000
#: How the names of Ray's worker processes begin.
_TASKS: Final = "ray::"


@dataclass(frozen=True)
class Data:
    """What is measured on."""

    days: int
    cadence: float
    buildings: int
    sessions: bool

    @property
    def of_building(self) -> int:
        return int(self.days * 1440 / self.cadence)

    @property
    def total(self) -> int:
        return self.of_building * self.buildings

    @property
    def site(self) -> str:
        return f"benchmark_{self.total}_{self.buildings}{'_sessions' if self.sessions else ''}"

    def documents(self) -> Iterator[Document]:
        """One building's documents."""
        for i in range(self.of_building):
            moment = START + timedelta(minutes=self.cadence * i)
            document = {
                "timestamp": moment,
                "non_shiftable_load": 0.01 + i % 7 * 0.001,
                "solar_generation": 0.005,
                "electricity_pricing": 0.1 + moment.hour * 0.005,
                "indoor_dry_bulb_temperature": 20.5,
            }
            if self.sessions:
                user = "anna" if 9 <= moment.hour < 17 else ""
                flexibility = {"departure.time": "17:00:00", "departure.soc": 80}
                document["charging_sessions"] = [
                    {"charger_id": "AC1", "user_id": user, "soc": 40, "flexibility": flexibility}
                ]
            yield document


def load(uri: str, data: Data) -> None:
    """Fill the site, unless it is filled already."""
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri)
    database = client[data.site]
    if database["complete"].find_one():
        return
    client.drop_database(data.site)
    for number in range(data.buildings):
        collection = database[f"building_{number}"]
        collection.create_index("timestamp")
        batch: list[Document] = []
        for document in data.documents():
            batch.append(document)
            if len(batch) == _INSERT:
                collection.insert_many(batch)
                batch = []
        if batch:
            collection.insert_many(batch)
    database["complete"].insert_one({"at": time.time()})


def _condition(data: Data) -> Document:
    return {"timestamp": {"$gte": START, "$lt": START + timedelta(days=data.days)}}


def _seconds(read: Callable[[Collection[Document]], int], uri: str, data: Data) -> float:
    """Seconds that `read` takes for all documents; it returns the number of a collection's."""
    begun = time.perf_counter()
    with pymongo.MongoClient[Document](uri) as client:
        count = sum(read(client[data.site][f"building_{number}"]) for number in range(data.buildings))
    if count != data.total:
        raise RuntimeError(f"{count} documents were read instead of {data.total}")
    return time.perf_counter() - begun


def bare(uri: str, data: Data) -> float:
    """Seconds to read the same fields of all documents, and nothing else."""
    return _seconds(lambda collection: sum(1 for _ in collection.find(_condition(data), PROJECTION)), uri, data)


def _raw_batches(collection: Collection[Document], data: Data) -> Iterator[Any]:
    yield from collection.find_raw_batches(_condition(data), PROJECTION, batch_size=SERVER_BATCH)


def raw(uri: str, data: Data) -> float:
    """Seconds to read the same fields as bytes, in batches as a build does."""

    def read(collection: Collection[Document]) -> int:
        for _ in _raw_batches(collection, data):
            pass
        return data.of_building

    return _seconds(read, uri, data)


def decoded(uri: str, data: Data) -> float:
    """Seconds to read the same batches and to decode them."""
    return _seconds(lambda c: sum(len(bson.decode_all(batch)) for batch in _raw_batches(c, data)), uri, data)


_sample: list[Document] = []


def _prepare(data: Data) -> None:
    """Make this process's sample of documents, so that it need not travel."""
    _sample.extend(document for document, _ in zip(data.documents(), range(_SAMPLE), strict=False))


def _convert(period_ms: int) -> None:
    window = TimeWindow(0, 1 << 52, 1 << 52)
    for _ in range(_ROUNDS):
        read_window("0", _sample, window, period_ms, ReadOptions(None, CarNames({}, b"benchmark")))


def _spin(_: int) -> None:
    for _ in range(_LOOPS):
        pass


def in_processes(work: Callable[[int], None], argument: int, data: Data, processes: int) -> float:
    """Calls a second of `work` by so many processes at once."""
    with ProcessPoolExecutor(processes, initializer=_prepare, initargs=(data,)) as pool:
        # Every process makes its sample, and has done the work once.
        list(pool.map(work, [argument] * processes))
        begun = time.perf_counter()
        list(pool.map(work, [argument] * processes))
        return processes / (time.perf_counter() - begun)


def build(options: DatasetOptions, request: DatasetRequest) -> float:
    """Seconds of a whole build."""
    connection = MongoConnection(options.sites)
    store = DatasetStore(Layout(options.root))
    begun = time.perf_counter()
    site = Sites(connection).open(request.site)
    schema = SiteSchema.of(site.schema)
    selection = select_buildings(request, schema, site.collections)
    staged = store.staging()
    inputs = pipeline.BuildInputs(request, schema, selection, options, b"benchmark", {}, str(staged))
    pipeline.run(inputs, site, connection, lambda *_: None, threading.Event())
    store.install(staged, request.name, overwrite=False)
    return time.perf_counter() - begun


def rebuild(uri: str, data: Data, whole: Callable[[str, str], float], builds: int) -> None:
    """Print what this side costs by itself, against the replay of the server at `uri`.

    `whole` builds the dataset of a name from the documents at a URI, and returns its seconds.
    """
    with Replay(uri) as replay:

        def rate(seconds: float) -> str:
            return f"{seconds:8.2f} s  {data.total / seconds:9.0f} documents/s"

        reads = {"raw": raw, "decode": decoded, "bare": bare}
        for read in reads.values():
            read(replay.uri, data)
        whole(replay.uri, "recorded")
        replay.only()
        query = {"find": "building_0", "filter": _condition(data), "projection": PROJECTION, "batchSize": SERVER_BATCH}
        print(f"replay   {speed(replay.uri, data.site, query):8.0f} MB/s served from memory")
        seconds = {name: read(replay.uri, data) for name, read in reads.items()}
        for name, taken in seconds.items():
            print(f"{name:8s} {rate(taken)}  of the replay")
        peaks.forget()
        peaks.forget(_TASKS)
        for number in range(builds):
            taken = whole(replay.uri, f"replayed-{number}")
            print(f"build    {rate(taken)}  of the replay  {taken / seconds['decode']:5.2f} of decode")
        print(memory())


def memory() -> str:
    """The largest memory of this process and of a task's since the peaks were forgotten."""
    return (
        f"memory   {peaks.peak() / 1e6:8.0f} MB at most in this process, {peaks.peak(_TASKS) / 1e6:.0f} MB in a task's"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--cadence", type=float, default=1.0, help="minutes between two documents")
    parser.add_argument("--buildings", type=int, default=1)
    parser.add_argument("--period", type=int, default=60)
    parser.add_argument("--readers", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    parser.add_argument("--builds", type=int, default=2, help="how often the whole is built")
    parser.add_argument("--sessions", action="store_true", help="with a charger")
    args = parser.parse_args()
    data = Data(args.days, args.cadence, args.buildings, args.sessions)
    load(args.uri, data)
    print(f"{data.total} documents of {data.buildings} buildings, period {args.period} minutes, {args.readers} readers")

    seconds = bare(args.uri, data)
    print(f"bare     {seconds:8.1f} s  {data.total / seconds:9.0f} documents/s")

    cores = os.cpu_count() or 1
    one, all_ = (in_processes(_convert, args.period * MINUTE_MS, data, processes) for processes in (1, cores))
    alone, together = (in_processes(_spin, 0, data, processes) for processes in (1, cores))
    each = 1e6 / one / _ROUNDS / min(_SAMPLE, data.of_building)
    print(
        f"convert  {each:8.2f} µs per document by one process, {all_ / one:.2f} times as fast by {cores};"
        f" an empty loop {together / alone:.2f} times"
    )

    peaks.forget()
    ray.init("local", include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as root:
        body = {"site_id": data.site, "period": args.period, "from_ts": START.isoformat()}
        end = (START + timedelta(days=data.days)).isoformat()

        def whole(uri: str, name: str, until: str = end) -> float:
            options = DatasetOptions(root, SitesOptions(uri, mongo_read_timeout_s=300), dataset_readers=args.readers)
            return build(options, parse_request({**body, "name": name, "until_ts": until}))

        small = whole(args.uri, "small", (START + timedelta(days=2)).isoformat())
        print(f"first    {small:8.1f} s  a small build, with the start of its processes")
        for number in range(args.builds):
            name = f"whole-{number}"
            taken = whole(args.uri, name)
            rows = DatasetStore(Layout(Path(root))).manifest(name)["rows"] * data.buildings
            after = bare(args.uri, data)
            print(
                f"build    {taken:8.1f} s  {data.total / taken:9.0f} documents/s  {rows / taken:7.0f} rows/s"
                f"  {taken / (seconds + after) * 2:5.2f} of bare"
            )
            print(f"bare     {after:8.1f} s  {data.total / after:9.0f} documents/s")
            seconds = after
        print(memory())
        rebuild(args.uri, data, whole, args.builds)
    ray.shutdown()


if __name__ == "__main__":
    main()
