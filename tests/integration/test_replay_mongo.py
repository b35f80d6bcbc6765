"""The replay of the benchmarks with a real server behind it: what it records and replays are the server's own bytes."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pymongo

from benchmarks.replay_mongo import Replay
from scripts.stack import EmbeddedMongo
from scripts.stack.ports import reserved_base

Document = dict[str, Any]
START = datetime(2025, 1, 1, tzinfo=UTC)


def read(uri: str) -> tuple[list[bytes], list[Any]]:
    """The batches of two queries that are read in turns, as bytes, and what other reads say."""
    with pymongo.MongoClient[Document](uri, serverSelectionTimeoutMS=60_000) as client:
        site = client.replayed
        condition = {"timestamp": {"$gte": START}}
        cursors = [site.a.find_raw_batches(condition, batch_size=70), site.a.find_raw_batches(batch_size=90)]
        batches = [bytes(batch) for pair in zip(*cursors, strict=False) for batch in pair]
        grouped = list(site.a.aggregate([{"$group": {"_id": "$kind", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]))
        others = [
            *(site.list_collection_names(), site.a.estimated_document_count(), site.a.count_documents(condition)),
            *(sorted(site.a.distinct("kind")), sorted(site.a.index_information()), grouped),
        ]
    return batches, others


def test_recorded_and_replayed_answers_are_the_servers_bytes(tmp_path: Path) -> None:
    with reserved_base() as base:
        mongo = EmbeddedMongo(base, tmp_path, mark=f"replay-{base}", owner=os.getpid())
        mongo.start(dict(os.environ))
        try:
            with pymongo.MongoClient[Document](mongo.uri) as client:
                client.replayed.a.create_index("timestamp")
                client.replayed.a.insert_many(
                    {"timestamp": START + timedelta(minutes=n), "kind": n % 3, "text": "é" * n, "deep": [{"n": n / 3}]}
                    for n in range(500)
                )
            real = read(mongo.uri)
            with Replay(mongo.uri) as replay:
                recorded = read(replay.uri)
                passed = replay.forwarded()
                replay.only()
                mongo.stop()
                replayed = read(replay.uri)
                assert replay.forwarded() == passed > 0
        finally:
            mongo.stop()
    assert [bson.decode_all(batch)[0]["kind"] for batch in real[0][:2]] == [0, 0]
    assert real == recorded == replayed
