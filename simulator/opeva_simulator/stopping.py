"""Being stopped: SIGTERM ends the simulation where it stands."""

import signal
from types import FrameType
from typing import Final

#: What a shell reports for a process that SIGTERM ended.
EXIT_STOPPED: Final = 128 + signal.SIGTERM


class Stopped(BaseException):
    """The container was told to stop. No Exception, so that no handler of failures takes it for one."""


def stop_on_sigterm() -> None:
    """Turn the first SIGTERM into `Stopped`, raised wherever the main thread is. Later ones change nothing."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    signal.signal(signal.SIGTERM, handle)
