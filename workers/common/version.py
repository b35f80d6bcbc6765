"""The version of the running code: a fingerprint of its sources."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

#: What runs in the cluster. A change of any of their modules renews the application and the supervisor.
PACKAGES: Final = ("serve_app", "deployments", "workers")


@cache
def code_version() -> str:
    """The fingerprint of the sources beside this one, as they were when this process first asked."""
    return fingerprint(Path(__file__).resolve().parents[2])


def fingerprint(root: Path) -> str:
    """Twelve hex digits that change with any change of a module, at any depth, of the packages in `root`."""
    digest = hashlib.sha256()
    for source in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        for part in (str(source.relative_to(root)).encode(), source.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]
