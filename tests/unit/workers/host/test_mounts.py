"""What a container sees of the shared root, and the checks before it is given anything."""

from pathlib import Path

import pytest

from tests.harness.attempts import spec_of
from workers.host.engine import EngineError
from workers.host.mounts import check_storage, mounts, prepare_folders


@pytest.mark.parametrize("path", ["", ".", "/etc", "..", "mlflow/../.opeva", ".opeva", ".opeva/jobs", "jobs", "jobs/x"])
def test_a_writable_path_opens_neither_ours_nor_other_jobs(tmp_path: Path, path: str) -> None:
    with pytest.raises(EngineError, match="writable path"):
        mounts(spec_of(tmp_path, "cluster", "true", writable=[path]))


def test_binds_are_made_from_the_engines_view_of_the_root(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "cluster", "true", host_root="/exports/opeva")
    sources = {mount["Target"]: mount["Source"] for mount in mounts(spec) if mount["Type"] == "bind"}
    assert sources == {
        "/data": "/exports/opeva",
        "/data/mlflow": "/exports/opeva/mlflow",
        f"/data/jobs/{spec['job_id']}": f"/exports/opeva/jobs/{spec['job_id']}",
    }


def test_an_open_root_still_hides_what_is_ours(tmp_path: Path) -> None:
    made = mounts(spec_of(tmp_path, "cluster", "true", open_root=True))
    assert [(mount["Target"], mount["Type"]) for mount in made] == [("/data", "bind"), ("/data/.opeva", "tmpfs")]


def test_a_root_whose_mount_is_missing_is_refused_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=str(tmp_path)) as failure:
        check_storage(spec_of(tmp_path, "cluster", "true"))
    assert failure.value.reason == "storage_unavailable"
    assert not list(tmp_path.iterdir())


def test_the_root_of_another_installation_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".opeva").mkdir()
    (tmp_path / ".opeva" / "cluster_id").write_text("another\n")
    with pytest.raises(EngineError, match="another installation"):
        check_storage(spec_of(tmp_path, "cluster", "true"))
    check_storage(spec_of(tmp_path, "another", "true"))


def test_folders_to_bind_are_made_where_missing(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "cluster", "true", writable=["mlflow", "models/new"])
    prepare_folders(spec)
    assert all((tmp_path / path).is_dir() for path in ["mlflow", "models/new", f"jobs/{spec['job_id']}"])
