"""What a simulation writes: progress, result, exported series."""

import asyncio
import mimetypes
import os
from collections.abc import AsyncGenerator
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from serve_app.http import JSONAnswer, to_json
from serve_app.models.common import described, problems, read_body
from serve_app.models.job_files import DataFileRequest, DataIndex, DataIndexRequest, Progress, Result
from serve_app.services import Here
from serve_app.streams import Stream
from workers.common import names
from workers.common.clock import now
from workers.common.layout import Layout
from workers.jobs.records import JobRecord
from workers.outputs import progress, results, simulation_data
from workers.outputs.simulation_data import DataFile

router = APIRouter(tags=["job files"])

_BLOCK = 256 << 10


@router.get("/progress/{job_id:name}", response_model=Progress, responses=problems(400, 404, 503))
async def get_progress(job_id: str, here: Here) -> JSONAnswer:
    """How far a job is."""
    record = await here.jobs.get(names.job_id(job_id))
    raw = await here.on_storage(here.progress_files.read, record.job_id)
    return JSONAnswer(progress.answer(raw, record.state, record.started_at, now()))


@router.get("/result/{job_id:name}", response_model=Result, responses=problems(400, 404, 503))
async def result(job_id: str, here: Here) -> Response:
    """A job's result: KPIs by building and for the district; those that are not finite numbers are left out."""
    record = await here.jobs.get(names.job_id(job_id))
    return Response(await here.on_storage(_result, here.layout, record), media_type="application/json")


def _result(layout: Layout, record: JobRecord) -> bytes:
    # Results may be large: the JSON is made in the storage's thread too.
    return to_json(results.answer(results.read(layout, record.job_id), record.terminal))


@router.post(
    "/simulation-data/index",
    response_model=DataIndex,
    include_in_schema=False,
    openapi_extra=described(DataIndexRequest),
)
async def data_index(request: Request, here: Here) -> JSONAnswer:
    """The files of a session of a job's simulation data."""
    body = await read_body(request, DataIndexRequest)
    record = await here.jobs.get(names.job_id(body.job_id))
    return JSONAnswer(await here.on_storage(simulation_data.index, here.layout, record.job_id, body.session))


@router.post("/simulation-data/file", include_in_schema=False, openapi_extra=described(DataFileRequest))
async def data_file(request: Request, here: Here) -> Response:
    """One file of a job's simulation data."""
    body = await read_body(request, DataFileRequest)
    record = await here.jobs.get(names.job_id(body.job_id))
    file = await here.on_storage(
        simulation_data.open_file, here.layout, record.job_id, body.session, body.relative_path
    )
    return Stream(
        _content(file),
        mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"},
    )


async def _content(file: DataFile) -> AsyncGenerator[bytes, None]:
    with os.fdopen(file.descriptor, "rb") as source:
        while block := await asyncio.to_thread(source.read, _BLOCK):
            yield block
