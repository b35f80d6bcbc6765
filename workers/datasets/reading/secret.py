"""The installation's secret, by which users become cars: made once, readable by this system alone."""

import os
import secrets
from pathlib import Path
from typing import Final

from workers.common.errors import ErrorCode, Unavailable
from workers.common.files import storage_error, sync_folder
from workers.common.layout import Layout

_FILE: Final = "users.key"
_BYTES: Final = 32


def installation_secret(layout: Layout) -> bytes:
    """The secret, made at the first call; all calls of an installation give the same.

    Raises:
        Unavailable: the storage failed, or the file holds no secret.
    """
    path = layout.secrets / _FILE
    try:
        if not path.exists():
            _make(path)
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise Unavailable(f"{path} holds no secret", ErrorCode.SECRET_UNREADABLE) from error
    if len(secret) < _BYTES:
        raise Unavailable(f"{path} holds no secret", ErrorCode.SECRET_UNREADABLE)
    return secret


def _make(path: Path) -> None:
    """Write a new secret, unless somebody else does at the same time: theirs counts then."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link to a name that exists fails, where a rename would replace it.
        os.link(draft, path)
    except FileExistsError:
        # Another process was quicker.
        return
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
