"""The version of the running code: the release, and a fingerprint of the sources.

The sources are read when a process first asks. The packages that are installed beside them (`requirements.lock`) are no
part of the fingerprint: new ones alone are the same version.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from workers.common.frozen_code import ORIGIN_FILE

#: The release. `pyproject.toml` reads it from here.
VERSION: Final = "0.2.0"
#: What runs in the cluster. A change of any of their modules renews the application and the supervisor.
PACKAGES: Final = ("serve_app", "deployments", "workers")
#: Holds the fingerprint in the environment of our processes: with another value, Serve and Ray take the code for new.
VERSION_VARIABLE: Final = "APP_CODE_VERSION"
#: The folder of the packages that this process runs.
ROOT: Final = Path(__file__).resolve().parents[2]


@cache
def code_version() -> str:
    """The fingerprint of the running sources, as they were when this process first asked."""
    return fingerprint(ROOT)


def full_version() -> str:
    """The release with the fingerprint of the sources, as Python packages write it: `0.2.0+0123456789ab`."""
    return f"{VERSION}+{code_version()}"


def code_copy() -> str | None:
    """The copy of the code that this process runs (`frozen_code`); None if it runs what is installed."""
    return str(ROOT) if (ROOT / ORIGIN_FILE).is_file() else None


def fingerprint(root: Path) -> str:
    """Twelve hex digits that change with any change of a module, at any depth, of the packages in `root`."""
    digest = hashlib.sha256()
    for source in _sources(root):
        for part in (str(source.relative_to(root)).encode(), source.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def changed_at(root: Path) -> float:
    """When a module or folder of the packages in `root` last changed, epoch seconds.

    By the time of the change of the file itself (`ctime`), since tools that copy files set its other times back.
    """
    sources = _sources(root)
    folders = {parent for source in sources for parent in source.parents if parent.is_relative_to(root)}
    return max((path.stat().st_ctime for path in (*sources, *(folders - {root}))), default=0.0)


def _sources(root: Path) -> list[Path]:
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
