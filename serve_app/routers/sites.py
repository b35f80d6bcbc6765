"""Sites: which there are, their data and their schemas."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from deployments.sites_client import SitesClient
from serve_app.http import JSONAnswer
from serve_app.models.common import described, problems, read_body
from serve_app.models.sites import (
    LIMIT_MAX,
    MINUTES_MAX,
    History,
    HistoryAsked,
    NewSchema,
    SavedSchema,
    SchemaContent,
    SiteList,
    StreamFormat,
)
from serve_app.shielded import to_the_end
from serve_app.streams import Stream
from workers.common import names
from workers.sites import documents
from workers.sites.history import query_of
from workers.sites.streams import RealTimeQuery

router = APIRouter(tags=["sites"])

_LINES = "application/x-ndjson"


async def _sites(request: Request) -> SitesClient:
    client: SitesClient = request.app.state.services.sites
    return client


SitesHere = Annotated[SitesClient, Depends(_sites)]
Minutes = Annotated[int | None, Query(ge=1, le=MINUTES_MAX, description="How far to count back from now.")]
Collections = Annotated[
    list[str] | None, Query(description="Names of collections, repeated or separated by commas; none: all.")
]


@router.get("/sites", response_model=SiteList, responses=problems(503))
async def list_sites(sites: SitesHere) -> JSONAnswer:
    """The sites that may be read: the databases of MongoDB without its own."""
    return JSONAnswer({"sites": await sites.names()})


@router.get(
    "/real-time-data/{site:name}",
    responses={
        200: {
            "description": "By collection, oldest first, streamed; a collection that can't be read to its end has an "
            "object with `error` as its last item.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": {"type": "array", "items": {"type": "object"}},
                    }
                },
                _LINES: {"schema": {"type": "string"}},
            },
        },
        **problems(400, 404, 422, 503),
    },
)
async def real_time_data(
    site: str,
    sites: SitesHere,
    minutes: Minutes = None,
    collections: Collections = None,
    limit: Annotated[
        int | None, Query(ge=1, le=LIMIT_MAX, description="The newest so many documents of each collection.")
    ] = None,
    format: StreamFormat = StreamFormat.JSON,  # noqa: A002 - the parameter's name
) -> Stream:
    """The documents of a site, each collection oldest first, without `schema`."""
    query = RealTimeQuery(
        collections=_named(collections),
        since=None if minutes is None else time.time() - minutes * 60.0,
        limit=limit,
        lines=format is StreamFormat.NDJSON,
    )
    stream = await sites.real_time(names.site_name(site), query)
    return Stream(stream, _LINES if query.lines else "application/json")


@router.get(
    "/historical-data/{site:name}",
    responses={200: {"model": History, "description": "Streamed."}, **problems(400, 404, 422, 503)},
)
async def historical_data(
    site: str,
    sites: SitesHere,
    from_ts: Annotated[str | None, Query(description="The range's start, ISO 8601; UTC without an offset.")] = None,
    until_ts: Annotated[str | None, Query(description="The range's end, not included.")] = None,
    minutes: Minutes = None,
    granularity_minutes: Annotated[
        int | None, Query(ge=1, le=MINUTES_MAX, description="Average numbers over buckets so long, on the UTC epoch.")
    ] = None,
    limit: Annotated[
        int | None, Query(ge=1, le=LIMIT_MAX, description="So many documents or buckets of each collection a page.")
    ] = None,
    cursor: Annotated[
        list[str] | None,
        Query(description="`next_cursor` of the collections to go on with, repeated or separated by commas."),
    ] = None,
    collections: Collections = None,
    time_zone: Annotated[
        str | None,
        Query(description="Let buckets of a day, or of what divides it, lie on this zone's clock, as Europe/Lisbon."),
    ] = None,
) -> Stream:
    """A range of a site's documents, as they are or averaged, page by page."""
    asked = HistoryAsked(
        from_ts=from_ts,
        until_ts=until_ts,
        minutes=minutes,
        granularity_minutes=granularity_minutes,
        time_zone=time_zone,
        limit=limit,
        cursor=cursor,
        collections=collections,
    )
    return await _history(site, sites, asked)


@router.post(
    "/historical-data/{site:name}",
    responses={200: {"model": History, "description": "Streamed."}, **problems(400, 404, 413, 422, 503)},
    openapi_extra=described(HistoryAsked),
)
async def historical_data_by_body(site: str, request: Request, sites: SitesHere) -> Stream:
    """As GET, with the parameters in the body: for cursors or collections that no URL has room for."""
    return await _history(site, sites, await read_body(request, HistoryAsked))


@router.post(
    "/schema/create",
    response_model=SavedSchema,
    responses=problems(400, 409, 413, 422, 503),
    openapi_extra=described(NewSchema),
)
async def create_schema(request: Request, sites: SitesHere) -> JSONAnswer:
    """Give a site its schema."""
    body = await read_body(request, NewSchema)
    site = names.site_name(body.site)
    warnings = await to_the_end(sites.create_schema(site, body.schema_))
    return _saved(f"The schema of site '{site}' was created", warnings)


@router.put(
    "/schema/update/{site:name}",
    response_model=SavedSchema,
    responses=problems(400, 404, 413, 422, 503),
    openapi_extra=described(SchemaContent),
)
async def update_schema(site: str, request: Request, sites: SitesHere) -> JSONAnswer:
    """Replace the schema that a site has."""
    body = await read_body(request, SchemaContent)
    warnings = await to_the_end(sites.update_schema(names.site_name(site), body.schema_))
    return _saved(f"The schema of site '{site}' was updated", warnings)


@router.get("/schema/{site:name}", response_model=dict[str, Any], responses=problems(400, 404, 503))
async def read_schema(site: str, sites: SitesHere) -> Response:
    """The schema of a site."""
    schema = await sites.schema(names.site_name(site))
    return Response(documents.dump(schema), media_type="application/json")


async def _history(site: str, sites: SitesClient, asked: HistoryAsked) -> Stream:
    query = query_of(
        from_ts=asked.from_ts,
        until_ts=asked.until_ts,
        minutes=asked.minutes,
        granularity_minutes=asked.granularity_minutes,
        time_zone=asked.time_zone,
        limit=asked.limit,
        # An empty one is kept, to be refused: it must not begin again from the start.
        cursors=tuple(cursor.strip() for text in _listed(asked.cursor) or () for cursor in text.split(",")),
        collections=_named(_listed(asked.collections)),
    )
    return Stream(await sites.history(names.site_name(site), query), "application/json")


def _listed(texts: list[str] | str | None) -> list[str] | None:
    return [texts] if isinstance(texts, str) else texts


def _saved(message: str, warnings: list[str]) -> JSONAnswer:
    return JSONAnswer({"message": message, "warnings": warnings})


def _named(collections: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of collections, which may be given in one text; None without any."""
    named = [name for text in collections or () for name in map(str.strip, text.split(",")) if name]
    return tuple(named) or None
