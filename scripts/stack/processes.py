"""Long-running processes: started under a keeper, remembered in a file, found again and ended with all they started."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.stack import keeper
from workers.common.clock import Deadline
from workers.common.files import write_atomic

#: In the environment of everything that a stack starts: which stack it belongs to.
MARK = "STACK_MARK"
#: What a keeper may take beyond its own grace period before its tree is killed from outside, seconds.
_PATIENCE = 30.0
#: Ray gives itself 30 s for a start, which a machine that is busy with other things may not give it.
_ATTEMPTS = 3


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone. With the pid it identifies a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def command_line(pid: int) -> str:
    """The command line of a process, or the title it gave itself; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def tail(path: Path, lines: int = 40) -> str:
    """The last lines of a log file; a sentence instead if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"({path} can't be read: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:])


def start_until(kept: "Kept", start: Callable[[], None], ready: Callable[[], bool], deadline_s: float) -> None:
    """Start a tree and wait until it is `ready`; a start that fails on a busy machine is tried again.

    Raises RuntimeError with the end of its log; nothing of it is left then.
    """
    deadline = Deadline(deadline_s)
    for left in reversed(range(_ATTEMPTS)):
        start()
        while kept.alive() and not deadline.passed():
            if ready():
                return
            time.sleep(0.1)
        kept.stop()
        if not left or deadline.passed():
            raise RuntimeError(f"{kept.name} did not start; the end of {kept.log}:\n{tail(kept.log)}")


@dataclass(frozen=True)
class Kept:
    """A process tree under a keeper. `folder` holds its pid file and its log."""

    name: str
    folder: Path
    mark: str

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def _done_file(self) -> Path:
        return self.folder / f"{self.name}.done"

    def done(self) -> bool:
        """Whether the command has ended well; what it left running in the background is kept."""
        return self._done_file.exists()

    def pid(self) -> int | None:
        """The keeper's pid while it lives."""
        try:
            record = json.loads(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        pid = int(record["pid"])
        return pid if start_time(pid) == record["started"] else None

    def alive(self) -> bool:
        """Whether the keeper lives; what it keeps may have ended."""
        return self.pid() is not None

    def processes(self) -> dict[int, str]:
        """The command lines of all that the keeper keeps, by pid."""
        pid = self.pid()
        return {} if pid is None else {child: command_line(child) for child in keeper.descendants(pid)}

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        owner: int | None = None,
        grace: float = 4.0,
        finally_: Sequence[str] = (),
    ) -> None:
        """Start `command` in a session of its own, its output in `log`.

        It ends with `stop`, or when the process `owner` ends. `finally_` are command lines to run after the end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._done_file.unlink(missing_ok=True)
        line = [sys.executable, "-I", keeper.__file__, "--grace", str(grace), "--done", str(self._done_file)]
        if owner is not None:
            line += ["--owner", str(owner)]
        for last in finally_:
            line += ["--finally", last]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*line, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, MARK: self.mark},
                cwd=self.folder,
                start_new_session=True,
            )
        record = {"pid": process.pid, "started": start_time(process.pid)}
        write_atomic(self._pid_file, json.dumps(record).encode())

    def stop(self) -> None:
        """End everything that was started, also if the keeper itself was killed. Idempotent."""
        pid = self.pid()
        if pid is not None:
            keeper.send([pid], signal.SIGTERM)
            deadline = Deadline(_PATIENCE)
            while start_time(pid) is not None and not deadline.passed():
                _reap(pid)
                time.sleep(0.05)
            if start_time(pid) is not None:
                # The children first: they would be orphans otherwise.
                keeper.send([*keeper.descendants(pid), pid], signal.SIGKILL)
            _reap(pid)
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End everything at once with SIGKILL, as a power cut would."""
        pid = self.pid()
        if pid is None:
            return
        keeper.send([pid], signal.SIGSTOP)  # so that the keeper can't end the tree in an orderly way
        while left := keeper.descendants(pid):
            keeper.send(left, signal.SIGKILL)
            time.sleep(0.01)
        keeper.send([pid], signal.SIGKILL)
        _reap(pid)
        self._pid_file.unlink(missing_ok=True)


def _reap(pid: int) -> None:
    """Collect a keeper that was our child, so that no zombie of it stays."""
    with contextlib.suppress(ChildProcessError):  # started by another process
        os.waitpid(pid, os.WNOHANG)


def strays(mark: str, folder: Path) -> list[int]:
    """The pids of processes that bear `mark` or a mark that begins so, or whose output goes into `folder`.

    The second is how Ray's workers are known, whose titles overwrite their environment.
    """
    wanted = f"{MARK}={mark}".encode()
    inside = f"{folder}/"
    mine = _ancestors()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        try:
            marked = any(part.startswith(wanted) for part in (entry / "environ").read_bytes().split(b"\0"))
            writes = any(str((entry / "fd" / fd).readlink()).startswith(inside) for fd in ("1", "2"))
        except OSError:
            continue  # it ended while we looked, or it is a kernel thread, or not ours to look at
        if (marked or writes) and start_time(int(entry.name)) is not None:
            found.append(int(entry.name))
    return found


def end_strays(mark: str, folder: Path) -> None:
    """Kill what a killed keeper left behind, see `strays`."""
    deadline = Deadline(20)
    while (found := strays(mark, folder)) and not deadline.passed():
        keeper.send(found, signal.SIGKILL)
        time.sleep(0.05)


def _ancestors() -> set[int]:
    """This process and all above it."""
    chain = set()
    pid = os.getpid()
    while pid > 0:
        chain.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return chain
