"""Work that gives way to simulations: done by a thread of low priority, which ends with it.

Ray uses its worker processes again for other work, and only root may raise a priority again; so it is a thread's, which
Linux allows, and never the process's.
"""

import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_NICE: Final = 10


def niced(work: Callable[[], T]) -> T:
    """The outcome of `work`, done at low priority; what it raises is raised here."""
    outcomes: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            outcomes.append(work())
        except BaseException as error:  # handed to the caller, whoever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="niced")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcomes[0]
