"""What a job's container leaves, in requests and answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.models.common import Body


class Eta(BaseModel):
    """How long a job may still take."""

    available: bool
    eta_seconds: float | None = Field(None, description="Absent where it can't be told.")


class Progress(BaseModel):
    """The content of progress.json, and what can be derived from it."""

    model_config = ConfigDict(extra="allow")

    percent: float = Field(description="0 to 100; 0 if unknown, 100 when finished.", examples=[42.5])
    progress_pct: float | None = Field(None, description="0 to 100.")
    eta: Eta
    eta_seconds: float | None = Field(None, description="Seconds to the end.")


class Result(BaseModel):
    """The content of result.json; while it isn't there, `status` and `message` say why."""

    model_config = ConfigDict(extra="allow")

    status: str | None = Field(None, description="`pending` or `unavailable` where there is no result.")
    message: str | None = None


class LogChunk(BaseModel):
    """A piece of a job's log."""

    job_id: str
    text: str = Field(description="Whole characters only.")
    next_offset: int = Field(description="Where to go on, in bytes from the log's beginning.")
    truncated: bool = Field(description="There is more before (with tail_lines) or behind this piece.")
    available: bool = Field(description="There is a log.")
    message: str | None = None


class DataIndexRequest(Body):
    """Which simulation data to list."""

    job_id: str
    session: str = Field("latest", description="The name of a session's folder, or `latest`.")


class DataFileRequest(DataIndexRequest):
    """Which file of the simulation data to read."""

    relative_path: str = Field(description="The file, below the session's folder.", examples=["exported_data.csv"])


class DataIndex(BaseModel):
    """The files of a session."""

    model_config = ConfigDict(extra="allow")

    session: str
    files: list[dict[str, Any]]
