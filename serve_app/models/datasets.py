"""Datasets in requests and answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.models.common import Message

_CONFIGS = {
    "selected_buildings": ["R-H-01"],
    "time_zone": "Europe/Lisbon",
    "incoming_horizon_minutes": 120,
    "observations": {"month": {"active": True, "shared_in_central_agent": True}},
    "actions": {"electrical_storage": {"active": True}, "electric_vehicle_storage": {"active": True}},
}


class DatasetBody(BaseModel):
    """What a dataset is to be made of; described here, checked by `workers.datasets.asked.request`."""

    name: str = Field(description="What it is called; also its folder's name.", examples=["june"])
    site_id: str = Field(description="The site.", examples=["living_lab"])
    period: int = Field(60, description="Minutes per step: a divisor of 1440.")
    from_ts: str | None = Field(None, description="Its start, ISO 8601; UTC without an offset.")
    until_ts: str | None = Field(None, description="Its end, not included. None: the last reading.")
    description: str = Field("", description="A text for people.")
    citylearn_configs: dict[str, Any] | None = Field(
        None,
        description="CityLearn's own top-level keys, and selected_buildings, time_zone, drop_generated,"
        " incoming_horizon_minutes, weather, carbon_intensity, defaults. `config` is another name of it.",
        examples=[_CONFIGS],
    )
    overwrite: bool = Field(False, description="Replace a dataset of this name, in one step.")
    validate_: bool = Field(
        False,
        alias="validate",
        description="Step it to its end in the simulator's image too, as a job.",
    )


class Built(Message):
    """A dataset that was made."""

    name: str = Field(description="Its name.")
    rows: int = Field(description="Steps that each of its files has.")
    warnings: list[str] = Field(description="What was missing or mended, a sentence each.")
    validation: dict[str, Any] | None = Field(description="What the simulator made of it; null if not asked.")


class Building(Message):
    """A dataset that is being made."""

    name: str = Field(description="Its name.")
    status_url: str = Field(description="Where its status is told.")


class BuildStatus(BaseModel):
    """A build, running or ended."""

    name: str = Field(description="The dataset's name.")
    status: str = Field(description="queued, running, finished, failed or canceled.")
    stage: str = Field(description="What it is at.", examples=["reading"])
    percent: float = Field(description="How much is done, 0..100.")
    rows: int = Field(description="Documents read so far; once it is finished, the dataset's rows.")
    warnings: list[str] = Field(description="Once it is finished: what was missing or mended.")
    started_at: float | None = Field(description="Epoch seconds.")
    finished_at: float | None = Field(description="Epoch seconds; null while it runs.")
    error: str | None = Field(description="Why it failed, in a sentence.")
    code: str | None = Field(description="The same as a word for programs.")


class DatasetRow(BaseModel):
    """A dataset in the list."""

    name: str = Field(description="Its name.")
    description: str = Field(description="A text for people.")
    size: int = Field(description="Its files together, in bytes.")
    created_at: str = Field(description="When it was made, ISO 8601 in UTC.")
    site_id: str | None = Field(description="The site that it was made of; null if it was uploaded.")
    period: float | None = Field(description="Minutes per step.")
    from_ts: str | None = Field(description="Its start, ISO 8601 in UTC.")
    until_ts: str | None = Field(description="Its end, not included.")
    rows: int | None = Field(description="Its steps.")
    buildings: int | None = Field(description="How many.")
    chargers: int | None = Field(description="How many.")


class Manifest(BaseModel):
    """Where a dataset comes from: request, window, files with checksums, columns with what was filled, warnings."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="Its name.")
    size: int = Field(description="Its files together, in bytes.")
    files: list[dict[str, Any]] = Field(description="Name, bytes and SHA-256 of each file.")


class Preview(BaseModel):
    """Columns of a file with few points."""

    file: str = Field(description="The file's name.")
    rows: int = Field(description="How many it has.")
    index: list[int] = Field(description="The row that each point begins with.")
    timestamps: list[str] | None = Field(description="When each point begins, where the dataset knows its time.")
    series: dict[str, list[Any]] = Field(description="By column: the mean of each point's rows, or their first text.")


class Uploaded(Message):
    """A dataset that was taken in."""

    name: str = Field(description="Its name.")
    size: int = Field(description="Its files together, in bytes.")
    warnings: list[str] = Field(description="What was mended or is odd, a sentence each.")
    validation: dict[str, Any] | None = Field(description="What the simulator made of it; null if not asked.")


class AvailableDates(BaseModel):
    """The time that a building has documents of."""

    installation: str = Field(description="Its collection.", examples=["building_R-H-01"])
    oldest_record: str = Field(description="The oldest document's instant, ISO 8601 in UTC.")
    newest_record: str = Field(description="The newest document's instant.")
