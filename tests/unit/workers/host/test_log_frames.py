"""The container's bytes come back from the engine's frames, whatever they are and wherever reading breaks off."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.host.engine import EngineStreamError, dechunk
from workers.host.log_frames import PART, FrameReader

_BASE = 1_700_000_000


@dataclass
class _Engine:
    """The frames that Docker's copier makes of a stream: lines, and long lines in parts that share one timestamp."""

    drops_newlines: bool
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    clock: int = _BASE

    def line(self, stream: int, line: bytes) -> None:
        """One line, with its newline if it has one."""
        second, self.clock = self.clock, self.clock + 7
        content, whole = (line[:-1], True) if line.endswith(b"\n") else (line, False)
        parts = 0
        while len(content) >= PART:
            self._frame(second, stream, content[:PART])
            content = content[PART:]
            parts += 1
        if whole:
            self._frame(second, stream, content + (b"" if parts and self.drops_newlines else b"\n"))
        elif content:
            self._frame(second, stream, content)

    def _frame(self, second: int, stream: int, line: bytes) -> None:
        stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z ").encode()
        body = stamp + line
        self.frames.append((second, bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body))

    def read(self, since: int = 0) -> bytes:
        return b"".join(frame for second, frame in self.frames if second >= since)


_lines = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.one_of(
            st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
            st.sampled_from([PART - 1, PART, PART + 1, 2 * PART, 5 * PART + 17]).map(lambda size: b"\xff" * size),
        ),
    ),
    max_size=25,
)


def _engine_with(lines: list[tuple[int, bytes]], *, drops_newlines: bool) -> tuple[_Engine, bytes]:
    engine = _Engine(drops_newlines)
    for stream, line in lines:
        engine.line(stream, line + b"\n")
    return engine, b"".join(line + b"\n" for _, line in lines)


@pytest.mark.parametrize("drops_newlines", [True, False])
@given(lines=_lines, cut=st.integers(1, 40_000))
def test_output_is_restored_byte_for_byte(drops_newlines: bool, lines: list[tuple[int, bytes]], cut: int) -> None:
    engine, written = _engine_with(lines, drops_newlines=drops_newlines)
    reader = FrameReader(drops_newlines=drops_newlines)
    raw = engine.read()
    restored = b"".join(reader.feed(raw[start : start + cut]) for start in range(0, len(raw), cut))
    assert restored == written


@pytest.mark.parametrize("drops_newlines", [True, False])
@given(lines=_lines, at=st.integers(0, 10_000_000))
def test_reading_breaks_off_anywhere_and_goes_on_without_a_gap(
    drops_newlines: bool, lines: list[tuple[int, bytes]], at: int
) -> None:
    engine, written = _engine_with(lines, drops_newlines=drops_newlines)
    raw = engine.read()
    first = FrameReader(drops_newlines=drops_newlines)
    before = first.feed(raw[: at % (len(raw) + 1)])
    position = first.position()
    second = FrameReader(drops_newlines=drops_newlines, position=position)
    assert before + second.feed(engine.read(position.since)) == written
    assert second.caught_up


@pytest.mark.parametrize("size", [1, 100, PART - 1, PART, 2 * PART])
@pytest.mark.parametrize("drops_newlines", [True, False])
def test_an_output_without_a_last_newline_gets_none(drops_newlines: bool, size: int) -> None:
    engine = _Engine(drops_newlines)
    engine.line(1, b"first\n")
    engine.line(1, b"x" * size)
    assert FrameReader(drops_newlines=drops_newlines).feed(engine.read()) == b"first\n" + b"x" * size


def test_parts_of_two_streams_are_joined_each_to_its_own() -> None:
    out, err = _Engine(True), _Engine(True)
    out.line(1, b"o" * (PART + 3) + b"\n")
    err.line(2, b"e" * (PART + 5) + b"\n")
    mixed = b"".join(frame for pair in zip(out.frames, err.frames, strict=True) for _, frame in pair)
    assert FrameReader(drops_newlines=True).feed(mixed) == (
        b"o" * PART + b"e" * PART + b"o" * 3 + b"\n" + b"e" * 5 + b"\n"
    )


def test_the_engines_own_error_in_a_log_is_an_error() -> None:
    message = b"Error grabbing logs: unexpected EOF"
    frame = bytes([3, 0, 0, 0]) + len(message).to_bytes(4, "big") + message
    with pytest.raises(EngineStreamError, match="Error grabbing logs"):
        FrameReader(drops_newlines=True).feed(frame)


@given(chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=10), cut=st.integers(1, 60), ended=st.booleans())
def test_http_chunks_are_undone_wherever_the_socket_cuts_them(chunks: list[bytes], cut: int, ended: bool) -> None:
    raw = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + (b"0\r\n\r\n" if ended else b"")
    content, pending, seen_end = b"", b"", False
    for start in range(0, len(raw), cut):
        data, pending, seen_end = dechunk(pending + raw[start : start + cut])
        content += data
    assert content == b"".join(chunks)
    assert seen_end == ended
