"""Where the shared folder is when nobody says so."""

import os
from collections.abc import Callable
from typing import Final

#: The folder on the hosts.
DEFAULT: Final = "/opt/opeva_shared_data"
#: Where containers see it, our own ones included if they are started that way.
IN_CONTAINER: Final = "/data"


def default_shared_root(is_mount: Callable[[str], bool] = os.path.ismount) -> str:
    """`/data` where something is mounted there and nothing at the usual place, else the usual place."""
    return IN_CONTAINER if is_mount(IN_CONTAINER) and not is_mount(DEFAULT) else DEFAULT
