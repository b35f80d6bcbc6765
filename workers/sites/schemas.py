"""The schema of a site: what its owner says about its buildings, stored beside their data.

It is one document, `{_id: "schema", schema: {…}}`, so that the server itself decides which of two creators came first.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from bson.errors import BSONError
from pymongo.collection import Collection
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure

from workers.common import names
from workers.common.errors import Conflict, ErrorCode, InvalidInput, NotFound, TooLarge
from workers.sites import schema_checks
from workers.sites.client import Document, MongoConnection
from workers.sites.database import BUILDING_PREFIX, SCHEMA, Sites

#: Codes of MongoDB: a document nested too deeply, or with keys that this server does not accept.
_NOT_ACCEPTED: Final = {2, 9, 15, 52, 57}
#: A document that is too large.
_TOO_LARGE: Final = {10334, 17419, 17420}
#: A database whose name differs from another's only in case.
_NAME_TAKEN: Final = 13297
_LARGEST: Final = 16 << 20


class Schemas:
    """Reads and writes schemas. Each method raises Unavailable where MongoDB does not answer."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._connection: MongoConnection = sites.connection

    def read(self, site: str) -> dict[str, Any]:
        """Raises NotFound if there is no such site, or it has no schema."""
        found = self._sites.open(site)
        if found.schema is None:
            raise NotFound(f"Site '{site}' has no schema; POST /schema/create makes one", ErrorCode.SCHEMA_NOT_FOUND)
        return found.schema

    def create(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Give a site its schema, and make the site if it is new; returns warnings.

        Raises:
            Conflict: it has one already; that one is unchanged.
            InvalidInput: MongoDB can't hold this schema.
            TooLarge: it is over MongoDB's limit for a document.
        """
        names.site_name(site)
        with self._writing(site):
            try:
                self._collection(site).insert_one({"_id": SCHEMA, SCHEMA: schema})
            except DuplicateKeyError:
                raise Conflict(
                    f"Site '{site}' has a schema already; PUT /schema/update/{site} changes it", ErrorCode.SCHEMA_EXISTS
                ) from None
        return self._warnings(site, schema)

    def update(self, site: str, schema: dict[str, Any]) -> list[str]:
        """Replace the schema that a site has; returns warnings.

        Raises:
            NotFound: it has none.
            InvalidInput, TooLarge: as for `create`.
        """
        with self._writing(site):
            # Looked for first: some servers make a database of any name that an update mentions.
            found = self._sites.open(site)
            # Not $set: a server would take keys of the schema that begin with a dollar for its own.
            stored = {"_id": SCHEMA, SCHEMA: schema}
            changed = found.schema is not None and self._collection(site).replace_one({"_id": SCHEMA}, stored)
        if not changed or changed.matched_count == 0:
            raise NotFound(
                f"Site '{site}' has no schema to update; POST /schema/create makes one", ErrorCode.SCHEMA_NOT_FOUND
            )
        return self._warnings(site, schema)

    def _collection(self, site: str) -> Collection[Document]:
        return self._connection.client()[site][SCHEMA]

    @contextlib.contextmanager
    def _writing(self, site: str) -> Iterator[None]:
        """Around a write: what MongoDB can't hold is the caller's input, not the server's failure."""
        with self._connection.short(f"the schema of site '{site}'"):
            try:
                yield
            except (OperationFailure, BSONError, OverflowError, UnicodeEncodeError) as error:
                refusal = _refusal(error, site)
                if refusal is None:
                    raise
                raise refusal from error

    def _warnings(self, site: str, schema: dict[str, Any]) -> list[str]:
        with self._connection.short(f"site '{site}'"):
            collections = self._connection.client()[site].list_collection_names()
        return schema_checks.warnings(schema, [name for name in collections if name.startswith(BUILDING_PREFIX)])


def _refusal(error: Exception, site: str) -> InvalidInput | TooLarge | Conflict | None:
    code = error.code if isinstance(error, OperationFailure) else None
    if isinstance(error, DocumentTooLarge) or code in _TOO_LARGE:
        return TooLarge(f"The schema of site '{site}' is over {_LARGEST >> 20} MB, MongoDB's limit for a document")
    if code == _NAME_TAKEN:
        return Conflict(f"There is a site whose name differs from '{site}' only in case", ErrorCode.SITE_NAME_TAKEN)
    if not isinstance(error, OperationFailure) or code in _NOT_ACCEPTED:
        return InvalidInput(f"MongoDB can't hold this schema: {str(error)[:200]}", ErrorCode.INVALID_SCHEMA)
    return None
