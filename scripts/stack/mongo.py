"""A MongoDB-compatible server (SecantusDB) in a process of its own, for development and tests only."""

import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from scripts.stack.processes import Kept, start_until

#: A cold start reads a Python package of some size from a cold disk.
_START_DEADLINE = 90.0


@dataclass(frozen=True)
class EmbeddedMongo:
    """A server on 127.0.0.1:`port` that keeps its data in `folder`, which must not be on the shared storage."""

    port: int
    folder: Path
    mark: str = "mongo"
    owner: int | None = None
    _kept: Kept = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", Kept("mongo", self.folder, self.mark))

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    @property
    def log(self) -> Path:
        return self._kept.log

    def alive(self) -> bool:
        """Whether the server's process lives and its port accepts connections."""
        return self._kept.alive() and self._answers()

    def start(self, environment: dict[str, str]) -> None:
        """Start the server, if it does not run yet, and wait until it accepts connections.

        Raises RuntimeError with the end of its log if it doesn't.
        """
        if not self._kept.alive():
            program = Path(sys.executable).with_name("secantusd-py")
            if not program.exists():
                raise RuntimeError(
                    f"{program} is missing: install the extra 'devdb' (scripts/setup.sh does), or set OPEVA_MONGO_URI"
                )
            if self._answers():
                raise RuntimeError(f"Port {self.port} is in use: set OPEVA_PORT_BASE or OPEVA_MONGO_URI")
            data = self.folder / "data"
            command = [str(program), "--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(data)]
            command += ["--standalone", "--cache-size", "256M", "--log-level", "WARNING"]
            start_until(
                self._kept,
                lambda: self._kept.start(command, environment, owner=self.owner, grace=10),
                self._answers,
                _START_DEADLINE,
            )

    def stop(self) -> None:
        """End the server in an orderly way; its data stays."""
        self._kept.stop()

    def kill(self) -> None:
        """End the server with SIGKILL; its data stays."""
        self._kept.kill()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
