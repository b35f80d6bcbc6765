"""The code of one deployment as a copy that nothing changes: whatever process starts later runs what was deployed.

Where Ray runs from a checkout or a virtual environment, the code on the disk may be edited, or a new version be
installed, while an application runs; a replica, a task or a supervisor that starts then would mix the two. So the
application's builder copies the packages into the session folder of Ray on the head, and what it deploys says by
`use` where the copy is, before anything of ours is imported.

This module travels by value and imports nothing of ours. `tests/cluster/test_plain_ray.py` proves it.
"""

import importlib
import os
import pickle
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import ray.cloudpickle

#: In a copy: the folder that it is a copy of.
ORIGIN_FILE: Final = "ORIGIN"


def copy_packages(origin: Path, packages: tuple[str, ...], version: str, into: Path) -> Path:
    """A copy of the packages of `origin` in the folder `into/<version>`; the one that is there already, if it is.

    Raises OSError.
    """
    target = into / version
    if (target / ORIGIN_FILE).is_file():
        return target
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=into))
    try:
        for package in packages:
            shutil.copytree(origin / package, making / package, ignore=shutil.ignore_patterns("__pycache__"))
        (making / ORIGIN_FILE).write_text(str(origin))
        making.rename(target)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not (target / ORIGIN_FILE).is_file():  # else another build was first
            raise
    return target


def use(code: str | None) -> None:
    """Have this process import our packages from the copy `code`; from wherever it would, if there is none (any more).

    A copy goes with its session of Ray. What is restored in a later one runs the code that is installed.
    """
    if code and code not in sys.path and os.path.isdir(code):  # noqa: PTH112 - imported as little as possible
        sys.path.insert(0, code)


class Frozen:
    """A Serve deployment whose replica is made from the copy: `target` is `module:callable`, called with `args`.

    Serve finds the replica's methods through this object.
    """

    def __init__(self, code: str | None, target: str, *args: Any) -> None:
        use(code)
        self._replica = _named(target)(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "_replica":  # the constructor failed
            raise AttributeError(name)
        return getattr(self._replica, name)


class FrozenApp(Frozen):
    """A Serve ingress whose HTTP app is made from the copy: what the target gives is the app."""

    def __serve_build_asgi_app__(self) -> Any:
        return self._replica


def frozen_call(code: str | None, version: str, target: str, *args: Any) -> Callable[[Any], Any]:
    """A function for Ray's tasks: calls `target` (`module:function`) of the copy with what it is given and `args`.

    On a node that has no copy it calls what is installed there; RuntimeError if that is another version.
    """
    # Read only once the copy is in use, since what they are instances of comes from it.
    content = pickle.dumps(args)

    def call(given: Any) -> Any:
        use(code)
        found = _named("workers.common.version:code_version")()
        if found != version:
            raise RuntimeError(
                f"The host {socket.gethostname()} carries version {found} of the package, the application runs "
                f"{version}: install the same there"
            )
        return _named(target)(given, *pickle.loads(content))  # noqa: S301 - made above

    return call


def _named(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


# By value: where this is read, nothing of ours can be imported before `use` has said from where.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
