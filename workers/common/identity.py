"""Which installation this is: the id that all its containers bear.

A shared root without an id is a new installation, or a mount that is missing. While containers of this very root run,
it is the latter: then nothing is created and nothing swept.
"""

import uuid

from workers.common.errors import ErrorCode, Unavailable
from workers.common.files import storage_error, write_atomic
from workers.common.layout import Layout


def read(layout: Layout) -> str | None:
    """The installation's id; None if it has none. Raises Unavailable where the storage fails."""
    try:
        text = layout.cluster_id.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{layout.cluster_id} can't be read: {error}", ErrorCode.STORAGE_UNAVAILABLE) from error
    return text or None


def create(layout: Layout) -> str:
    """Give the installation an id. Raises StorageFull, Unavailable."""
    identity = uuid.uuid4().hex
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        for folder in (layout.configs, layout.datasets, layout.jobs):
            folder.mkdir(exist_ok=True)
        layout.private.mkdir(mode=0o700, exist_ok=True)
        layout.records.mkdir(exist_ok=True)
        write_atomic(layout.cluster_id, f"{identity}\n".encode("ascii"))
    except OSError as error:
        raise storage_error(error, layout.cluster_id) from error
    return identity
