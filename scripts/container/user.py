"""Whom the processes of a container run as: nobody special where the shared folder and Docker's socket allow it.

The container starts as root, since only root may look up a socket's group and become anybody.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

#: The image's own user.
OPEVA: Final = 10001


@dataclass(frozen=True)
class User:
    """Ids of a user; `why_root` says for root why it must be root."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    why_root: str = ""


def choose(root: Path, socket: Path, environment: Mapping[str, str]) -> User:
    """Who owns the shared folder `root`, with the group of Docker's `socket`; root where that can't be otherwise.

    An empty folder that belongs to root, as Docker makes it for a mount, is given to the image's user. `OPEVA_RUN_AS`
    (`uid` or `uid:gid`) overrides the owner. Raises ValueError for one that is no such pair.
    """
    wanted = environment.get("OPEVA_RUN_AS")
    if wanted:
        uid, gid = _pair(wanted)
    else:
        uid, gid = _owner(root)
    if uid == 0:
        return User(0, 0, why_root=f"the shared folder {root} belongs to root")
    try:
        seen = socket.stat()
    except OSError:
        return User(uid, gid)  # no engine: nothing to be allowed
    if seen.st_uid == uid or (seen.st_mode & stat.S_IROTH and seen.st_mode & stat.S_IWOTH):
        return User(uid, gid)
    if seen.st_mode & stat.S_IRGRP and seen.st_mode & stat.S_IWGRP:
        return User(uid, gid, (seen.st_gid,))
    return User(0, 0, why_root=f"only root may use Docker's socket {socket}")


def become(user: User, home: Path, arguments: list[str]) -> NoReturn:
    """Run the command line `arguments` as the user, in the place of this process; what is in `home` becomes theirs."""
    for path in [home, *home.rglob("*")]:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    os.setgroups(user.groups)
    os.setgid(user.gid)
    os.setuid(user.uid)
    # A new program, not just a new id: the kernel lets a process that changed its id no longer look at itself in /proc.
    names = {"HOME": str(home), "USER": "opeva", "LOGNAME": "opeva"}
    os.execve(arguments[0], arguments, {**os.environ, **names})  # noqa: S606


def _owner(root: Path) -> tuple[int, int]:
    seen = root.stat()
    if seen.st_uid != 0:
        return seen.st_uid, seen.st_gid
    if any(root.iterdir()):
        return 0, 0
    try:
        os.chown(root, OPEVA, OPEVA)
    except OSError:
        return 0, 0  # a network file system may not let anybody give folders away
    return OPEVA, OPEVA


def _pair(text: str) -> tuple[int, int]:
    uid, _, gid = text.partition(":")
    if not uid.isdecimal() or not (gid or uid).isdecimal():
        raise ValueError(f"OPEVA_RUN_AS must be a user's number, or uid:gid, not {text!r}")
    return int(uid), int(gid or uid)
