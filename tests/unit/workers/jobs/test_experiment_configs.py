"""The store of experiment configs keeps texts as given, changes nothing on bad input and loses no race."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.common.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OpevaError,
    StorageFull,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from workers.common.layout import Layout
from workers.jobs.experiment_configs import ConfigStore

TEXT = "# learning\r\nlr: 1e-4\r\nstart: 12:30:00  # o'clock\r\n"


@pytest.fixture
def store(tmp_path: Path) -> ConfigStore:
    return ConfigStore(Layout(tmp_path), max_bytes=1000)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_text_is_kept_to_the_byte_and_shown_as_an_object(store: ConfigStore, tmp_path: Path) -> None:
    assert store.create("configs/x.yaml", text=TEXT) == "x.yaml"
    assert (tmp_path / "configs" / "x.yaml").read_bytes() == TEXT.encode()
    assert store.read_text("x.yaml") == TEXT
    assert store.read("x.yaml") == {"lr": 1e-4, "start": "12:30:00"}


def test_only_regular_yaml_files_are_listed_and_read(store: ConfigStore, tmp_path: Path) -> None:
    assert store.list() == []
    for name in ("b.yml", "a.yaml", "C.YAML"):
        store.create(name, content={})
    folder = tmp_path / "configs"
    (folder / "notes.txt").write_text("x")
    (folder / "sub.yaml").mkdir()
    (folder / "link.yaml").symlink_to("/etc/hostname")
    (folder / ".hidden.yaml").write_text("a: 1")
    assert store.list() == ["C.YAML", "a.yaml", "b.yml"]
    for name in ("link.yaml", "sub.yaml", "none.yaml"):
        for act in (store.read_text, store.delete, lambda n: store.replace(n, content={})):
            with pytest.raises(NotFound) as refused:
                act(name)
            assert refused.value.code == "config_not_found"
    assert (folder / "link.yaml").is_symlink()


MALFORMED = ["", ".", "..", "../a.yaml", "/etc/a.yaml", "a/../b.yaml", "C:\\x.yaml", "a\0.yaml", "CON.yaml", "a.txt"]


@pytest.mark.parametrize("name", [*MALFORMED, "configs/../a.yaml", "x" * 300 + ".yaml"])
def test_a_malformed_name_touches_nothing(store: ConfigStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text("outside: 1")
    before = tree(tmp_path)
    acts: list[Callable[[], object]] = [
        lambda: store.read(name),
        lambda: store.create(name, content={}),
        lambda: store.create(name, content={}, overwrite=True),
        lambda: store.replace(name, content={}),
        lambda: store.delete(name),
        lambda: store.save_as(name, "a: 1"),
    ]
    for act in acts:
        with pytest.raises(InvalidInput):
            act()
    assert tree(tmp_path) == before


def test_bad_content_changes_nothing(store: ConfigStore, tmp_path: Path) -> None:
    store.create("x.yaml", text=TEXT)
    before = tree(tmp_path)
    for name, act in (("x.yaml", store.replace), ("new.yaml", store.create)):
        with pytest.raises(InvalidInput, match="either as"):
            act(name)
        with pytest.raises(InvalidInput, match="either as"):
            act(name, content={}, text="a: 1")
        with pytest.raises(InvalidInput, match="lone surrogate"):
            act(name, content={"a": "\ud800"})
        with pytest.raises(Unprocessable, match=f"^{name}, line 2, column 1"):
            act(name, text="a: [1, 2\n")
        with pytest.raises(TooLarge):
            act(name, text="a: " + "x" * 1000)
        with pytest.raises(TooLarge):
            act(name, content={"a": "x" * 1000})
    assert tree(tmp_path) == before


def test_an_existing_config_is_replaced_only_on_purpose(store: ConfigStore) -> None:
    store.create("x.yaml", text="a: 1\n")
    with pytest.raises(Conflict) as refused:
        store.create("x.yaml", text="a: 2\n")
    assert refused.value.code == "config_exists"
    assert store.read_text("x.yaml") == "a: 1\n"
    store.create("x.yaml", text="a: 2\n", overwrite=True)
    assert store.read_text("x.yaml") == "a: 2\n"
    store.replace("x.yaml", content={"a": 3})
    assert store.read("x.yaml") == {"a": 3}
    store.delete("x.yaml")
    assert store.list() == []


def test_an_object_saved_unchanged_leaves_comments_and_spellings_alone(store: ConfigStore) -> None:
    store.create("x.yaml", text=TEXT)
    store.replace("x.yaml", content=store.read("x.yaml"))
    assert store.read_text("x.yaml") == TEXT
    store.replace("x.yaml", content={"lr": 1e-4, "start": "12:30:01"})
    assert store.read_text("x.yaml") == "lr: 0.0001\nstart: '12:30:01'\n"


def test_a_damaged_config_can_be_replaced(store: ConfigStore, tmp_path: Path) -> None:
    store.create("x.yaml", content={})
    (tmp_path / "configs" / "x.yaml").write_bytes(b"\xff")
    with pytest.raises(Unprocessable, match="not UTF-8"):
        store.read("x.yaml")
    store.replace("x.yaml", content={"a": 1})
    assert store.read("x.yaml") == {"a": 1}


def test_saving_the_same_text_again_is_fine_and_another_is_a_conflict(store: ConfigStore) -> None:
    assert store.save_as("x.yaml", TEXT) == "x.yaml"
    assert store.save_as("x.yaml", TEXT) == "x.yaml"
    with pytest.raises(Conflict):
        store.save_as("x.yaml", TEXT + "# more")
    assert store.read_text("x.yaml") == TEXT


def race(store: ConfigStore) -> list[str]:
    """What twenty threads that create one name at once came to."""
    start = threading.Barrier(20)
    outcomes: list[str] = []

    def create(number: int) -> None:
        start.wait()
        try:
            store.create("x.yaml", text=f"winner: {number}\n")
            outcomes.append(f"winner: {number}\n")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_many_that_create_one_name_at_once_one_wins(
    store: ConfigStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    outcomes = race(store)
    assert len(outcomes) == 20
    (won,) = [outcome for outcome in outcomes if outcome != "conflict"]
    assert tree(tmp_path) == {"configs/x.yaml": won.encode()}


@pytest.mark.parametrize(("number", "error"), [(28, StorageFull), (122, StorageFull), (5, Unavailable)])
def test_a_failing_storage_is_told_and_leaves_the_config_as_it_was(
    store: ConfigStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[OpevaError]
) -> None:
    store.create("x.yaml", text="a: 1\n")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    acts: list[Callable[[], object]] = [
        lambda: store.create("y.yaml", content={}),
        lambda: store.create("x.yaml", content={}, overwrite=True),
        lambda: store.replace("x.yaml", content={}),
    ]
    for act in acts:
        with pytest.raises(error):
            act()
    assert tree(tmp_path) == {"configs/x.yaml": b"a: 1\n"}


def test_a_missing_root_is_not_made_but_reported(tmp_path: Path) -> None:
    store = ConfigStore(Layout(tmp_path / "mount"))
    assert store.list() == []
    with pytest.raises(Unavailable):
        store.create("x.yaml", content={})
    assert not (tmp_path / "mount").exists()
