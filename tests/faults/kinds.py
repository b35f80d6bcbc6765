"""Jobs whose output is known to the byte, so that a lost, doubled or displaced line shows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

#: What a stop makes a job that handles TERM say before it goes.
_LAST_WORDS: Final = 300
_COUNT: Final = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'


def _lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last + 1))


def _numbers(first: int, last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(first, last + 1))


def counted(log: bytes) -> bytes:
    """The longest beginning of the output of `_COUNT` that `log` begins with, made of whole lines."""
    number = log.count(b"\n") + 1
    while number and not log.startswith(_lines(1, number)):
        number -= 1
    return _lines(1, number)


@dataclass(frozen=True)
class Kind:
    """A kind of job: what it runs, and what must be true of its end.

    `output` is all that it prints if nothing ends it early; a function gives it from the log where that depends on when
    it was stopped.
    """

    name: str
    script: str
    output: bytes | Callable[[bytes], bytes]
    status: str = "finished"
    exit_code: int = 0
    #: Whether it runs until somebody stops it.
    endless: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    def expected(self, log: bytes) -> bytes:
        """What the log must be, byte for byte."""
        return self.output if isinstance(self.output, bytes) else self.output(log)

    def cut(self, log: bytes) -> bytes:
        """What the log must be if something ended the job early: as much of its output as there is of it."""
        if isinstance(self.output, bytes):
            return self.output[: len(log)]
        told = self.output(log)
        return (told if told.startswith(log) else _lines(1, log.count(b"\n") + 1))[: len(log)]


#: Prints steadily for some seconds.
STEADY = Kind(
    "steady", 'for i in $(seq 1 60); do echo "line $i"; sleep 0.1; done', _lines(1, 60), fields={"timeout_s": 3600}
)
#: Prints much at once, is silent, prints much again and ends.
BURSTS = Kind(
    "bursts",
    "seq 1 6000; sleep 5; seq 6001 12000",
    _numbers(1, 12000),
)
#: Prints bytes that are not UTF-8, empty lines, and no newline at its end.
RAW = Kind(
    "raw",
    "for i in $(seq 1 40); do printf '\\377\\376 %s \\303\\251\\n\\n' $i; sleep 0.15; done; printf 'the end'",
    b"".join(b"\xff\xfe %d \xc3\xa9\n\n" % number for number in range(1, 41)) + b"the end",
)
#: Fails by itself.
FAILING = Kind(
    "failing",
    'for i in $(seq 1 40); do echo "line $i"; sleep 0.1; done; exit 3',
    _lines(1, 40),
    status="failed",
    exit_code=3,
)
#: Says one thing and ends.
QUICK = Kind("quick", "echo 'line 1'", _lines(1, 1))
#: Runs until it is stopped, and has much to say then.
STOPPED = Kind(
    "stopped",
    f"trap 'seq 1 {_LAST_WORDS}; exit 143' TERM; {_COUNT}",
    lambda log: counted(log) + _numbers(1, _LAST_WORDS),
    status="stopped",
    exit_code=143,
    endless=True,
)
#: Runs until it is stopped, and has to be killed.
STUBBORN = Kind(
    "stubborn",
    f"trap '' TERM; {_COUNT}",
    counted,
    status="stopped",
    exit_code=137,
    endless=True,
    fields={"stop_grace_s": 1},
)
ALL: Final = (STEADY, BURSTS, RAW, FAILING, QUICK, STOPPED, STUBBORN)
