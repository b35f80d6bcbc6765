"""The largest resident memory of processes on this machine since a moment, as the kernel keeps it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OWN = "self"


def forget(title: str = OWN) -> None:
    """Let the peaks of this process, or of those whose name begins with `title`, begin at what they use now."""
    for process in _processes(title):
        with suppress(OSError):
            (process / "clear_refs").write_text("5")


def peak(title: str = OWN) -> int:
    """The largest of their peaks since then, in bytes; 0 if there is no such process."""
    return max((_number(process, "VmHWM") for process in _processes(title)), default=0)


def _processes(title: str) -> Iterator[Path]:
    if title == OWN:
        yield Path("/proc/self")
        return
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end meanwhile.
        with suppress(OSError):
            if (process / "comm").read_text().startswith(title):
                yield process


def _number(process: Path, name: str) -> int:
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
