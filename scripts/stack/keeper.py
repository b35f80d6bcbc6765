"""Holds a process tree, so that all of it can be ended: `keeper.py [--owner PID] [--grace S] ... -- COMMAND...`.

Ray's processes leave their parents and their sessions and overwrite their environment; only the kernel still knows
whose they are. A child subreaper inherits every orphan below it, so whatever the command starts stays a descendant of
this process. On SIGTERM, or when the owner is gone, everything below is terminated, then killed, and the keeper ends.

Stands alone (standard library only, no imports of ours): it is started by path, from any virtual environment.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
#: How often the owner is looked at when no signal arrives, seconds.
_TICK = 0.5
#: After the grace period everything is killed; what a kill does not end within this is stuck in the kernel.
_KILL_DEADLINE = 20.0


def descendants(root: int) -> list[int]:
    """The pids of all processes below `root`, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it ended while we looked
        # The command's name stands in parentheses and may itself hold spaces and parentheses.
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def send(pids: list[int], number: int) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _reap(main: int) -> int | None:
    """Collect every ended child; the exit code of `main` if it was among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == main:
            code = os.waitstatus_to_exitcode(status)


def _end_all(main: int, grace: float) -> None:
    send(descendants(os.getpid()), signal.SIGTERM)
    start = time.monotonic()
    while left := descendants(os.getpid()):
        waited = time.monotonic() - start
        if waited > grace:
            send(left, signal.SIGKILL)
        if waited > grace + _KILL_DEADLINE:
            print(f"keeper: still there after SIGKILL: {left}", file=sys.stderr, flush=True)
            return
        time.sleep(0.05)
        _reap(main)


def main() -> int:
    """Run the command until told to stop, until the owner is gone, or until nothing of it is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, help="end everything when this process has ended")
    parser.add_argument("--grace", type=float, default=4.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--done", type=Path, help="a file to make once the command itself has ended well")
    parser.add_argument("--finally", dest="last", action="append", default=[], help="a command to run at the very end")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    owner = os.pidfd_open(options.owner) if options.owner else None
    process = subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        # The children must not inherit that our signals are blocked.
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS),
    )
    code: int | None = None
    while True:
        got = signal.sigtimedwait(_SIGNALS, _TICK)
        ended = _reap(process.pid)
        if ended is not None:
            code = ended
            if code == 0 and options.done:
                options.done.touch()
        if got is not None and got.si_signo != signal.SIGCHLD:
            break
        if owner is not None and select.select([owner], [], [], 0)[0]:
            break
        if code or (code == 0 and not descendants(os.getpid())):
            break
    _end_all(process.pid, options.grace)
    for command in options.last:
        subprocess.run(shlex.split(command), check=False, timeout=60)
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
