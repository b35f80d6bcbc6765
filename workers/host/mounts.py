"""What a container sees of the shared root: all of it to read at `/data`, its own job's folder to write, ours not.

`shared_root` is the folder as this process sees it, `host_root` the same folder as the Docker engine sees it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from docker.types import Mount

from workers.common.layout import Layout
from workers.host.engine import EngineError, hostname
from workers.host.log_writer import StorageTroubleError

if TYPE_CHECKING:
    from workers.jobs.spec import Spec

DATA: Final = "/data"
#: A mask is empty and stays so; the size is for the mount points that Docker makes in it.
_MASK_BYTES: Final = 1 << 20


def check_storage(spec: Spec) -> None:
    """That the shared root here is this installation's, not an empty folder where a mount is missing.

    Raises EngineError `storage_unavailable`.
    """
    path = Layout(Path(spec["shared_root"])).cluster_id
    try:
        found = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise EngineError(
            "storage_unavailable",
            f"The shared storage is not at {spec['shared_root']} on host {hostname()}: {error.strerror or error}",
        ) from error
    if found != spec["cluster_id"]:
        raise EngineError(
            "storage_unavailable",
            f"{spec['shared_root']} on host {hostname()} is the shared storage of another installation",
        )


def prepare_folders(spec: Spec) -> None:
    """Make the folders that are bound, where they are missing. Raises EngineError."""
    layout = Layout(Path(spec["shared_root"]))
    try:
        for folder in (layout.job(spec["job_id"]), *(layout.root / writable(path) for path in spec["writable"])):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        trouble = StorageTroubleError(error, "the job")
        raise EngineError(
            trouble.reason, f"{error.filename} could not be made on host {hostname()}: {error.strerror or error}"
        ) from error


def mounts(spec: Spec) -> list[Mount]:
    """The container's mounts. The engine refuses a bind whose source is missing, and mounts outer folders first."""
    root = PurePosixPath(spec["host_root"])
    private = _mask(f"{DATA}/.opeva")
    if spec["open_root"]:
        return [_bind(root, DATA), private]
    return [
        _bind(root, DATA, read_only=True),
        private,
        _mask(f"{DATA}/jobs"),
        _bind(root / "jobs" / spec["job_id"], f"{DATA}/jobs/{spec['job_id']}"),
        *(_bind(root / writable(path), f"{DATA}/{writable(path)}") for path in spec["writable"]),
    ]


def writable(path: str) -> str:
    """A writable folder as given in the settings, checked: below the root, and neither ours nor other jobs'.

    Raises EngineError `start_failed`.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] in ("/", ".opeva", "jobs") or ".." in parts:
        raise EngineError("start_failed", f"The writable path {path!r} is not a folder of the shared root to open")
    return str(PurePosixPath(path))


def _bind(source: PurePosixPath, target: str, *, read_only: bool = False) -> Mount:
    return Mount(target=target, source=str(source), type="bind", read_only=read_only)


def _mask(target: str) -> Mount:
    return Mount(target=target, source=None, type="tmpfs", tmpfs_size=_MASK_BYTES, tmpfs_mode=0o555, read_only=True)
