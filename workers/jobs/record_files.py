"""The records on the shared storage: written durably, read back after a crash, rebuilt where they are damaged.

`record.json` of each job is the truth. `job_track.json` is a map of all jobs for people and other programs, and the
second source beside `job_info.json` from which a damaged record is rebuilt. Only 'does not exist' means that there is
nothing; any other I/O error is raised, so that a storage that fails is never taken for an empty one.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.common import names
from workers.common.clock import now
from workers.common.errors import InvalidInput, NotFound
from workers.common.files import read_beneath, write_atomic
from workers.common.layout import Layout
from workers.jobs.records import JobRecord, Reason, State

logger = logging.getLogger(__name__)


@dataclass
class Loaded:
    """What was found at start."""

    records: dict[str, JobRecord] = field(default_factory=dict)
    #: Ids of submissions that a crash broke off before they were acknowledged: their folders are rubbish.
    unfinished: list[str] = field(default_factory=list)
    #: Sentences about what was damaged and what became of it.
    notes: list[str] = field(default_factory=list)


def write_record(layout: Layout, record: JobRecord) -> None:
    """Write one record durably. Raises OSError."""
    # Not its parents: where they are missing, a mount is.
    layout.record_folder(record.job_id).mkdir(exist_ok=True)
    content = json.dumps(record.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(layout.record(record.job_id), content.encode("utf-8", "backslashreplace"))


class TrackLines:
    """The lines of `job_track.json`, each made again only when its record is replaced: nearly all jobs have ended."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[JobRecord, bytes]] = {}

    def render(self, records: Iterable[JobRecord]) -> bytes:
        """The whole file: an object with a line for each job."""
        kept, self._kept = self._kept, {}
        for record in records:
            known = kept.get(record.job_id)
            self._kept[record.job_id] = known if known is not None and known[0] is record else (record, _line(record))
        return b"{\n" + b",\n".join(line for _, line in self._kept.values()) + b"\n}\n"


def _line(record: JobRecord) -> bytes:
    entry = json.dumps(_track_entry(record), ensure_ascii=False)
    return f'"{record.job_id}": {entry}'.encode("utf-8", "backslashreplace")


def write_track(layout: Layout, records: Iterable[JobRecord], lines: TrackLines | None = None) -> None:
    """Write `job_track.json`, keeping the former one as a backup. Raises OSError."""
    write_atomic(layout.job_track, (lines or TrackLines()).render(records), backup=True)


