"""What the reading of sites depends on: plain data."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from workers.common.setting import Part, setting


@dataclass(frozen=True)
class SitesOptions:
    """Where the sites' MongoDB is and how long it may take. Times in seconds."""

    #: `mongodb://…` or `mongodb+srv://…`; None where no MongoDB is configured: every use is then Unavailable.
    mongo_uri: str | None = setting(
        Part.SITES,
        None,
        "Where the sites' MongoDB is; routes of sites answer 503 if not set. The head's image sets "
        "`mongodb://mongo:27017`, and `make up` runs a database for development.",
        secret=True,
    )
    mongo_timeout_s: float = setting(
        Part.SITES, 5.0, "Choosing a server, connecting, and each short command, in seconds.", above=0
    )
    #: Longer: a sort without an index takes its time.
    mongo_read_timeout_s: float = setting(
        Part.SITES, 30.0, "One answer of MongoDB to a read of documents, in seconds.", above=0
    )
    site_stall_timeout_s: float = setting(
        Part.SITES, 600.0, "How long a stream waits for a client that takes nothing, in seconds.", above=0
    )
    site_max_streams: int = setting(
        Part.SITES, 32, "Most streams of documents at once, per replica; then 503.", at_least=1
    )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**data)
