"""The image's health check: 0 if the head's API says that it is well, or if a worker's Ray node lives.

Stands alone, since it runs every few seconds: the standard library only.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

_API_PORT: Final = 8000


def role() -> str:
    """What the container's first process was started as."""
    words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    return "worker" if any(b"join-ray-worker" in word or word == b"worker" for word in words) else "head"


def api_answers() -> bool:
    """Whether `/health` of this container's API is 200."""
    port = int(os.environ.get("OPEVA_PORT_BASE") or _API_PORT)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def node_lives() -> bool:
    """Whether a raylet runs in this container."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "raylet":
                return True
        except OSError:
            continue  # it ended while we looked
    return False


if __name__ == "__main__":
    sys.exit(0 if (node_lives() if role() == "worker" else api_answers()) else 1)
