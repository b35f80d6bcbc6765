"""What the settings give to the reading of sites: plain data."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class SitesOptions:
    """Where the sites' MongoDB is and how long it may take. Times in seconds."""

    #: `mongodb://…` or `mongodb+srv://…`; None where no MongoDB is configured: every use is then Unavailable.
    mongo_uri: str | None
    #: Choosing a server, connecting to it, and each short command (lists, schemas, ping).
    timeout_s: float = 5.0
    #: One answer of the server to a read of documents: a sort without an index takes its time.
    read_timeout_s: float = 30.0
    #: How long a stream waits for a client that takes nothing.
    stall_timeout_s: float = 600.0
    #: How many streams a replica serves at once.
    max_streams: int = 32

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**data)
