"""What Docker engines say that happened to an installation's containers."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Self

import docker
import requests
from docker.errors import DockerException

from workers.common import names

_AGAIN_S: Final = 0.2


class ContainerEvents:
    """Counts how often containers of an installation were started, by job, on one engine.

    Follows the engine's events in a thread, over restarts of the engine: it tells those since the last one again.
    """

    def __init__(self, cluster_id: str, url: str | None = None) -> None:
        self._cluster_id = cluster_id
        self._url = url
        self._seen: dict[tuple[str, str, int], str] = {}
        self._since = 0.0
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name="container events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError(f"The engine at {self._url or 'the default socket'} gives no events")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._stream is not None:
            # Closing fails where the engine has gone already.
            with contextlib.suppress(OSError, DockerException, requests.RequestException):
                self._stream.close()
        self._thread.join(30)

    def starts(self) -> Counter[str]:
        """How often a container of each job was started."""
        return Counter(job for (_, what, _), job in list(self._seen.items()) if what == "start")

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                for event in self._events():
                    self._note(event)
            except (DockerException, requests.RequestException, OSError):
                # The engine is away: it was killed, or not answering is what a test is about.
                self._ended.wait(_AGAIN_S)

    def _events(self) -> Iterator[dict[str, Any]]:
        client = docker.DockerClient(base_url=self._url, timeout=60) if self._url else docker.from_env(timeout=60)
        try:
            filters = {"type": "container", "label": f"{names.LABEL_CLUSTER}={self._cluster_id}"}
            since = {"since": int(self._since)} if self._since else {}
            self._stream = client.events(decode=True, filters=filters, **since)
            self._ready.set()
            yield from self._stream
        finally:
            client.close()

    def _note(self, event: dict[str, Any]) -> None:
        self._since = max(self._since, float(event["time"]))
        attributes = event["Actor"]["Attributes"]
        key = (event["Actor"]["ID"], event["Action"].split(":")[0], int(event["timeNano"]))
        self._seen[key] = attributes.get(names.LABEL_JOB, "")
