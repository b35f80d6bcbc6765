"""The version of the code that supervises jobs: a fingerprint of its sources."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def code_version() -> str:
    """Twelve hex digits that change with any change of this package's modules."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for source in sorted(folder.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
