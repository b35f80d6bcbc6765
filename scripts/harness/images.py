"""A tiny image for tests that need a real container and no registry: a static busybox with its applets."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import ImageNotFound

BUSYBOX: Final = "opeva-test-busybox:1"
_BINARY = Path("/bin/busybox")


def busybox_image() -> str:
    """The image's tag; made on the first call of this engine, from Debian's `busybox-static` (installed if missing)."""
    client: Any = docker.APIClient(timeout=60)
    try:
        try:
            client.inspect_image(BUSYBOX)
        except ImageNotFound:
            _import(client)
    finally:
        client.close()
    return BUSYBOX


def _import(client: Any) -> None:
    if not _BINARY.exists():
        subprocess.run(["apt-get", "install", "-y", "busybox-static"], check=True, timeout=300, capture_output=True)
    applets = subprocess.run([_BINARY, "--list"], check=True, timeout=30, capture_output=True, text=True).stdout.split()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("data", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(_BINARY, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    repository, tag = BUSYBOX.split(":")
    client.import_image_from_data(content.getvalue(), repository=repository, tag=tag, changes=["ENV PATH=/bin"])
