"""The answer about a job's result, from the `result.json` that its simulation leaves."""

from typing import Any, Final

from workers.common import json_values
from workers.common.errors import NotFound
from workers.common.files import read_beneath, storage_error
from workers.common.layout import Layout

MAX_BYTES: Final = 64 << 20

#: How non-finite numbers look where a simulation writes them as texts.
_NON_FINITE: Final = {"nan", "infinity", "-infinity", "inf", "-inf"}


def read(layout: Layout, job_id: str) -> bytes | None:
    """The content of the job's `result.json`; None if it is not there.

    Raises:
        Unavailable: the storage failed.
    """
    path = layout.result(job_id)
    try:
        return read_beneath(layout.jobs, path.relative_to(layout.jobs), MAX_BYTES + 1)
    except (NotFound, FileNotFoundError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error


def answer(raw: bytes | None, ended: bool) -> dict[str, Any]:
    """The content of `result.json` (`{District or building: {kpi: value}}`) without its non-finite and null entries.

    While a job runs and the file is missing or half-written: `{status: "pending", message}`. Where an ended job has no
    readable result: `{status: "unavailable", message}`.
    """
    if raw is not None and len(raw) > MAX_BYTES:
        return _without(True, f"The result is larger than {MAX_BYTES} bytes.")
    content = json_values.load_object(raw)
    if content is None:
        if raw is None:
            return _without(ended, "The job ended without a result." if ended else "There is no result yet.")
        return _without(
            ended, "The job's result.json is not a JSON object." if ended else "The result is being written."
        )
    try:
        cleaned: dict[str, Any] = json_values.finite(_without_texts(content), omit=True)
    except (ValueError, RecursionError):
        return _without(True, "The job's result.json nests too deep to be read.")
    return cleaned


def _without(ended: bool, message: str) -> dict[str, Any]:
    return {"status": "unavailable" if ended else "pending", "message": message}


def _without_texts(value: Any) -> Any:
    """`value` with None for texts that stand for non-finite numbers."""
    if isinstance(value, dict):
        return {key: _without_texts(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_texts(entry) for entry in value]
    return None if isinstance(value, str) and value.lower() in _NON_FINITE else value
