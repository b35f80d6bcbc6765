"""Submitting, watching, stopping and deleting jobs."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from serve_app import job_listing, job_views
from serve_app.http import JSONAnswer, json_object
from serve_app.models.common import described, problems
from serve_app.models.jobs import (
    Deleted,
    JobRecordView,
    JobRow,
    JobStatus,
    Requeued,
    RunSimulation,
    Stopped,
    Submitted,
    Waiting,
)
from serve_app.services import Here
from serve_app.shielded import to_the_end
from serve_app.streams import HEARTBEAT, EventStream, json_event, with_heartbeats
from workers.common import names
from workers.common.clock import now
from workers.jobs import request
from workers.jobs.records import JobRecord, State
from workers.outputs import job_folder

router = APIRouter(tags=["jobs"])


@router.post(
    "/run-simulation",
    response_model=Submitted,
    responses=problems(400, 404, 409, 413, 422, 503, 507),
    openapi_extra=described(RunSimulation),
)
async def run_simulation(request: Request, here: Here) -> JSONAnswer:
    """Run a simulation: the job is kept, and runs when a host has room."""
    body = await json_object(request)
    if body.get("submitted_by") is None and (user := _user(request)) is not None:
        body["submitted_by"] = user
    return JSONAnswer(job_views.submitted(await to_the_end(_submit(body, here))))


async def _submit(body: dict[str, Any], here: Here) -> JobRecord:
    wanted = await here.on_storage(request.parse, body, here.configs, here.layout, here.options)
    return await here.jobs.submit(wanted)


def _user(request: Request) -> str | None:
    """Whose token the request bears, where tokens are asked for."""
    return getattr(request.state, "user", None)


@router.get("/status/{job_id:name}", response_model=JobStatus, responses=problems(400, 404, 503))
async def job_status(job_id: str, here: Here) -> JSONAnswer:
    """Where a job stands, and why."""
    record = await here.jobs.get(names.job_id(job_id))
    waiting = await here.jobs.queue() if record.state is State.QUEUED else []
    return JSONAnswer(job_views.status(record, waiting, now()))


@router.post("/stop/{job_id:name}", response_model=Stopped, responses=problems(400, 404, 503))
async def stop_job(job_id: str, here: Here) -> JSONAnswer:
    """Ask for a job's end: TERM, its grace period, KILL. Asking again changes nothing."""
    record, unwritten = await to_the_end(here.jobs.stop(names.job_id(job_id)))
    if record.state is State.STOP_REQUESTED:
        message = f"Job {record.job_id} is being stopped"
    else:
        message = f"Job {record.job_id} has ended: {record.state}"
    if unwritten is not None:
        message += f"; ask again should the supervisor restart before this is on the disk: {unwritten}"
    return JSONAnswer({"message": message, "job_id": record.job_id, "status": record.state})


@router.get(
    "/jobs",
    response_model=list[JobRow],
    responses={
        200: {
            "headers": {
                "X-Next-Cursor": {"description": "The next page's `cursor`, if any.", "schema": {"type": "string"}}
            }
        },
        **problems(400, 422, 503),
    },
)
async def list_jobs(
    here: Here,
    status: Annotated[str | None, Query(description="Comma-separated statuses.", examples=["queued,running"])] = None,
    host: Annotated[str | None, Query(description="A host's name or address.")] = None,
    submitted_by: Annotated[str | None, Query(description="Who submitted.")] = None,
    q: Annotated[str | None, Query(description="A part of the name, the id, the experiment or the run.")] = None,
    limit: Annotated[int | None, Query(ge=1, description="At most so many; all if absent.")] = None,
    cursor: Annotated[str | None, Query(description="X-Next-Cursor of the page before.")] = None,
) -> Response:
    """The jobs, newest first."""
    wanted = job_listing.Filter.of(status, host, submitted_by, q)
    records = await here.jobs.jobs()
    chosen, following = job_listing.page(records, wanted, limit, cursor or None)
    headers = {} if following is None else {"X-Next-Cursor": following}
    return Response(here.rows.render(chosen, len(records)), media_type="application/json", headers=headers)


@router.get(
    "/jobs/events",
    responses={
        200: {
            "description": "Events `job` with a job as it stands after a change (see JobChange), and `removed` with "
            "its id. Each has an id to resume by.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(503),
    },
)
async def job_events(here: Here, last_event_id: Annotated[str | None, Header()] = None) -> Response:
    """Changes of jobs from now on, as server-sent events; with `Last-Event-ID`, from there on.

    A position that another replica gave, or that is no position, brings every job once, as it stands.
    """
    await here.jobs.jobs()
    after = here.jobs.number if last_event_id is None else _position(last_event_id, here)
    return EventStream(with_heartbeats(_changes(after, here), here.settings.api.heartbeat_s), here.seats)


async def _changes(after: int, here: Here) -> AsyncGenerator[bytes, None]:
    # Something at once, so that the client knows that it is connected.
    yield HEARTBEAT
    async for number, change in here.jobs.changes(after):
        place = f"{here.replica}-{number}"
        if isinstance(change, JobRecord):
            yield json_event(job_views.change(change), id=place, name="job")
        else:
            yield json_event({"job_id": change}, id=place, name="removed")


def _position(last_event_id: str, here: Here) -> int:
    replica, _, number = last_event_id.partition("-")
    return int(number) if replica == here.replica and number.isdecimal() else 0


@router.get("/queue", response_model=list[Waiting], responses=problems(503))
async def queue(here: Here) -> JSONAnswer:
    """The jobs that wait for a host, in their order, and why they wait."""
    return JSONAnswer([job_views.waiting(record, place) for place, record in enumerate(await here.jobs.queue(), 1)])


@router.get("/job-info/{job_id:name}", response_model=JobRecordView, responses=problems(400, 404, 503))
async def job_info(job_id: str, here: Here) -> JSONAnswer:
    """A job's whole record, with what its container tells of its MLflow run."""
    record = await here.jobs.get(names.job_id(job_id))
    return JSONAnswer(await here.on_storage(job_folder.merge_info, here.layout, record.job_id, job_views.full(record)))


@router.get("/job-resolved-config/{job_id:name}", include_in_schema=False)
async def job_config(job_id: str, here: Here) -> Response:
    """The YAML text that the job runs with."""
    record = await here.jobs.get(names.job_id(job_id))
    text = await here.on_storage(job_folder.read_snapshot, here.layout, record.job_id)
    return Response(text, media_type="text/yaml")


@router.post("/jobs/{job_id:name}/requeue", response_model=Requeued, responses=problems(400, 404, 409, 503, 507))
async def requeue_job(job_id: str, request: Request, here: Here) -> JSONAnswer:
    """Run an ended job's snapshot again, as a new job."""
    record = await to_the_end(here.jobs.requeue(names.job_id(job_id), _user(request)))
    return JSONAnswer({**job_views.submitted(record), "requeued_from": record.requeued_from})


@router.delete("/job/{job_id:name}", response_model=Deleted, responses=problems(400, 404, 409, 422, 503))
async def delete_job(
    job_id: str,
    here: Here,
    force: Annotated[bool, Query(description="Stop the job first if it has not ended.")] = False,
) -> JSONAnswer:
    """Remove a job: its record, its folder and its container."""
    name = names.job_id(job_id)
    await to_the_end(here.jobs.delete(name, force))
    return JSONAnswer({"message": f"Job {name} was deleted", "job_id": name})
