"""Which ports a stack listens on. One number, the base, moves them all, so that stacks can live beside each other."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final, Self

#: How many ports a stack with a base may use from there.
BLOCK: Final = 300
#: Where bases for tests are looked for: below what the kernel (32768 and up) and Serve (30000 and up) hand out.
_BASES: Final = range(20000, 29701, BLOCK)


@dataclass(frozen=True)
class Ports:
    """The ports of one stack on this machine."""

    api: int = 8000
    dashboard: int = 8265
    gcs: int = 6379
    dashboard_agent: int = 52365
    client: int = 10001
    mongo: int = 27017
    proxy_metrics: int = 9101
    proxy_stats: int = 8404
    fallback_http: int = 8500
    fallback_grpc: int = 9500
    #: Where HAProxy reaches the replicas: first port, and the one after the last.
    replicas_http: tuple[int, int] = (30000, 31000)
    replicas_grpc: tuple[int, int] = (40000, 41000)

    @classmethod
    def of(cls, base: int | None) -> Self:
        """The ports from `base` on; without a base the usual ones of Ray, Serve and MongoDB."""
        if base is None:
            return cls()
        if not 1024 <= base <= 65536 - BLOCK:
            raise ValueError(f"OPEVA_PORT_BASE must be between 1024 and {65536 - BLOCK}, not {base}")
        named = (field.name for field in fields(cls) if field.type is int)
        return cls(
            **{name: base + offset for offset, name in enumerate(named)},
            replicas_http=(base + 20, base + 160),
            replicas_grpc=(base + 160, base + BLOCK),
        )

    def busy(self) -> dict[str, int]:
        """The named ports that something listens on already, by name."""
        named = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {name: port for name, port in named.items() if not _free(port)}


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections of a former listener that are in TIME_WAIT do not matter, as they do not to the servers.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


@contextmanager
def reserved_base() -> Iterator[int]:
    """A base whose named ports are free, and which no other process on this machine reserves meanwhile."""
    for base in random.sample(_BASES, len(_BASES)):
        # An abstract unix socket is a lock that leaves no file, holds where the ports hold and goes with its process.
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                lock.bind(f"\0opeva-ports-{base}")
            except OSError:
                continue
            if not Ports.of(base).busy():
                yield base
                return
    raise RuntimeError(f"No free block of {BLOCK} ports between {_BASES.start} and {_BASES.stop}")
