"""A container's log as the engine sends it, turned back into the bytes that the container wrote.

The engine sends frames: one byte for the stream, three zeros, four for the length, then a timestamp, a space and a
line. Of a line over 16 KiB each part is a frame of its own, and old engines forget its newline (`drops_newlines`).
What is made of a frame depends on the frames before it alone, so that each reading of a log gives the same bytes.
"""

from __future__ import annotations

from typing import Final

from workers.host.engine import EngineStreamError
from workers.host.log_times import BEGINNING, LogTimes, Position

#: The engine cuts lines into parts of this many bytes.
PART: Final = 16 * 1024
_HEADER: Final = 8
#: A frame of this stream carries the engine's own error message, and the log ends with it.
_ENGINE_ERROR: Final = 3


class FrameReader:
    """Restores the output from frames, and knows at any time where reading may start again.

    `seconds` says when the output of the last `feed` was written: each second that is newer than all before it, with
    the place in that output where it begins.
    """

    def __init__(self, *, drops_newlines: bool, position: Position = BEGINNING) -> None:
        """`position`: what the engine was asked from; the frames it skips are read but not given out."""
        self._drops_newlines = drops_newlines
        self._times = LogTimes(position)
        self._skip_until = position.frames
        self._pending = b""
        # Per stream, the second of the line whose parts are being read.
        self._unfinished: dict[int, int] = {}
        self._newest = -1
        self.seconds: list[tuple[int, int]] = []

    @property
    def caught_up(self) -> bool:
        """Whether all frames that were to be skipped have come."""
        return self._times.seen >= self._skip_until

    @property
    def torn(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._pending)

    def position(self) -> Position:
        """Where reading may start again to go on after the last whole frame."""
        return self._times.position(min(self._unfinished.values(), default=None))

    def feed(self, data: bytes) -> bytes:
        """The output in the frames that `data` completes. Raises EngineStreamError if the engine reports an error."""
        data = self._pending + data if self._pending else data
        output: list[bytes] = []
        length = 0
        self.seconds = []
        start, end = 0, len(data)
        while start + _HEADER <= end:
            body = start + _HEADER
            after = body + int.from_bytes(data[start + 4 : body], "big")
            if after > end:
                break
            if data[start] == _ENGINE_ERROR:
                raise EngineStreamError(f"The engine broke the log off: {data[body:after].decode(errors='replace')}")
            line_at = data.index(b" ", body, after) + 1
            second = self._times.see(data[body : line_at - 1])
            line = self._restore(data[start], data[line_at:after], second)
            if self._times.seen > self._skip_until:
                if second > self._newest:
                    self._newest = second
                    self.seconds.append((second, length))
                output.append(line)
                length += len(line)
            start = after
        self._pending = data[start:]
        return b"".join(output)

    def _restore(self, stream: int, line: bytes, second: int) -> bytes:
        if line.endswith(b"\n"):
            self._unfinished.pop(stream, None)
        elif len(line) >= PART:
            self._unfinished.setdefault(stream, second)
        elif self._unfinished.pop(stream, None) is not None and self._drops_newlines:
            # NOTE: the end of a long line. Its newline is lost, unless it was the very last of the output and had
            # none: such an engine does not say which.
            return line + b"\n"
        return line
