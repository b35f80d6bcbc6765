"""Sites in requests and answers."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from serve_app.models.common import Body, Message

#: A thousand years: more is a slip of the keyboard.
MINUTES_MAX = 525_960_000
LIMIT_MAX = 1_000_000

_SCHEMA = {
    "time_zone": "Europe/Lisbon",
    "buildings": {
        "R-H-01": {
            "include": True,
            "pv": {"type": "citylearn.energy_model.PV", "attributes": {"nominal_power": 4.0}},
        }
    },
}


class StreamFormat(StrEnum):
    """How documents are written."""

    #: One object: collection -> list of documents.
    JSON = "json"
    #: A line for each document: `{"collection": …, "document": {…}}`.
    NDJSON = "ndjson"


class SiteList(BaseModel):
    """The sites that may be read."""

    sites: list[str] = Field(description="Their names, sorted.", examples=[["i-charging_headquarters", "living_lab"]])


class SchemaContent(Body):
    """A schema."""

    schema_: dict[str, Any] = Field(alias="schema", description="What describes the site.", examples=[_SCHEMA])


class NewSchema(SchemaContent):
    """A new schema."""

    site: str = Field(description="The site's name; a new one makes a new site.", examples=["living_lab"])


class SavedSchema(Message):
    """A schema that was stored."""

    warnings: list[str] = Field(description="What a dataset build will miss in it, a sentence each.")


class HistoryAsked(Body):
    """Which historical data: the parameters of the GET route."""

    from_ts: str | None = Field(None, description="The range's start, ISO 8601; UTC without an offset.")
    until_ts: str | None = Field(None, description="The range's end, not included.")
    minutes: int | None = Field(None, ge=1, le=MINUTES_MAX, description="How far to count back from now.")
    granularity_minutes: int | None = Field(
        None, ge=1, le=MINUTES_MAX, description="Average numbers over buckets so long."
    )
    time_zone: str | None = Field(None, description="The zone on whose clock buckets lie; none: on the UTC epoch.")
    limit: int | None = Field(
        None, ge=1, le=LIMIT_MAX, description="So many documents or buckets of each collection a page."
    )
    cursor: list[str] | str | None = Field(None, description="`next_cursor` of the collections to go on with.")
    collections: list[str] | str | None = Field(None, description="Names of collections; none: all.")


class HistoryPage(BaseModel):
    """One collection's page."""

    items: list[dict[str, Any]] = Field(description="Documents or buckets, oldest first.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")
    error: str | None = Field(None, description="Only where the collection could not be read to the page's end.")
    code: str | None = Field(None, description="Beside `error`, a word for programs.")


class History(BaseModel):
    """Historical data of a site."""

    site: str = Field(description="Its name.")
    query: dict[str, Any] = Field(description="What was asked, with its range as instants in UTC.")
    collections: dict[str, HistoryPage] = Field(description="By collection.")
