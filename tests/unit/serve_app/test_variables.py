"""The table in docs/settings.md has every `OPEVA_*` variable that anything reads, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

from serve_app.other_variables import OTHERS
from serve_app.settings_table import names, table

PROJECT = Path(__file__).parents[3]
DOCUMENTATION = PROJECT / "docs" / "settings.md"
#: Where the variables that are no settings are described, which reads none.
DESCRIPTIONS = PROJECT / "serve_app" / "other_variables.py"


def files() -> Iterator[Path]:
    """What is the product's: neither tests nor what is installed or made here."""
    for entry in PROJECT.iterdir():
        if entry.name == "tests" or (entry.name.startswith(".") and entry.name not in (".ci", ".github")):
            continue
        for path in [entry] if entry.is_file() else entry.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def named(path: Path) -> set[str]:
    """The variables whose names a file holds; a name ends where no capital follows."""
    return set(re.findall(r"\bOPEVA_[A-Z0-9]+(?:_[A-Z0-9]+)*\b", path.read_text(errors="replace")))


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    assert table() in DOCUMENTATION.read_text()


def test_the_table_has_each_variable_once() -> None:
    assert sorted(names()) == sorted(set(names()))
    assert all(text.count(f"| `{name}` |") == 1 for text in [table()] for name in names())


def test_every_variable_that_the_tree_names_is_in_the_table() -> None:
    unknown = {name: str(path) for path in files() for name in named(path) - set(names())}
    assert unknown == {}


def test_every_variable_of_the_table_that_is_no_setting_is_read_by_something() -> None:
    readers = [path for path in files() if path.suffix != ".md" and path != DESCRIPTIONS]
    read = set().union(*(named(path) for path in readers))
    assert {variable.name for variable in OTHERS} - read == set()
