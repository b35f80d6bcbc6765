"""What the building and keeping of datasets depends on: plain data."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from workers.common.setting import Part, setting
from workers.sites.options import SitesOptions


def default_readers() -> int:
    """Half of this machine's cores: a build leaves the rest to simulations."""
    return max(1, (os.cpu_count() or 1) // 2)


@dataclass(frozen=True)
class DatasetOptions:
    """Where datasets lie and how they are built. Times in seconds, sizes in bytes."""

    #: The shared folder as processes of this system see it: `Options.shared_root`.
    shared_root: str
    sites: SitesOptions
    #: Tasks that read or write.
    dataset_readers: int = setting(
        Part.DATASETS,
        default_readers,
        "Tasks of one build at once; half of the head's cores if not set.",
        at_least=1,
        shown="",
    )
    dataset_builds: int = setting(Part.DATASETS, 2, "Builds at once; others wait.", at_least=1)
    dataset_build_timeout_s: float = setting(Part.DATASETS, 3600.0, "Longest build of a dataset, in seconds.", above=0)
    #: About as many documents as one read task takes.
    window_documents: int = 50_000

    @property
    def root(self) -> Path:
        return Path(self.shared_root)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "sites": SitesOptions.from_dict(data["sites"])})
