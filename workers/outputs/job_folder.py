"""The files of a job: its folder under `jobs/`, which its container writes into, and its private folder in `.opeva/`.

The snapshot in the private folder is the truth and durable; what lies in the job's folder are copies, made again
where they are missing or changed.
"""

import json
import logging
import secrets
from pathlib import Path
from typing import Any, Final

from workers.common import json_values
from workers.common.errors import Conflict, ErrorCode, NotFound
from workers.common.files import read_beneath, remove_tree, storage_error, sync_folder, write_atomic
from workers.common.layout import Layout

logger = logging.getLogger(__name__)

#: The keys that are taken from a `job_info.json` that a container wrote, beside every `mlflow_*`.
CONTAINER_KEYS: Final = frozenset({"run_id", "experiment_id", "tracking_uri", "run_name"})
_CONTAINER_PREFIX: Final = "mlflow_"

#: A container may have written anything there.
MAX_INFO_BYTES: Final = 1 << 20
MAX_INFO_KEYS: Final = 100
MAX_INFO_TEXT: Final = 4096

#: Folders on their way out; no job id begins so.
_DELETED: Final = ".deleted-"

#: Containers run as any user, so any user may write into a job's folder.
_OPEN_FOLDER: Final = 0o777
_OPEN_FILE: Final = 0o666


def create(layout: Layout, job_id: str, snapshot: str, info: dict[str, Any]) -> None:
    """Make a new job's folders, its snapshot (durable) and the copies; on failure nothing of it is left.

    Raises:
        Conflict: the id is taken (`job_exists`).
        StorageFull, Unavailable: the storage failed.
    """
    private = layout.record_folder(job_id)
    try:
        # The root itself is never made here: if it is missing, the shared folder is not mounted
        # (`test_a_missing_root_is_not_made_but_reported`).
        layout.private.mkdir(mode=0o700, exist_ok=True)
        layout.records.mkdir(exist_ok=True)
        layout.jobs.mkdir(exist_ok=True)
        if layout.job(job_id).exists():
            raise Conflict(f"There is a job {job_id} already", ErrorCode.JOB_EXISTS)
        private.mkdir()
    except FileExistsError as error:
        raise Conflict(f"There is a job {job_id} already", ErrorCode.JOB_EXISTS) from error
    except OSError as error:
        raise storage_error(error, private) from error
    try:
        write_atomic(layout.snapshot(job_id), snapshot.encode())
        sync_folder(layout.records)
        restore(layout, job_id, info)
    except BaseException as error:
        _undo(layout, job_id)
        if isinstance(error, OSError):
            raise storage_error(error, private) from error
        raise


def restore(layout: Layout, job_id: str, info: dict[str, Any]) -> None:
    """Make what is missing in a job's folder, and set its config right: the container runs what was submitted.

    Raises:
        NotFound: there is no snapshot.
        StorageFull, Unavailable: the storage failed.
    """
    snapshot = read_snapshot(layout, job_id).encode()
    folder = layout.job(job_id)
    try:
        for wanted in (folder, layout.logs(job_id), layout.progress(job_id).parent, layout.results(job_id)):
            if not wanted.is_dir():
                wanted.mkdir()
                # The process's mask takes bits from mkdir's mode.
                wanted.chmod(_OPEN_FOLDER)
        if _read(layout, job_id, "config.yaml", len(snapshot) + 1) != snapshot:
            write_atomic(layout.job_config(job_id), snapshot, durable=False)
        if not layout.job_info(job_id).exists():
            write_info(layout, job_id, info)
    except OSError as error:
        raise storage_error(error, folder) from error


def read_snapshot(layout: Layout, job_id: str) -> str:
    """The config that the job runs, as a text.

    Raises:
        NotFound: there is none.
        Unavailable: the storage failed.
    """
    try:
        return layout.snapshot(job_id).read_bytes().decode()
    except FileNotFoundError as error:
        raise NotFound(f"The config of job {job_id} is not there", ErrorCode.CONFIG_NOT_FOUND) from error
    except OSError as error:
        raise storage_error(error, layout.snapshot(job_id)) from error


