"""What the HTTP surface depends on: plain data."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from workers.common.setting import Form, Part, setting


@dataclass(frozen=True)
class ApiOptions:
    """Limits, sign-in and streams of the API. Times in seconds, sizes in bytes."""

    cors_origins: tuple[str, ...] = setting(Part.API, ("*",), "Origins whose pages may call the API; `*` means any.")
    max_body_bytes: int = setting(Part.API, 32 << 20, "Largest request body, in bytes; uploads apart.", above=0)
    max_follows: int = setting(
        Part.API, 200, "Most streams that follow a log or the jobs, per replica; then 503.", at_least=1
    )
    heartbeat_s: float = setting(Part.API, 15.0, "Time between two heartbeats of an event stream, in seconds.", above=0)
    health_timeout_s: float = setting(
        Part.API, 5.0, "Deadline of each check of a deep health report, in seconds.", above=0
    )
    auth: bool = setting(Part.API, False, "Ask for a bearer token of the tokens file.")
    tokens_file: str | None = setting(
        Part.API,
        None,
        "Lines `name:token` or `name:token:read`; `.opeva/tokens` below the root if not set.",
        form=Form.ABSOLUTE_PATH,
    )
    dataset_upload_bytes: int = setting(
        Part.DATASETS, 2 << 30, "Largest uploaded archive of a dataset, in bytes.", above=0
    )
    dataset_unpacked_bytes: int = setting(Part.DATASETS, 8 << 30, "Largest dataset once unpacked, in bytes.", above=0)
    dataset_files: int = setting(Part.DATASETS, 10_000, "Most files in an uploaded dataset.", at_least=1)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "cors_origins": tuple(data["cors_origins"])})
