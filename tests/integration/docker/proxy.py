"""A relay before the real Docker engine that can lose answers, hang, answer by itself, or go away."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from docker.utils import kwargs_from_env

_REQUEST = re.compile(rb"^([A-Z]+) (?:/v[0-9.]+)?(/[^ ?]*)")


class _Link:
    """One client's connection and its own connection to the engine."""

    def __init__(self, client: socket.socket, engine: socket.socket) -> None:
        self.client = client
        self.engine = engine
        #: Whether answers still reach the client.
        self.answering = True

    def close(self) -> None:
        for end in (self.client, self.engine):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                # The other side has closed it.
                continue


class DockerProxy:
    """`path` is a socket like the engine's. Faults are set for requests that match `METHOD /path` patterns."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._rules: list[tuple[re.Pattern[str], Callable[[_Link, bytes], bool], list[int]]] = []
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        #: Requests seen, as `METHOD /path`.
        self.requests: list[str] = []

    def __enter__(self) -> DockerProxy:
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()

    # -- faults

    def lose_answer(self, pattern: str, times: int = 1) -> None:
        """The engine does what is asked and the client sees its connection break."""

        def rule(link: _Link, data: bytes) -> bool:
            # The engine answers when it is done, and that is when the client loses the connection.
            link.answering = False
            link.engine.sendall(data)
            return True

        self._rules.append((re.compile(pattern), rule, [times]))

    def lose_request(self, pattern: str, times: int = 1) -> None:
        """The client sees its connection break, and the engine has heard nothing."""

        def rule(link: _Link, data: bytes) -> bool:
            link.close()
            return True

        self._rules.append((re.compile(pattern), rule, [times]))

    def hang(self, pattern: str, times: int = 1) -> None:
        """The request is swallowed: neither done nor answered."""
        self._rules.append((re.compile(pattern), lambda link, data: True, [times]))

    def answer(self, pattern: str, text: bytes, times: int = 1) -> None:
        """The client gets `text` in place of the engine's answer, and the connection stays open."""

        def rule(link: _Link, data: bytes) -> bool:
            link.client.sendall(text)
            return True

        self._rules.append((re.compile(pattern), rule, [times]))

    def go_away(self) -> None:
        """As an engine that is shut down: connections break, new ones are refused."""
        if self._listener is not None:
            # A blocked accept is not ended by closing the socket alone.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self.path.unlink()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def come_back(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    # -- relaying

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                # The listener was closed.
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._target)
            link = _Link(client, engine)
            with self._lock:
                self._links.add(link)
            threading.Thread(target=self._requests, args=(link,), daemon=True).start()
            threading.Thread(target=self._answers, args=(link,), daemon=True).start()

    def _requests(self, link: _Link) -> None:
        try:
            while data := link.client.recv(1 << 16):
                if not self._faulty(link, data):
                    link.engine.sendall(data)
        except OSError:
            # One of the two ends is gone, and with it the link.
            pass
        link.close()

    def _answers(self, link: _Link) -> None:
        try:
            while (data := link.engine.recv(1 << 16)) and link.answering:
                link.client.sendall(data)
        except OSError:
            # As above.
            pass
        link.close()
        with self._lock:
            self._links.discard(link)

    def _faulty(self, link: _Link, data: bytes) -> bool:
        head = _REQUEST.match(data)
        if head is None:
            return False
        request = f"{head[1].decode()} {head[2].decode()}"
        self.requests.append(request)
        for pattern, rule, left in self._rules:
            if left[0] > 0 and pattern.search(request):
                left[0] -= 1
                return rule(link, data)
        return False


def engine_socket() -> str:
    """The path of the engine's socket that the environment names."""
    url = str(kwargs_from_env().get("base_url") or "unix:///var/run/docker.sock")
    return url.split("://", 1)[1]
