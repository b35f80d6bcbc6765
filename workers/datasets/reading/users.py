"""Cars by name: a user's identity never reaches a dataset.

A definition in the site's `electric_vehicles_def` may list `user_ids`: these map to its key. So does the key itself,
which the site's schema makes public anyway. Any other user becomes `EV_` and 8 hex digits of an HMAC-SHA256 with the
installation's secret: the same user is the same car in every dataset, and which user that
is stays unknown to all who lack the secret.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

#: What CityLearn's CSV reader takes as text for sure, not as a number or as nothing.
_TEXT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_READ_AS_NOTHING: Final = {"nan", "na", "n", "null", "none", "inf", "infinity", "true", "false"}


def dataset_name(key: str) -> str:
    """The name in a dataset of the car that a site's schema calls `key`.

    A key such as `11824` would be read as a number, its cars would not be found, and CityLearn would say nothing.
    """
    if _TEXT.fullmatch(key) and key.lower() not in _READ_AS_NOTHING:
        return key
    return "EV_" + re.sub(r"[^A-Za-z0-9_.\-]", "_", key)


class CarNames:
    """Users' ids to the names of their cars. Pickles, so that read tasks hash where they read."""

    def __init__(self, definitions: Mapping[str, Any], secret: bytes) -> None:
        self._secret = secret
        self._known: dict[str, str] = {key: dataset_name(key) for key in definitions}
        for key, definition in definitions.items():
            listed = definition.get("user_ids") if isinstance(definition, Mapping) else None
            for user in listed if isinstance(listed, list | tuple) else ():
                self._known[str(user)] = dataset_name(key)

    def of(self, user: str) -> str:
        """The car of a user."""
        name = self._known.get(user)
        if name is None:
            digest = hmac.new(self._secret, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
            name = self._known[user] = f"EV_{digest[:8]}"
        return name