def _track_entry(record: JobRecord) -> dict[str, Any]:
    return {
        "container_id": record.container_id,
        "container_name": record.container_name,
        "host": record.host,
        "status": str(record.state),
        "reason": None if record.reason is None else str(record.reason),
        "job_name": record.job_name,
        "image": record.image,
        "exit_code": record.exit_code,
        "submitted_at": record.submitted_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def load(layout: Layout) -> Loaded:
    """All records of the installation.

    Damaged files are moved aside (`<name>.corrupt-<time>`), their jobs rebuilt from what else is known. What broken-off
    writes have left is removed.

    Raises:
        OSError: the storage fails; nothing is known then.
    """
    loaded = Loaded()
    _remove_temporary(layout.job_track)
    track = _load_track(layout, loaded)
    private = _job_ids(layout.records)
    for job_id in sorted(private | _job_ids(layout.jobs) | set(track)):
        record = _load_record(layout, job_id, loaded)
        if record is None and job_id in private and job_id not in track and _never_accepted(layout, job_id):
            loaded.unfinished.append(job_id)
            continue
        if record is None:
            record = _rebuild(layout, job_id, track.get(job_id), loaded)
        if record is not None:
            loaded.records[job_id] = record
    return loaded


def _never_accepted(layout: Layout, job_id: str) -> bool:
    """Whether a submission was broken off before its record was written; it makes the record last of all."""
    if any(layout.record_folder(job_id).glob(f"{layout.record(job_id).name}*")):
        return False
    return layout.snapshot(job_id).exists() or not layout.job(job_id).exists()


def _remove_temporary(path: Path) -> None:
    """Remove the temporary files of writes of `path` that were broken off (`workers.common.files.write_atomic`)."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        try:
            left.unlink(missing_ok=True)
        except OSError as error:
            # On a storage that can only be read it does no harm.
            logger.warning("%s is left: %s", left, error)


def _job_ids(folder: Path) -> set[str]:
    try:
        entries = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return set()
    return {entry for entry in entries if _is_job_id(entry)}


def _is_job_id(text: str) -> bool:
    try:
        names.job_id(text)
    except InvalidInput:
        return False
    return True


def _load_track(layout: Layout, loaded: Loaded) -> dict[str, dict[str, Any]]:
    path = layout.job_track
    for candidate in (path, path.with_name(f"{path.name}.bak")):
        try:
            content = candidate.read_bytes()
        except FileNotFoundError:
            continue
        try:
            track = json.loads(content.decode("utf-8-sig"))
            if not isinstance(track, dict) or not all(isinstance(entry, dict) for entry in track.values()):
                raise ValueError("it is not a map of jobs")
        except ValueError as error:
            _move_aside(candidate, f"{candidate.name} is damaged ({error})", loaded)
            continue
        return {job_id: entry for job_id, entry in track.items() if _is_job_id(job_id)}
    return {}


def _load_record(layout: Layout, job_id: str, loaded: Loaded) -> JobRecord | None:
    path = layout.record(job_id)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        record = JobRecord.from_dict(json.loads(content.decode("utf-8-sig")))
        if record.job_id != job_id:
            raise ValueError(f"it is the record of {record.job_id}")
    except (ValueError, KeyError, TypeError) as error:
        _move_aside(path, f"The record of job {job_id} is damaged ({error})", loaded)
        return None
    if not record.terminal:
        _remove_temporary(path)
    return record


def _move_aside(path: Path, what: str, loaded: Loaded) -> None:
    aside = path.with_name(f"{path.name}.corrupt-{int(now() * 1000)}")
    path.rename(aside)
    loaded.notes.append(f"{what}; it was moved to {aside.name}")
    logger.error("%s; it was moved to %s", what, aside)


def _rebuild(layout: Layout, job_id: str, track: dict[str, Any] | None, loaded: Loaded) -> JobRecord | None:
    """A record from `job_info.json` and the map of all jobs, or None where neither knows the job.

    How an ended job ended is in them. A job that had not ended is taken up as one that has started (so that
    it is never launched twice): the engine of its host shows the rest; where no host is known, each is asked.
    """
    info = _read_info(layout, job_id)
    if not info and track is None:
        return None
    known = {**info, **{key: value for key, value in (track or {}).items() if value is not None}}
    state = _state(known.get("status"))
    started = _number(known.get("started_at"))
    submitted = _number(known.get("submitted_at")) or _folder_time(layout, job_id)
    record = JobRecord(
        job_id=job_id,
        job_name=str(known.get("job_name") or job_id),
        experiment_name=str(known.get("experiment_name") or ""),
        run_name=str(known.get("run_name") or ""),
        image=str(known.get("image") or ""),
        submitted_at=submitted,
        config_path=_text(known.get("config_path")),
        submitted_by=_text(known.get("submitted_by")),
        target_host=_text(known.get("target_host")),
        host=_text(known.get("host")),
        container_id=_text(known.get("container_id")),
        container_name=_text(known.get("container_name")),
        exit_code=known["exit_code"] if isinstance(known.get("exit_code"), int) else None,
        started_at=started,
        finished_at=_number(known.get("finished_at")),
        claimed=True,
        state=state,
        reason=Reason(known["reason"]) if known.get("reason") in set(Reason) else None,
        detail="Its record was damaged and was rebuilt from job_info.json and job_track.json",
    )
    if not state.terminal and started is None:
        record = record.change(started_at=submitted)
    if not state.terminal and record.host is None:
        detail = "Its record was damaged, and nothing says on which host it ran; it is looked for on each"
        record = record.change(state=State.UNKNOWN, detail=detail, unknown_since=now())
    loaded.notes.append(f"The record of job {job_id} was rebuilt")
    return record


def _read_info(layout: Layout, job_id: str) -> dict[str, Any]:
    try:
        info = json.loads(read_beneath(layout.root, f"jobs/{job_id}/job_info.json", 1 << 20))
    except (NotFound, FileNotFoundError, ValueError):
        # Not there, or as a container left it.
        return {}
    return info if isinstance(info, dict) and info.get("job_id") == job_id else {}


def _state(value: object) -> State:
    return State(value) if isinstance(value, str) and value in set(State) else State.UNKNOWN


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _folder_time(layout: Layout, job_id: str) -> float:
    try:
        return layout.job(job_id).stat().st_mtime
    except FileNotFoundError:
        return now()
