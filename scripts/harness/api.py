"""A client of the API for tests, and waits with deadlines."""

import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from workers.common.clock import Deadline

T = TypeVar("T")

#: Generous: what takes so long on a loaded machine has hung.
PATIENCE = 120.0


class Api(requests.Session):
    """A session whose URLs are paths of the API and whose calls have a deadline."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests.Session.request`, 60 s at most unless told otherwise."""
        kwargs.setdefault("timeout", 60)
        return super().request(method, f"{self.base}{url}", *args, **kwargs)

    def json(self, path: str, **parameters: Any) -> Any:
        """What a GET of `path` answers; anything but 200 fails the test."""
        answer = self.get(path, params=parameters)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(10)
        return probe.connect_ex((host, port)) == 0


def eventually(
    look: Callable[[], T], until: Callable[[T], object] = bool, *, what: str = "", deadline: float = PATIENCE
) -> T:
    """What `look` returns once `until` holds for it; the last look is in the failure.

    While the API or a host is being restarted a look may fail to connect; it is repeated then.
    """
    limit = Deadline(deadline)
    while True:
        try:
            seen = look()
            if until(seen):
                return seen
            last = repr(seen)
        except (requests.ConnectionError, requests.Timeout) as error:
            last = repr(error)
        if limit.passed():
            raise AssertionError(f"{what or 'It'} did not come within {deadline:.0f} s; last seen: {last}")
        time.sleep(0.1)
