"""The statuses of builds on the disk: as they were stored, or none, and ended where their process ended."""

from pathlib import Path

import pytest

from workers.common.errors import Conflict, ErrorCode, NotFound
from workers.common.layout import Layout
from workers.datasets.builds.build import RUNNING, Build
from workers.datasets.builds.status_files import StatusFiles


def test_a_status_is_read_as_it_was_stored(tmp_path: Path) -> None:
    files = StatusFiles(Layout(tmp_path))
    build = Build("june", 1.5, rows=3, warnings=["a warning"])
    build.end(None)
    files.store(build.as_status())
    assert files.stored("june") == build.as_status()
    assert files.stored("july") is None


@pytest.mark.parametrize("content", ["", "[]", '{"status": "running"}', "{"])
def test_a_file_that_holds_no_status_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    layout = Layout(tmp_path)
    files = StatusFiles(layout)
    files.store(Build("june", 1.0).as_status())
    (layout.private / "build-status" / "june.json").write_text(content)
    assert files.stored("june") is None
    files.end_interrupted()


def test_builds_that_a_process_left_have_failed_and_ended_ones_stay(tmp_path: Path) -> None:
    files = StatusFiles(Layout(tmp_path))
    running, finished = Build("june", 1.0, state=RUNNING, stage="reading", rows=7), Build("july", 1.0)
    finished.end(None)
    for build in (running, finished):
        files.store(build.as_status())
    files.end_interrupted()
    interrupted = files.stored("june")
    assert interrupted is not None
    assert (interrupted["status"], interrupted["stage"], interrupted["code"]) == (
        "failed",
        "failed",
        "build_interrupted",
    )
    assert interrupted["rows"] == 7
    assert files.stored("july") == finished.as_status()


def test_a_build_ends_as_canceled_only_by_the_error_of_a_cancel() -> None:
    canceled, failed = Build("june", 1.0), Build("july", 1.0)
    canceled.end(Conflict("The build was cancelled", ErrorCode.BUILD_CANCELLED))
    failed.end(NotFound("There are no documents", "no_documents"))
    assert (canceled.as_status()["status"], failed.as_status()["status"]) == ("canceled", "failed")
    for _ in range(2):
        with pytest.raises(NotFound, match="There are no documents") as raised:
            failed.outcome()
        assert raised.value.code == "no_documents"
