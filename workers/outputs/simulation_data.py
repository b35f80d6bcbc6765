"""The series that a simulation exports under `results/simulation_data`, one folder per session."""

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from workers.common.errors import ErrorCode, InvalidInput, NotFound
from workers.common.files import open_beneath, open_regular, storage_error
from workers.common.layout import Layout

LATEST: Final = "latest"
#: More files than this are not listed.
MAX_FILES: Final = 10_000
_MAX_PATH: Final = 1024


@dataclass(frozen=True)
class DataFile:
    """A file opened for reading; the caller closes the descriptor."""

    descriptor: int
    name: str
    size: int
    #: Epoch seconds.
    modified_at: float


def index(layout: Layout, job_id: str, session: str = LATEST) -> dict[str, Any]:
    """What a session holds: `{job_id, session, sessions, files: [{relative_path, size, modified_at}], truncated}`.

    Files are sorted by path, which is relative to the session's folder; sizes are bytes, times epoch seconds. `latest`
    is the session changed last. Files that lie beside the sessions are those of the session `""`, which `latest` means
    where there are no others. Links are neither listed nor followed. `truncated` says that files beyond `MAX_FILES`
    were left out.

    Raises:
        InvalidInput: the session's name is malformed.
        NotFound: there is no such session.
        Unavailable: the storage failed.
    """
    sessions = _sessions(layout, job_id)
    session = _chosen(sessions, session)
    files = _files(layout, job_id, session) if session in sessions or session == "" else None
    if files is None:
        raise NotFound(f"Job {job_id} has no simulation data of a session {session!r}", ErrorCode.SESSION_NOT_FOUND)
    return {
        "job_id": job_id,
        "session": session,
        "sessions": list(sessions),
        "files": files[:MAX_FILES],
        "truncated": len(files) > MAX_FILES,
    }


def open_file(layout: Layout, job_id: str, session: str, relative_path: str) -> DataFile:
    """One file of a session, opened without following links.

    Raises:
        InvalidInput: the session or the path is malformed.
        NotFound: there is no such regular file.
        Unavailable: the storage failed.
    """
    path = _checked_path(relative_path)
    session = _chosen(_sessions(layout, job_id), session) if session == LATEST else _checked_session(session)
    inner = PurePosixPath(_folder(layout, job_id, session)) / path
    try:
        descriptor = open_regular(layout.jobs, str(inner))
        status = os.fstat(descriptor)
    except (NotFound, FileNotFoundError) as error:
        raise NotFound(f"Job {job_id} has no simulation data file {relative_path}", ErrorCode.FILE_NOT_FOUND) from error
    except OSError as error:
        raise storage_error(error, layout.jobs / inner) from error
    return DataFile(descriptor, path.name, status.st_size, status.st_mtime)


def _folder(layout: Layout, job_id: str, session: str = "") -> str:
    return str(PurePosixPath(layout.simulation_data(job_id).relative_to(layout.jobs)) / session)


def _sessions(layout: Layout, job_id: str) -> dict[str, float]:
    """The names of the sessions, sorted, each with the time of its last change."""
    found: dict[str, float] = {}
    try:
        folder = open_beneath(layout.jobs, _folder(layout, job_id), os.O_RDONLY | os.O_DIRECTORY)
    except (NotFound, FileNotFoundError):
        return found
    except OSError as error:
        raise storage_error(error, layout.simulation_data(job_id)) from error
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and _is_text(entry.name):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_mtime
    except OSError as error:
        raise storage_error(error, layout.simulation_data(job_id)) from error
    finally:
        os.close(folder)
    return dict(sorted(found.items()))


def _chosen(sessions: dict[str, float], session: str) -> str:
    if session == LATEST:
        return max(sessions, key=lambda name: (sessions[name], name), default="")
    return _checked_session(session)


def _files(layout: Layout, job_id: str, session: str) -> list[dict[str, Any]]:
    """The regular files of a session; of the session `""`, only those beside the sessions' folders."""
    try:
        top = open_beneath(layout.jobs, _folder(layout, job_id, session), os.O_RDONLY | os.O_DIRECTORY)
    except (NotFound, FileNotFoundError):
        return []
    except OSError as error:
        raise storage_error(error, layout.simulation_data(job_id)) from error
    files: list[dict[str, Any]] = []
    try:
        for folder, inner, names, descriptor in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            if session == "":
                inner.clear()
            inner.sort()
            for name in sorted(names):
                path = PurePosixPath(folder) / name
                status = _status(name, descriptor)
                if status is not None and stat.S_ISREG(status.st_mode) and _is_text(str(path)):
                    entry = {"relative_path": str(path), "size": status.st_size, "modified_at": status.st_mtime}
                    files.append(entry)
            if len(files) > MAX_FILES:
                break
    except OSError as error:
        raise storage_error(error, layout.simulation_data(job_id)) from error
    finally:
        os.close(top)
    return sorted(files, key=lambda entry: entry["relative_path"])


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        # The simulation removed it meanwhile.
        return None


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8, so that a client can read it in an answer and ask for it."""
    return name.isprintable()


def _checked_session(session: Any) -> str:
    if not isinstance(session, str):
        raise InvalidInput("`session` must be a text")
    if session in (".", "..") or "/" in session or "\\" in session or len(session) > 255 or not _is_text(session):
        raise InvalidInput(f"`session` {session!a} is not the name of a session")
    return session


def _checked_path(relative_path: Any) -> PurePosixPath:
    if not isinstance(relative_path, str) or not relative_path:
        raise InvalidInput("`relative_path` must be a non-empty text")
    parts = relative_path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in relative_path:
        raise InvalidInput(f"`relative_path` {relative_path!a} must be a path below the session, without '..'")
    if len(relative_path) > _MAX_PATH or not _is_text(relative_path) or any(len(part) > 255 for part in parts):
        raise InvalidInput("`relative_path` is too long or holds characters that no file name has here")
    return PurePosixPath(relative_path)
