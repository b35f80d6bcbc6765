"""The index on `timestamp`: whether a collection has it, and the command that creates it.

The product never creates it by itself: a site's data belong to its owner.
"""

import logging
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

logger = logging.getLogger(__name__)

#: The one field that says when a document was measured.
FIELD: Final = "timestamp"

_suggested: set[tuple[str, str]] = set()


def has_index(collection: Collection[dict[str, Any]]) -> bool:
    """Whether an index serves reads by `timestamp`. False also for a view, and where the user may not know.

    Where there is none, the log suggests once per process and collection to create it.
    """
    try:
        indexes = collection.index_information()
    except OperationFailure as error:
        # A view has no indexes of its own, and a user may read documents without the right to list indexes.
        logger.debug("The indexes of %s can't be listed: %s", collection.full_name, error)
        return False
    if any(_serves(index) for index in indexes.values()):
        return True
    site, name = collection.database.name, collection.name
    if (site, name) not in _suggested:
        _suggested.add((site, name))
        logger.warning(
            "%s of site %s has no index on %s: reads of it are slow. To create it: %s", name, site, FIELD, command(site)
        )
    return False


def create_index(collection: Collection[dict[str, Any]]) -> str:
    """Create the index on `timestamp`; returns its name. Doing it again changes nothing."""
    return collection.create_index(FIELD)


def command(site: str) -> str:
    """The command line that creates the index in all collections of a site."""
    return f"python -m scripts.create_site_index --site {site}"


def _serves(index: dict[str, Any]) -> bool:
    first = index["key"][0]
    partial = "partialFilterExpression" in index or index.get("sparse", False)
    return bool(first[0] == FIELD and first[1] in (1, -1) and not partial and not index.get("hidden", False))
