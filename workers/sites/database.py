"""Sites as databases: which there are, and what each holds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput, NotFound, Unavailable
from workers.sites.client import UNAUTHORIZED, Document, MongoConnection

logger = logging.getLogger(__name__)

#: The collection, and the id of its one document, that describe a site.
SCHEMA: Final = "schema"
#: What a collection of a building is called: `building_<id>`.
BUILDING_PREFIX: Final = "building_"


@dataclass(frozen=True)
class Site:
    """A site that exists and may be read."""

    name: str
    database: Database[Document]
    #: The collections of documents by name, sorted: all but `schema` and MongoDB's own.
    collections: tuple[str, ...]
    #: The site's own description, None where it has none.
    schema: dict[str, Any] | None
    #: What clock the producers' stamps without an offset show; None is UTC.
    source_zone: ZoneInfo | None

    def collection(self, name: str) -> Collection[Document]:
        return self.database[name]

    def chosen(self, wanted: Sequence[str] | None) -> tuple[str, ...]:
        """The collections that a request names, in its order; all without a choice.

        Raises:
            NotFound: the site has no such collection; the sentence names it.
        """
        if not wanted:
            return self.collections
        known = set(self.collections)
        missing = [name for name in wanted if name not in known]
        if missing:
            raise NotFound(
                f"Site '{self.name}' has no collection {', '.join(repr(name[:120]) for name in missing)}",
                ErrorCode.COLLECTION_NOT_FOUND,
            )
        return tuple(dict.fromkeys(wanted))


class Sites:
    """The sites of one MongoDB server."""

    def __init__(self, connection: MongoConnection) -> None:
        self.connection = connection

    def names(self) -> list[str]:
        """The sites that the user may read, sorted; never MongoDB's own databases.

        Raises:
            Unavailable: the server does not answer, or does not let the user list any.
        """
        try:
            with self.connection.short("the list of sites"):
                return sorted(name for name in self._databases() if self._readable(name))
        except NotFound as error:
            raise Unavailable(
                f"MongoDB at {self.connection.server} does not let the user of OPEVA_MONGO_URI list its databases",
                ErrorCode.MONGO_REFUSED,
            ) from error

    def open(self, name: str) -> Site:
        """The site `name` with the names of its collections and its schema.

        Raises:
            InvalidInput: no such name is possible.
            NotFound: there is no such site, or the user may not read it.
            Unavailable: the server does not answer.
        """
        names.site_name(name)
        with self.connection.short(f"site '{name}'"):
            if not self._exists(name):
                raise NotFound(
                    f"There is no site '{name}' at MongoDB {self.connection.server}", ErrorCode.SITE_NOT_FOUND
                )
            database = self.connection.client()[name]
            found = tuple(
                sorted(
                    collection
                    for collection in database.list_collection_names()
                    if collection != SCHEMA and not collection.startswith("system.")
                )
            )
            stored = database[SCHEMA].find_one({"_id": SCHEMA})
        schema = stored.get("schema") if stored else None
        schema = schema if isinstance(schema, dict) else None
        return Site(name, database, found, schema, source_zone(schema, name))

    def _databases(self) -> list[str]:
        client = self.connection.client()
        # Without `authorizedDatabases` a user who lacks the right to list all of them would be refused.
        found = client.list_databases(nameOnly=True, authorizedDatabases=True)
        return [entry["name"] for entry in found if _is_site_name(entry["name"])]

    def _exists(self, name: str) -> bool:
        try:
            return name in self._databases()
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise
            # Who may read one site need not have the right to list them all.
            return bool(self.connection.client()[name].list_collection_names())

    def _readable(self, name: str) -> bool:
        try:
            self.connection.client()[name].list_collection_names()
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise
            logger.debug("Site %s is left out of the list: %s", name, error)
            return False
        return True


def source_zone(schema: dict[str, Any] | None, site: str) -> ZoneInfo | None:
    """The zone whose clock the site's stamps without an offset show, as its schema's `source_time_zone` says.

    A zone that doesn't exist is taken for UTC, and the log says so: the data stay readable.
    """
    name = (schema or {}).get("source_time_zone")
    if not name:
        return None
    zone = zone_of(name)
    if zone is None:
        logger.warning("The schema of site %s has source_time_zone %r, which is no time zone: UTC is used", site, name)
    return zone


def zone_of(name: object) -> ZoneInfo | None:
    """The time zone of that name (`Europe/Lisbon`), None if there is none."""
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _is_site_name(name: str) -> bool:
    try:
        names.site_name(name)
    except InvalidInput:
        return False
    return True
