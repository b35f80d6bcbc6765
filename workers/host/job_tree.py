"""Removing a job's folder, also files in it that another user wrote."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from docker.errors import APIError, NotFound
from docker.types import Mount

from workers.common.files import remove_tree
from workers.host.engine import UNREACHABLE, EngineError, cause, connect, hostname

logger = logging.getLogger(__name__)

_TARGET: Final = "/remove"
_EMPTY: Final = f"rm -rf -- {_TARGET}/* {_TARGET}/.[!.]* {_TARGET}/..?*"


def remove_job_tree(path: Path, image: str, host_path: str, timeout_s: float) -> str | None:
    """Remove the folder `path` and all below it; None, or a sentence that says why not.

    What belongs to root, where this process is not root, a container of `image` (the job's, so it is there; it needs
    a shell) removes. It sees that folder only (`host_path`, as the engine sees it) and has no network. `timeout_s` is
    for each call to the engine, the removal among them.
    """
    try:
        remove_tree(path)
        return None
    except PermissionError as error:
        refused = error
    except OSError as error:
        return f"{path} could not be removed on host {hostname()}: {error.strerror or error}"
    try:
        problem = _empty_by_container(image, host_path, timeout_s)
    except EngineError as error:
        problem = error.detail
    except UNREACHABLE as error:
        problem = cause(error)
    if problem is not None:
        words = f"{refused.filename} could not be removed on host {hostname()} ({refused.strerror})"
        return f"{words}, nor by Docker: {problem}"
    try:
        remove_tree(path)
    except OSError as error:
        return f"{path} could not be removed on host {hostname()}: {error.strerror or error}"
    return None


def _empty_by_container(image: str, host_path: str, timeout_s: float) -> str | None:
    engine = connect(timeout_s)
    client = engine.client
    container_id = client.create_container(
        image,
        ["-c", _EMPTY],
        entrypoint=["sh"],
        user="0:0",
        host_config=client.create_host_config(
            mounts=[Mount(target=_TARGET, source=host_path, type="bind")], network_mode="none"
        ),
    )["Id"]
    try:
        client.start(container_id)
        code = client.wait(container_id, timeout=timeout_s)["StatusCode"]
        return None if code == 0 else f"the removing container ended with exit code {code}"
    finally:
        try:
            client.remove_container(container_id, force=True)
        except NotFound:
            pass
        except APIError as error:
            logger.warning("Container %s was not removed: %s", container_id[:12], cause(error))
