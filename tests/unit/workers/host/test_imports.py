"""What travels to worker machines imports only what is there: the standard library, Ray, and docker with its own."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[4]
ROOMS = ("workers.host", "workers.common", "workers.jobs")
#: Of Ray what a plain worker has; its Serve, Data and dashboard need more.
RAY = {"ray", "ray.util", "ray.cloudpickle", "ray.exceptions"}
DOCKER = {"docker", "requests", "urllib3"}


class _AtRunTime(ast.NodeVisitor):
    """The modules that a source imports, but for the checker of types only."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for otherwise in node.orelse:
                self.visit(otherwise)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "a relative import"
        module = node.module or ""
        self.found.add(module)
        # A name may be a module itself: of Ray's all that are asked for are taken for one.
        whole = (f"{module}.{alias.name}" for alias in node.names)
        self.found |= {name for name in whole if module == "ray" or _source(name) is not None}


def _imports(source: str) -> set[str]:
    visitor = _AtRunTime()
    visitor.visit(ast.parse(source))
    return visitor.found


def _source(module: str) -> Path | None:
    path = PROJECT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _is_there(module: str) -> bool:
    top = module.partition(".")[0]
    if top == "ray":
        return module in RAY
    if top == "workers":
        return module == "workers" or module.startswith(tuple(f"{room}." for room in ROOMS)) or module in ROOMS
    return top in sys.stdlib_module_names or top in DOCKER


def _travelling() -> Iterator[tuple[str, set[str]]]:
    """Each module of `workers.host`, and of ours that they import, with what it imports."""
    host = PROJECT / "workers" / "host"
    waiting = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in sorted(host.rglob("*.py"))]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        source = _source(module)
        if module in seen or source is None:
            continue
        seen.add(module)
        found = _imports(source.read_text())
        yield module, found
        waiting += (name for name in found if name.startswith("workers."))


def test_what_travels_to_a_worker_machine_imports_only_what_is_there() -> None:
    travelling = dict(_travelling())
    assert {"workers.host.remote", "workers.host.engine", "workers.common.clock"} <= set(travelling)
    missing = {module: {name for name in found if not _is_there(name)} for module, found in travelling.items()}
    assert {module: names for module, names in missing.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import yaml",
        "from pydantic import BaseModel",
        "import ray.serve",
        "from ray import serve",
        "from ray.data import Dataset",
        "def late():\n    import numpy as np",
        "from workers.sites.instants import to_epoch",
        "if TYPE_CHECKING:\n    import ray\nelse:\n    import pandas",
    ],
)
def test_an_import_that_fails_there_is_seen(source: str) -> None:
    assert not all(map(_is_there, _imports(source)))


def test_what_only_the_checker_of_types_reads_may_be_anything() -> None:
    assert _imports("if TYPE_CHECKING:\n    import pandas\nimport ray.util") == {"ray.util"}
