"""A job's files are made whole or not at all, tell only what may be told, and go without a trace."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.common import files
from workers.common.errors import Conflict, NotFound, StorageFull, Unavailable
from workers.common.layout import Layout
from workers.outputs import job_folder

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"
OTHER = "0e1d2f3a-ceea-4672-8f3b-0b6c8f14e45f"
TEXT = "# é\nlr: 1e-4\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def made(layout: Layout) -> Layout:
    job_folder.create(layout, JOB, TEXT, {"job_id": JOB, "job_name": "e-r", "run_name": "r"})
    return layout


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_job_has_its_folders_its_snapshot_and_copies_for_people(made: Layout) -> None:
    assert tree(made.root) == [
        ".opeva",
        ".opeva/jobs",
        f".opeva/jobs/{JOB}",
        f".opeva/jobs/{JOB}/config.yaml",
        "jobs",
        f"jobs/{JOB}",
        *(f"jobs/{JOB}/{name}" for name in ("config.yaml", "job_info.json", "logs", "progress", "results")),
    ]
    assert job_folder.read_snapshot(made, JOB) == TEXT
    assert made.job_config(JOB).read_text() == TEXT
    assert json.loads(made.job_info(JOB).read_text())["job_name"] == "e-r"


def test_a_container_of_any_user_may_write_into_its_job_and_only_us_into_the_private_part(made: Layout) -> None:
    for folder in (made.job(JOB), made.logs(JOB), made.results(JOB), made.progress(JOB).parent):
        assert folder.stat().st_mode & 0o777 == 0o777
    assert made.job_info(JOB).stat().st_mode & 0o777 == 0o666
    assert made.private.stat().st_mode & 0o777 == 0o700


def test_an_id_is_taken_once(made: Layout) -> None:
    before = tree(made.root)
    with pytest.raises(Conflict) as refused:
        job_folder.create(made, JOB, "a: 2\n", {})
    assert refused.value.code == "job_exists"
    made.record_folder(JOB).rename(made.root / "aside")
    with pytest.raises(Conflict):
        job_folder.create(made, JOB, "a: 2\n", {})
    (made.root / "aside").rename(made.record_folder(JOB))
    assert tree(made.root) == before
    assert job_folder.read_snapshot(made, JOB) == TEXT


@pytest.mark.parametrize("failing_write", [1, 2, 3])
def test_a_full_storage_leaves_nothing_of_a_job_that_could_not_be_made(
    made: Layout, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    before = tree(made.root)
    written: list[Path] = []
    real = files.write_atomic

    def fill(path: Path, *args: Any, **kwargs: Any) -> None:
        written.append(path)
        if len(written) == failing_write:
            raise OSError(28, "No space left on device")
        real(path, *args, **kwargs)

    monkeypatch.setattr(job_folder, "write_atomic", fill)
    with pytest.raises(StorageFull):
        job_folder.create(made, OTHER, TEXT, {})
    assert tree(made.root) == before


def test_a_missing_root_is_not_made_but_reported(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        job_folder.create(Layout(tmp_path / "mount"), JOB, TEXT, {})
    assert tree(tmp_path) == []


def test_a_lost_or_altered_job_folder_is_set_right_from_the_snapshot(made: Layout) -> None:
    made.job_config(JOB).unlink()
    made.job_config(JOB).symlink_to("/etc/hostname")
    made.progress(JOB).parent.rmdir()
    made.job_info(JOB).write_text('{"mlflow_run_id": "m"}')
    job_folder.restore(made, JOB, {"job_name": "again"})
    assert made.job_config(JOB).read_text() == TEXT
    assert not made.job_config(JOB).is_symlink()
    assert made.progress(JOB).parent.is_dir()
    assert made.job_info(JOB).read_text() == '{"mlflow_run_id": "m"}'
    with pytest.raises(NotFound):
        job_folder.restore(made, OTHER, {})


def test_only_the_mlflow_run_is_read_back_from_what_a_container_wrote(made: Layout) -> None:
    ours = {"job_id": JOB, "job_name": "e-r", "run_name": "r", "status": "running"}
    told = {
        "job_id": "forged",
        "status": "finished",
        "host": "elsewhere",
        "mlflow_run_id": "m1",
        "mlflow_run_url": "http://m/\ud800",
        "mlflow_step": 3,
        "mlflow_nan": float("nan"),
        "mlflow_object": {"a": 1},
        "mlflow_null": None,
        "mlflow_long": "x" * 5000,
        "run_id": "r1",
        "experiment_id": "7",
        "tracking_uri": "",
        "run_name": "renamed",
    }
    made.job_info(JOB).write_text(json.dumps(told))
    assert job_folder.merge_info(made, JOB, ours) == {
        **ours,
        "mlflow_run_id": "m1",
        "mlflow_run_url": "http://m/\ufffd",
        "mlflow_step": 3,
        "run_id": "r1",
        "experiment_id": "7",
        "run_name": "renamed",
    }
    made.job_info(JOB).write_text(json.dumps({f"mlflow_{n}": n for n in range(1000)}))
    assert len(job_folder.merge_info(made, JOB, {})) == job_folder.MAX_INFO_KEYS


def test_a_useless_job_info_tells_nothing(made: Layout) -> None:
    path = made.job_info(JOB)
    outside = made.root / "outside.json"
    outside.write_text('{"mlflow_run_id": "stolen"}')
    for content in (b"", b'{"mlflow_run_id": "m', b"[]", b"\0", b'{"mlflow_a": "' + b"x" * (1 << 20) + b'"}'):
        path.write_bytes(content)
        assert job_folder.merge_info(made, JOB, {"a": 1}) == {"a": 1}
    path.unlink()
    assert job_folder.merge_info(made, JOB, {"a": 1}) == {"a": 1}
    path.symlink_to(outside)
    assert job_folder.merge_info(made, JOB, {"a": 1}) == {"a": 1}
    path.unlink()
    os.mkfifo(path)
    assert job_folder.merge_info(made, JOB, {"a": 1}) == {"a": 1}
    path.unlink()
    path.mkdir()
    assert job_folder.merge_info(made, JOB, {"a": 1}) == {"a": 1}


def test_writing_the_info_replaces_a_link_and_does_not_follow_it(made: Layout) -> None:
    outside = made.root / "outside.json"
    outside.write_text("theirs")
    made.job_info(JOB).unlink()
    made.job_info(JOB).symlink_to(outside)
    job_folder.write_info(made, JOB, {"job_name": "é", "x": float("nan")})
    assert outside.read_text() == "theirs"
    assert json.loads(made.job_info(JOB).read_bytes()) == {"job_name": "é", "x": None}
    with pytest.raises(NotFound):
        job_folder.write_info(made, OTHER, {})


def test_a_deleted_job_is_gone_with_all_its_container_left_and_nothing_else(made: Layout) -> None:
    job_folder.create(made, OTHER, TEXT, {})
    others = [path for path in tree(made.root) if JOB not in path]
    (made.results(JOB) / "link").symlink_to(made.job(OTHER))
    (made.results(JOB) / "deep").mkdir()
    (made.results(JOB) / "deep" / "file").write_text("x")
    assert job_folder.delete(made, JOB) == []
    assert tree(made.root) == others
    assert job_folder.delete(made, JOB) == []


def test_a_deletion_cut_short_shows_no_part_of_the_job_and_is_finished_later(
    made: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job_folder, "remove_tree", crash)
        with pytest.raises(KeyboardInterrupt):
            job_folder.delete(made, JOB)
    assert not made.job(JOB).exists()
    assert not made.record_folder(JOB).exists()
    assert job_folder.finish_deletions(made) == []
    assert tree(made.root) == [".opeva", ".opeva/jobs", "jobs"]


def test_files_of_another_user_are_hidden_and_handed_over(made: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.remove_tree

    def refuse(path: Path) -> None:
        if path.parent == made.jobs:
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(job_folder, "remove_tree", refuse)
    (left,) = job_folder.delete(made, JOB)
    assert left.is_dir()
    assert left.parent == made.jobs
    assert not made.job(JOB).exists()
    assert not made.record_folder(JOB).exists()
    assert job_folder.finish_deletions(made) == [left]
