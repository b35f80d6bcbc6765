"""The result answer: the KPIs that are numbers, or why there are none."""

import json
from pathlib import Path

import pytest

from workers.common.layout import Layout
from workers.outputs import results


def test_kpis_that_are_not_finite_and_nulls_are_left_out() -> None:
    district = b'{"cost": NaN, "co2": 1.5, "x": 1e400, "y": null, "z": "NaN"}'
    raw = b'{"District": %s, "B1": {"a": Infinity, "l": [NaN, 2]}}' % district
    result = results.answer(raw, ended=True)
    assert result == {"District": {"co2": 1.5}, "B1": {"l": [2]}}
    text = json.dumps(result, allow_nan=False)
    assert "null" not in text
    assert "NaN" not in text


@pytest.mark.parametrize("raw", [None, b"", b'{"District": {"co2": 1.', b"[1]"])
def test_a_missing_or_half_written_result_is_pending_while_the_job_runs_and_unavailable_after(
    raw: bytes | None,
) -> None:
    for ended, status in ((False, "pending"), (True, "unavailable")):
        result = results.answer(raw, ended)
        assert set(result) == {"status", "message"}
        assert result["status"] == status
        assert result["message"]


def test_a_result_beyond_all_measure_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}"
    assert results.answer(deep, ended=False)["status"] == "unavailable"
    monkeypatch.setattr(results, "MAX_BYTES", 5)
    assert results.answer(b'{"a": 1}', ended=False)["status"] == "unavailable"


def test_the_file_is_read_without_following_links(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert results.read(layout, "job") is None
    layout.results("job").mkdir(parents=True)
    assert results.read(layout, "job") is None
    layout.result("job").write_bytes(b'{"a": 1}')
    assert results.read(layout, "job") == b'{"a": 1}'
    layout.result("job").unlink()
    layout.result("job").symlink_to("/etc/hostname")
    assert results.read(layout, "job") is None