def write_info(layout: Layout, job_id: str, info: dict[str, Any]) -> None:
    """Write `job_info.json`, a copy for people and containers.

    Raises:
        NotFound: the job's folder is gone.
        StorageFull, Unavailable: the storage failed.
    """
    path = layout.job_info(job_id)
    content = json.dumps(json_values.finite(info), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        write_atomic(path, content.encode(), durable=False, mode=_OPEN_FILE)
    except FileNotFoundError as error:
        raise NotFound(f"The folder of job {job_id} is gone", ErrorCode.JOB_NOT_FOUND) from error
    except OSError as error:
        raise storage_error(error, path) from error


def merge_info(layout: Layout, job_id: str, ours: dict[str, Any]) -> dict[str, Any]:
    """`ours`, with what the container wrote of its MLflow run into `job_info.json`.

    Taken are texts, finite numbers and booleans under `mlflow_*` and `CONTAINER_KEYS`. A file that is missing,
    half-written, huge or a link adds nothing.
    """
    merged = dict(ours)
    taken = 0
    for key, value in _container_info(layout, job_id).items():
        if not (key in CONTAINER_KEYS or key.startswith(_CONTAINER_PREFIX)) or not json_values.scalar(value):
            continue
        if len(str(value)) > MAX_INFO_TEXT or len(key) > MAX_INFO_TEXT or value == "":
            continue
        merged[json_values.text(key)] = json_values.text(value) if isinstance(value, str) else value
        taken += 1
        if taken == MAX_INFO_KEYS:
            break
    return merged


def delete(layout: Layout, job_id: str) -> list[Path]:
    """Remove a job's folders. Being gone already is fine.

    Both are renamed before anything is removed, the private one last: a crash leaves the record, with which the job
    can be deleted again, or nothing that could be taken for a job. Returns folders, renamed already, with files that
    this process may not remove, since a container wrote them as another user: the host's agent can.

    Raises:
        StorageFull, Unavailable: the storage failed; the job may still be there, and deleting it again is right.
    """
    hidden: list[Path] = []
    for folder in (layout.job(job_id), layout.record_folder(job_id)):
        away = folder.with_name(f"{_DELETED}{job_id}-{secrets.token_hex(4)}")
        try:
            folder.rename(away)
            sync_folder(folder.parent)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise storage_error(error, folder) from error
        hidden.append(away)
    return [folder for folder in hidden if not _removed(folder)]


def finish_deletions(layout: Layout) -> list[Path]:
    """Remove what interrupted deletions have left; returns the folders that this process may not remove.

    Raises:
        StorageFull, Unavailable: the storage failed.
    """
    left: list[Path] = []
    for parent in (layout.jobs, layout.records):
        try:
            left += [folder for folder in parent.iterdir() if folder.name.startswith(_DELETED)]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise storage_error(error, parent) from error
    return [folder for folder in left if not _removed(folder)]


def _removed(folder: Path) -> bool:
    try:
        remove_tree(folder)
    except PermissionError as error:
        logger.info("%s has files of another user: %s", folder, error)
        return False
    except OSError as error:
        raise storage_error(error, folder) from error
    return True


def _undo(layout: Layout, job_id: str) -> None:
    for folder in (layout.job(job_id), layout.record_folder(job_id)):
        try:
            remove_tree(folder)
        except OSError as error:
            # The error that led here is the one to report; what is left belongs to no record.
            logger.warning("%s of a job that could not be made is left: %s", folder, error)


def _container_info(layout: Layout, job_id: str) -> dict[str, Any]:
    raw = _read(layout, job_id, "job_info.json", MAX_INFO_BYTES + 1)
    if raw is None or len(raw) > MAX_INFO_BYTES:
        return {}
    return json_values.load_object(raw) or {}


def _read(layout: Layout, job_id: str, name: str, limit: int) -> bytes | None:
    """A file of the job's folder, links not followed; None where it can't be read."""
    try:
        return read_beneath(layout.jobs, f"{job_id}/{name}", limit)
    except (NotFound, FileNotFoundError):
        return None
    except OSError as error:
        logger.warning("%s of job %s can't be read: %s", name, job_id, error)
        return None
