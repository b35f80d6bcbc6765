"""Sample sites put into a database."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pymongo

from scripts.sample_sites.documents import Document
from scripts.sample_sites.generate import Sample
from workers.sites.database import SCHEMA
from workers.sites.indexes import create_index

_BATCH: Final = 2000
_TIMEOUT_MS: Final = 10_000


class SiteExists(RuntimeError):
    """The database has a site of that name already."""


def load(uri: str, sample: Sample, *, replace: bool = False) -> dict[str, int]:
    """Store a sample as a site, with the index on `timestamp`; how many documents each collection has.

    Raises SiteExists if there is a site of that name, unless it is to be replaced: then all of it is dropped first.
    """
    site = sample.options.site
    with _connected(uri) as client:
        database = client[site]
        if database.list_collection_names():
            if not replace:
                raise SiteExists(f"There is a site '{site}' already")
            client.drop_database(site)
        counts = {}
        for building in sample.buildings:
            collection = database[building.collection]
            create_index(collection)
            counts[building.collection] = sum(
                len(collection.insert_many(batch).inserted_ids) for batch in _batches(sample.documents(building))
            )
        # Last, so that a site with a schema is a whole one.
        database[SCHEMA].insert_one({"_id": SCHEMA, SCHEMA: sample.schema})
    return counts


def _connected(uri: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(uri, serverSelectionTimeoutMS=_TIMEOUT_MS)


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(documents, _BATCH)):
        yield batch
