"""The answer about a job's progress, from the `progress.json` that its simulation rewrites."""

from collections import OrderedDict
from typing import Any, Final

from workers.common import json_values
from workers.common.errors import NotFound
from workers.common.files import read_beneath, storage_error
from workers.common.layout import Layout
from workers.jobs.records import State

MAX_BYTES: Final = 1 << 20
#: How many jobs' last complete files are kept in mind, and up to which size each.
_REMEMBERED: Final = 256
_REMEMBERED_BYTES: Final = 64 << 10


class ProgressFiles:
    """Reads `progress.json` of jobs.

    Simulations truncate it and write it in place, so that a reader may find it empty or half-written: the last
    complete content stands until there is a new one.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._last: OrderedDict[str, bytes] = OrderedDict()

    def read(self, job_id: str) -> bytes | None:
        """The content of the job's file, complete; None if there never was one.

        Raises:
            Unavailable: the storage failed.
        """
        path = self._layout.progress(job_id)
        try:
            raw = read_beneath(self._layout.jobs, path.relative_to(self._layout.jobs), MAX_BYTES)
        except (NotFound, FileNotFoundError):
            return self._last.get(job_id)
        except OSError as error:
            raise storage_error(error, path) from error
        if json_values.load_object(raw) is None:
            return self._last.get(job_id)
        self._remember(job_id, raw)
        return raw

    def _remember(self, job_id: str, raw: bytes) -> None:
        self._last.pop(job_id, None)
        if len(raw) <= _REMEMBERED_BYTES:
            self._last[job_id] = raw
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)


def answer(raw: bytes | None, record_state: str, started_at: float | None, now: float) -> dict[str, Any]:
    """The content of `progress.json` with what can be derived from it.

    Args:
        raw: the file's content (see `ProgressFiles.read`); None, or not a JSON object, means that no update is there.
        record_state: the job's state.
        started_at: when its container started, in epoch seconds.
        now: the time, in epoch seconds.

    Returns the content with `percent` and `progress_pct` (both 0..100; 0 if unknown, 100 when finished) and
    `eta {available, eta_seconds}` and `eta_seconds`, which are absent where nothing can be said. Without an update:
    `progress: "No updates yet."` beside these. Non-finite numbers are null.
    """
    content = _content(raw)
    finished = record_state == State.FINISHED
    percent = 100.0 if finished else _percent(content or {})
    result: dict[str, Any] = {"progress": "No updates yet."} if content is None else content
    result["percent"] = result["progress_pct"] = round(percent, 3)
    result["eta"] = {"available": False}
    eta = _eta(result, percent, started_at, now) if record_state == State.RUNNING else None
    result.pop("eta_seconds", None)
    if eta is not None:
        result["eta"] = {"available": True, "eta_seconds": eta}
        result["eta_seconds"] = eta
    return result


def _content(raw: bytes | None) -> dict[str, Any] | None:
    content = json_values.load_object(raw)
    if content is None:
        return None
    try:
        cleaned: dict[str, Any] = json_values.finite(content)
    except ValueError:
        # Nested beyond reason: not a progress report.
        return None
    return cleaned


def _percent(content: dict[str, Any]) -> float:
    """How much is done: as the simulation says, else from its counters and their totals, else 0.

    Older simulations write counters without totals, of which no share can be derived.
    """
    for key in ("progress_pct", "percent"):
        said = json_values.number(content.get(key))
        if said is not None:
            return min(100.0, max(0.0, said))
    done = _share(content, "global_step")
    if done is None:
        done = _share(content, "step")
        episode, episodes = _share(content, "episode"), json_values.number(content.get("episode_total"))
        if episode is not None and episodes is not None:
            # Episodes count from 0: this one's share is added to those before it.
            done = episode + (done or 0.0) / episodes
    return min(100.0, max(0.0, 100.0 * (done or 0.0)))


def _share(content: dict[str, Any], key: str) -> float | None:
    count, total = json_values.number(content.get(key)), json_values.number(content.get(f"{key}_total"))
    return None if count is None or total is None or total <= 0 else count / total


def _eta(content: dict[str, Any], percent: float, started_at: float | None, now: float) -> float | None:
    """Seconds until the end: the simulation's own estimate, else at the pace so far."""
    said = json_values.number(content.get("eta_seconds"))
    if said is not None and said >= 0:
        return said
    if started_at is None or now <= started_at or percent <= 0:
        return None
    return round((now - started_at) * (100.0 - percent) / percent, 1)
