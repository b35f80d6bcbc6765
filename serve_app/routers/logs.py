"""Logs of jobs: what the container printed, and what the simulation wrote to a log file of its own."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from serve_app.following import TEXT, as_events, as_text, followed
from serve_app.http import JSONAnswer
from serve_app.models.common import problems, text_answer
from serve_app.services import Here
from serve_app.streams import EventStream, FollowStream, Stream
from workers.common import names
from workers.outputs import logs
from workers.outputs.logs import ContainerLog, Log, SimulationLog

router = APIRouter(tags=["logs"])

Follow = Annotated[
    bool, Query(description="Go on with the log until the job ends, rather than end with what is there.")
]
Tail = Annotated[int | None, Query(ge=0, description="Only the last so many lines.")]
Since = Annotated[
    str | None, Query(description="Only what was written since: epoch seconds or ISO 8601.", examples=["1764000000"])
]


@router.get("/file-logs/{job_id:name}", include_in_schema=False)
@router.get(
    "/logs/file/{job_id:name}",
    responses={**text_answer("text/plain", "The log."), **problems(400, 404, 422, 503)},
)
async def simulation_log(
    job_id: str, here: Here, follow: Follow = False, tail: Tail = None, since: Since = None
) -> Response:
    """The simulation's own log: `<id>.log`, else the log named by its MLflow run, else its newest log file."""
    record = await here.jobs.get(names.job_id(job_id))
    return await _text(here, record.job_id, SimulationLog(here.layout, record.job_id), follow, tail, since, sized=False)


@router.get(
    "/logs/{job_id:name}/events",
    responses={
        200: {
            "description": "An event for each line, whose id is the byte of the log to go on from, and `end` at the "
            "job's end.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job has ended and `Last-Event-ID` is the log's end: there is nothing to come."},
        **problems(400, 404, 422, 503),
    },
)
async def log_events(
    job_id: str,
    here: Here,
    tail: Tail = None,
    since: Since = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The container's output as server-sent events, until the job ends; resumable by `Last-Event-ID`."""
    record = await here.jobs.get(names.job_id(job_id))
    log = ContainerLog(here.layout, record.job_id)
    if last_event_id is not None and last_event_id.isdecimal():
        start = int(last_event_id)
        if record.terminal and start >= (await here.on_storage(logs.span, log))[1]:
            # Browsers come back after every end of a stream; this is how they are told not to.
            return Response(status_code=204)
    else:
        start = await _start(here, log, tail, since)
    blocks = followed(here.jobs, record.job_id, log, start, sized=True, heartbeat_s=here.settings.api.heartbeat_s)
    return EventStream(as_events(here.jobs, record.job_id, blocks, start), here.seats)


@router.get("/logs-chunk/{job_id:name}", include_in_schema=False)
async def log_chunk(
    job_id: str,
    here: Here,
    offset: Annotated[int, Query(ge=0, description="Bytes from the log's beginning.")] = 0,
    tail_lines: Annotated[int | None, Query(ge=0, description="Begin with the last so many lines.")] = None,
    max_bytes: Annotated[int, Query(ge=1, description="Bytes at most.")] = logs.CHUNK_BYTES,
) -> Response:
    """A piece of the container's output, for clients that poll; never splits a character."""
    record = await here.jobs.get(names.job_id(job_id))
    log = ContainerLog(here.layout, record.job_id)
    part = await here.on_storage(logs.chunk, log, offset, tail_lines, max_bytes, record.terminal)
    return JSONAnswer({"job_id": record.job_id, **part})


@router.get(
    "/logs/{job_id:name}",
    responses={**text_answer("text/plain", "The log."), **problems(400, 404, 422, 503)},
)
async def container_log(
    job_id: str, here: Here, follow: Follow = False, tail: Tail = None, since: Since = None
) -> Response:
    """The container's output: all of it so far, or with `follow` until the job ends."""
    record = await here.jobs.get(names.job_id(job_id))
    return await _text(here, record.job_id, ContainerLog(here.layout, record.job_id), follow, tail, since, sized=True)


async def _text(
    here: Here, job_id: str, log: Log, follow: bool, tail: int | None, since: str | None, *, sized: bool
) -> Response:
    start = await _start(here, log, tail, since)
    if follow:
        return FollowStream(as_text(followed(here.jobs, job_id, log, start, sized=sized)), TEXT, here.seats)
    moment = None if since is None else logs.parse_since(since)
    return Stream(as_text(logs.blocks(log, tail, moment)), TEXT)


async def _start(here: Here, log: Log, tail: int | None, since: str | None) -> int:
    """Where the wanted part of a log begins. Raises what is wrong with it before an answer begins."""
    moment = None if since is None else logs.parse_since(since)
    start, _ = await here.on_storage(logs.span, log, tail, moment)
    return start
