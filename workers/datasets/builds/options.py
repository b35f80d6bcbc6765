"""What the settings give to the building and keeping of datasets: plain data."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from workers.sites.options import SitesOptions


def default_readers() -> int:
    """Half of this machine's cores: a build leaves the rest to simulations."""
    return max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True)
class DatasetOptions:
    """Where datasets lie and how they are built. Times in seconds, sizes in bytes."""

    #: The shared folder as processes of this system see it.
    shared_root: str
    sites: SitesOptions
    #: Tasks of one build that read or write at once.
    readers: int = field(default_factory=default_readers)
    #: Builds that run at once; others wait.
    builds: int = 2
    #: About as many documents as one read task takes.
    window_documents: int = 50_000
    build_timeout_s: float = 3600.0

    @property
    def root(self) -> Path:
        return Path(self.shared_root)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "sites": SitesOptions.from_dict(data["sites"])})
