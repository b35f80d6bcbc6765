"""The copy of a log, resumed from where it stood, with an engine that is broken off at any block."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.common.layout import Layout
from workers.common.names import new_job_id
from workers.host import log_copy
from workers.host.engine import Engine
from workers.host.log_copy import LogCopy

#: Lines, each stamped within the same ten seconds, so that every reading starts at the beginning.
LINES = [b"line %d\n" % number for number in range(100)]


def frame(number: int) -> bytes:
    body = b"2026-01-01T00:00:0%d.000000000Z " % (number // 20) + LINES[number]
    return b"\x01\0\0\0" + len(body).to_bytes(4, "big") + body


class Answer:
    """An open answer of the engine: so many frames, a few at a time, then its end or a break."""

    def __init__(self, frames: int, *, breaks: bool) -> None:
        self._frames = frames
        self._breaks = breaks

    def blocks(self) -> Iterator[bytes]:
        for start in range(0, self._frames, 7):
            yield b"".join(frame(number) for number in range(start, min(start + 7, self._frames)))
        if self._breaks:
            raise ConnectionError("the engine is gone")

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class NoEngine(Engine):
    def __init__(self) -> None:
        super().__init__(None, "20.10.24")

    def again(self, timeout: float) -> "NoEngine":
        return self

    def close(self) -> None: ...


@pytest.mark.parametrize("broken_at", [0, 5, 30, 99])
def test_a_copy_that_is_broken_off_while_it_skips_what_is_there_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    monkeypatch.setattr(log_copy, "CHECKPOINT_S", 0.0)
    layout, job = Layout(tmp_path), new_job_id()
    layout.record_folder(job).mkdir(parents=True)
    layout.logs(job).mkdir(parents=True)
    for answer in (Answer(100, breaks=True), Answer(broken_at, breaks=True), Answer(100, breaks=False)):
        # Each runner starts with what its predecessor left on the disk.
        copy = LogCopy(NoEngine(), "c", layout, job, timeout_s=1.0, report=lambda message: None)

        def opened(self: LogCopy, *_: object, answer: Answer = answer, **__: Any) -> Answer:
            return answer

        monkeypatch.setattr(LogCopy, "_open", opened)
        try:
            copy._copy(NoEngine(), follow=False)
        except ConnectionError:
            continue
    assert layout.container_log(job).read_bytes() == b"".join(LINES)
