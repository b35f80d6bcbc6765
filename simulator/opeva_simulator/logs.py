"""The simulation's log: the same lines in `logs/<job id>.log` and on stdout, times in UTC."""

import logging
import sys
import time
from pathlib import Path

log = logging.getLogger("opeva_simulator")


def to_stdout() -> None:
    """Log to stdout; libraries only from warnings on."""
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.WARNING, handlers=[_formatted(logging.StreamHandler(sys.stdout))])
    log.setLevel(logging.INFO)


def to_file(path: Path) -> None:
    """Log to the file at `path` too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(_formatted(logging.FileHandler(path, encoding="utf-8")))


def set_level(level: str) -> None:
    """Log the simulation's own lines from `level` on."""
    log.setLevel(level)


def _formatted(handler: logging.Handler) -> logging.Handler:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    return handler
