"""Exported series are listed and opened by session, never outside their folder."""

import os
from pathlib import Path

import pytest

from workers.common.errors import InvalidInput, NotFound
from workers.common.layout import Layout
from workers.outputs import simulation_data

JOB = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    data = layout.simulation_data(JOB)
    for name, content in {"s1/b.csv": b"1", "s2/deep/a.csv": b"22", "s2/é.csv": b"333", "loose.csv": b"4444"}.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
        os.utime(data / name, (1000, 1000.5))
    os.utime(data / "s1", (2000, 2000))
    os.utime(data / "s2", (3000, 3000))
    (tmp_path / "secret.csv").write_text("secret")
    (data / "s2" / "link.csv").symlink_to(tmp_path / "secret.csv")
    (data / "s2" / "out").symlink_to(tmp_path)
    (data / "s3").symlink_to(tmp_path)
    os.utime(data / "s2", (3000, 3000))
    return layout


def content(layout: Layout, session: str, path: str) -> bytes:
    file = simulation_data.open_file(layout, JOB, session, path)
    with os.fdopen(file.descriptor, "rb") as source:
        raw = source.read()
    assert len(raw) == file.size
    assert file.name == path.split("/")[-1]
    return raw


def test_the_latest_session_is_listed_without_links(layout: Layout) -> None:
    assert simulation_data.index(layout, JOB) == {
        "job_id": JOB,
        "session": "s2",
        "sessions": ["s1", "s2"],
        "files": [
            {"relative_path": "deep/a.csv", "size": 2, "modified_at": 1000.5},
            {"relative_path": "é.csv", "size": 3, "modified_at": 1000.5},
        ],
        "truncated": False,
    }


def test_what_the_index_names_can_be_opened(layout: Layout) -> None:
    for session in ("s1", "s2", ""):
        index = simulation_data.index(layout, JOB, session)
        assert index["session"] == session
        assert index["files"]
        for file in index["files"]:
            assert len(content(layout, session, file["relative_path"])) == file["size"]
    assert content(layout, "latest", "deep/a.csv") == b"22"
    assert [file["relative_path"] for file in simulation_data.index(layout, JOB, "")["files"]] == ["loose.csv"]


def test_a_job_without_data_has_an_empty_index(tmp_path: Path) -> None:
    index = simulation_data.index(Layout(tmp_path), JOB)
    assert (index["session"], index["sessions"], index["files"]) == ("", [], [])


def test_a_list_beyond_all_measure_is_cut_and_says_so(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation_data, "MAX_FILES", 1)
    index = simulation_data.index(layout, JOB)
    assert len(index["files"]) == 1
    assert index["truncated"] is True


MALFORMED_PATHS = [
    "",
    ".",
    "..",
    "../s1/b.csv",
    "/etc/hostname",
    "deep/../../loose.csv",
    "deep//a.csv",
    "deep/",
    "a\0.csv",
    "..\\x",
    "\ud800",
    "a/" * 600 + "a",
    "x" * 300,
]


@pytest.mark.parametrize("path", MALFORMED_PATHS, ids=range(len(MALFORMED_PATHS)))
def test_a_malformed_path_is_refused(layout: Layout, path: str) -> None:
    with pytest.raises(InvalidInput):
        simulation_data.open_file(layout, JOB, "s2", path)


@pytest.mark.parametrize("session", ["..", ".", "s1/../s2", "/", "a\0", "\\", "x" * 300])
def test_a_malformed_session_is_refused(layout: Layout, session: str) -> None:
    with pytest.raises(InvalidInput):
        simulation_data.index(layout, JOB, session)
    with pytest.raises(InvalidInput):
        simulation_data.open_file(layout, JOB, session, "b.csv")


@pytest.mark.parametrize(
    ("session", "path"),
    [("s2", "link.csv"), ("s2", "out/secret.csv"), ("s3", "secret.csv"), ("s2", "deep"), ("s2", "no")],
)
def test_links_folders_and_missing_files_are_not_found(layout: Layout, session: str, path: str) -> None:
    with pytest.raises(NotFound):
        simulation_data.open_file(layout, JOB, session, path)


def test_an_unknown_session_is_not_found(layout: Layout) -> None:
    for session in ("s3", "s9"):
        with pytest.raises(NotFound, match="session"):
            simulation_data.index(layout, JOB, session)
