"""How a job looks in answers: plain dicts made of its record. Times are epoch seconds (UTC), durations seconds."""

from collections.abc import Sequence
from typing import Any

from workers.jobs.records import JobRecord


def submitted(record: JobRecord) -> dict[str, Any]:
    """What a submission answers."""
    return {
        "job_id": record.job_id,
        "status": record.state,
        "host": record.host,
        "job_name": record.job_name,
        "container_id": record.container_id,
        "config_path": record.config_path,
    }


def times(record: JobRecord) -> dict[str, Any]:
    """When the job reached each stage; null for those it did not (yet) reach."""
    return {
        "submitted_at": record.submitted_at,
        "launching_at": record.launching_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def status(record: JobRecord, queue: Sequence[JobRecord], now: float) -> dict[str, Any]:
    """Where the job stands; `queue` are those that wait, `now` is when its durations end while it goes on."""
    ended = record.finished_at if record.finished_at is not None else now
    left_queue = next((at for at in (record.launching_at, record.started_at) if at is not None), ended)
    return {
        "job_id": record.job_id,
        "job_name": record.job_name,
        "status": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "exit_code": record.exit_code,
        "host": record.host,
        "target_host": record.target_host,
        "attempt": record.attempt,
        "container_id": record.container_id,
        **times(record),
        "stop_requested_at": record.stop_requested_at,
        "queued_s": max(0.0, left_queue - record.submitted_at),
        "running_s": None if record.started_at is None else max(0.0, ended - record.started_at),
        "queue_position": position(record, queue),
    }


def position(record: JobRecord, queue: Sequence[JobRecord]) -> int | None:
    """The job's place among those that wait, from 1; None if it does not wait."""
    return next((place for place, other in enumerate(queue, 1) if other.job_id == record.job_id), None)


def waiting(record: JobRecord, place: int) -> dict[str, Any]:
    """A job in the queue, `place` from 1."""
    return {
        "job_id": record.job_id,
        "job_name": record.job_name,
        "position": place,
        "since": record.submitted_at,
        "status": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "target_host": record.target_host,
        "submitted_by": record.submitted_by,
        "attempt": record.attempt,
        "cpus": record.cpus,
        "gpus": record.gpus,
        "memory": record.memory,
    }


def row(record: JobRecord) -> dict[str, Any]:
    """A job in the list of jobs."""
    return {
        "job_id": record.job_id,
        **_standing(record),
        "job_info": info(record),
    }


def _standing(record: JobRecord) -> dict[str, Any]:
    """Where a job stands and how it came there."""
    return {
        "status": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "exit_code": record.exit_code,
        "host": record.host,
        "attempt": record.attempt,
        **times(record),
    }


def info(record: JobRecord) -> dict[str, Any]:
    """What a list shows of a job's request. Its texts are never null: clients show them as they are."""
    return {
        "job_id": record.job_id,
        "job_name": record.job_name,
        "experiment_name": record.experiment_name,
        "run_name": record.run_name,
        "config_path": record.config_path or "",
        "image": record.image,
        "submitted_by": record.submitted_by or "",
        "target_host": record.target_host or "",
        "container_id": record.container_id or "",
        "container_name": record.container_name or "",
        "requeued_from": record.requeued_from or "",
        "cpus": record.cpus,
        "gpus": record.gpus,
        "memory": record.memory,
    }


def full(record: JobRecord) -> dict[str, Any]:
    """The whole record, with the word `status` that other answers use; what identifies a submission stays inside."""
    data = record.to_dict()
    for private in ("format", "body_hash", "claimed"):
        del data[private]
    return {"status": data.pop("state"), **data}


def change(record: JobRecord) -> dict[str, Any]:
    """A job in the stream of state changes."""
    return {
        "job_id": record.job_id,
        "job_name": record.job_name,
        **_standing(record),
    }
