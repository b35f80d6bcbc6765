"""The progress answer: a percentage from whatever the simulation writes, and an estimate where one can be had."""

import json
from pathlib import Path
from typing import Any

import pytest

from workers.common.errors import Unavailable
from workers.common.layout import Layout
from workers.outputs import progress
from workers.outputs.progress import ProgressFiles

OLDER = {
    "episode": 2,
    "step": 40,
    "global_step": 440,
    "timestamp": "2025-06-07 14:30:00",
    "rewards": [1.5, float("nan")],
}
NEWER = {**OLDER, "step_total": 100, "episode_total": 5, "global_step_total": 500, "progress_pct": 37.5}


def answer(
    content: Any, state: str = "running", started_at: float | None = 1000.0, now: float = 1060.0
) -> dict[str, Any]:
    raw = None if content is None else json.dumps(content).encode()
    return progress.answer(raw, state, started_at, now)


@pytest.mark.parametrize(
    ("content", "percent"),
    [
        (NEWER, 37.5),
        (OLDER, 0.0),
        ({**NEWER, "progress_pct": float("nan")}, 88.0),
        ({**NEWER, "progress_pct": "half"}, 88.0),
        ({**OLDER, "step_total": 100, "episode_total": 5}, 48.0),
        ({**OLDER, "episode_total": 5}, 40.0),
        ({**OLDER, "step_total": 100}, 40.0),
        ({"global_step": 5, "global_step_total": 0}, 0.0),
        ({"global_step": 50, "global_step_total": 5}, 100.0),
        ({"progress_pct": 150}, 100.0),
        ({"progress_pct": -3}, 0.0),
        ({"progress_pct": float("inf")}, 0.0),
        ({"percent": 12}, 12.0),
        ({"progress_pct": True}, 0.0),
    ],
)
def test_the_percentage_is_said_or_derived_and_stays_between_0_and_100(content: dict[str, Any], percent: float) -> None:
    result = answer(content)
    assert result["percent"] == result["progress_pct"] == percent


def test_the_content_is_given_with_null_for_numbers_that_are_not_finite() -> None:
    result = answer(OLDER)
    assert {key: result[key] for key in OLDER} == {**OLDER, "rewards": [1.5, None]}
    assert json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("raw", [None, b"", b'{"episode": 1', b"[]", b"null"])
def test_without_an_update_it_says_so(raw: bytes | None) -> None:
    assert progress.answer(raw, "queued", None, 1060.0) == {
        "progress": "No updates yet.",
        "percent": 0.0,
        "progress_pct": 0.0,
        "eta": {"available": False},
    }


def test_a_finished_job_is_at_100_and_another_ended_one_where_it_was() -> None:
    assert answer(OLDER, "finished")["percent"] == 100.0
    assert answer(None, "finished")["percent"] == 100.0
    for state in ("failed", "stopped", "canceled"):
        assert answer(NEWER, state)["percent"] == 37.5
        assert answer({**NEWER, "eta_seconds": 5}, state)["eta"] == {"available": False}


def test_the_estimate_follows_the_pace_so_far_unless_the_simulation_has_its_own() -> None:
    result = answer({"progress_pct": 25})
    assert result["eta"] == {"available": True, "eta_seconds": 180.0}
    assert result["eta_seconds"] == 180.0
    assert answer({"progress_pct": 25, "eta_seconds": 7})["eta"]["eta_seconds"] == 7
    for nothing in (answer(OLDER), answer(NEWER, started_at=None), answer(NEWER, now=999.0)):
        assert nothing["eta"] == {"available": False}
        assert "eta_seconds" not in nothing
    for useless in (float("nan"), -1, "soon"):
        assert answer({"progress_pct": 25, "eta_seconds": useless})["eta_seconds"] == 180.0


def test_a_half_written_file_leaves_the_last_complete_content_standing(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = layout.progress("job")
    path.parent.mkdir(parents=True)
    files = ProgressFiles(layout)
    assert files.read("job") is None
    path.write_bytes(b"")
    assert files.read("job") is None
    path.write_bytes(b'{"progress_pct": 10}')
    assert files.read("job") == b'{"progress_pct": 10}'
    for half in (b"", b'{"progress_pct": 2'):
        path.write_bytes(half)
        assert files.read("job") == b'{"progress_pct": 10}'
    path.write_bytes(b'{"progress_pct": 20}')
    assert files.read("job") == b'{"progress_pct": 20}'
    assert files.read("other") is None


def test_links_are_not_followed_and_a_failing_storage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "secret.json").write_text('{"progress_pct": 1}')
    layout.progress("job").parent.mkdir(parents=True)
    layout.progress("job").symlink_to(tmp_path / "secret.json")
    assert ProgressFiles(layout).read("job") is None

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(progress, "read_beneath", fail)
    with pytest.raises(Unavailable, match=r"progress\.json"):
        ProgressFiles(layout).read("job")
