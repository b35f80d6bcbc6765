"""A runner's stream of events as Ray gives it, which says what a test has it say."""

import asyncio
from collections.abc import Mapping
from typing import Any

#: Nothing like a real time: only that the start lies before the end matters.
STARTED_AT, AT = 5.0, 6.0


class FakeRunner:
    """The stream of a task's events; it never ends by itself, as when Ray loses the end of one."""

    def __init__(self, options: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        self.node_id = options["label_selector"]["ray.io/node-id"] if "label_selector" in options else "old"
        self.mode = spec["mode"]
        self.canceled = False
        #: What it has said, in order.
        self.events: list[dict[str, Any]] = []
        self._coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def placed(self) -> None:
        """It has its slot."""
        self._say("placed", node_id=self.node_id, hostname="w", address="10.0.0.2", pid=1)

    def launching(self) -> None:
        """It is about to create the container."""
        self._say("launching")

    def running(self) -> None:
        """The container runs."""
        self._say("running", container_id="c1", container_name="n", attempt=1, started_at=STARTED_AT, gpus=[])

    def exited(self, code: int) -> None:
        """The container has ended, and the end is taken."""
        self._say(
            "exited", container_id="c1", exit_code=code, oom_killed=False, started_at=STARTED_AT, finished_at=AT,
            log_bytes=0, log_complete=True, timed_out=False,
        )  # fmt: skip
        self._say("exit_taken")

    def failed(self, reason: str) -> None:
        """The attempt came to nothing."""
        self._say("failed", reason=reason, detail="a sentence")

    def refused(self) -> None:
        """The claim was not granted."""
        self._say("refused", detail="a sentence", answered=True)

    def missing(self, *, started: bool) -> None:
        """The host has no container of the job."""
        self._say("missing", detail="a sentence", started=started)

    def _say(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, "at": AT, **fields})
        self._coming.put_nowait(self.events[-1])

    async def __anext__(self) -> "asyncio.Future[dict[str, Any]]":
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        future.set_result(await self._coming.get())
        return future
