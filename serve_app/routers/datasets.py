"""Datasets: built from sites, listed, looked into, downloaded, uploaded and removed."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serve_app.dataset_validation import validate
from serve_app.http import JSONAnswer, json_object
from serve_app.models.common import Message, described, problems
from serve_app.models.datasets import (
    AvailableDates,
    Building,
    BuildStatus,
    Built,
    DatasetBody,
    DatasetRow,
    Manifest,
    Preview,
    Uploaded,
)
from serve_app.services import Here, Services
from serve_app.shielded import to_the_end
from serve_app.streams import Stream
from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput
from workers.common.files import remove_tree, storage_error
from workers.datasets.kept.archive import unpack, zipped
from workers.datasets.kept.checks import check
from workers.datasets.kept.preview import DEFAULT_POINTS, MAX_POINTS, preview
from workers.datasets.kept.store import DatasetStore, already_there, dataset_files

router = APIRouter(tags=["datasets"])

_ZIP: Final = "application/zip"
_UPLOAD_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "name"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "A zip archive."},
                        "name": {"type": "string", "description": "What the dataset is to be called."},
                        "validate": {
                            "type": "boolean",
                            "description": "Run the dataset in the simulator's image too, as a job, and wait for it.",
                        },
                    },
                }
            }
        },
    }
}


def _store(here: Services) -> DatasetStore:
    return DatasetStore(here.layout)


@router.post(
    "/dataset",
    response_model=Built,
    responses={202: {"model": Building}, **problems(400, 404, 409, 413, 422, 503, 507)},
    openapi_extra=described(DatasetBody),
)
async def build_dataset(
    request: Request,
    here: Here,
    wait: Annotated[bool, Query(description="False: answer 202 at once; the status says how it goes.")] = True,
) -> JSONAnswer:
    """Build a dataset from the data of a site. It goes on to its end though its client goes away."""
    body = await json_object(request)
    started = await to_the_end(here.datasets.start(body))
    name = started["name"]
    work = _built(here, name, validated=body.get("validate") is True)
    if wait:
        return JSONAnswer(await to_the_end(work))
    going_on = asyncio.ensure_future(to_the_end(work))
    # Its failure is told by its status, which is where the client looks.
    going_on.add_done_callback(lambda task: task.cancelled() or task.exception())
    message = f"The dataset {name!r} is being built"
    return JSONAnswer({"message": message, "name": name, "status_url": f"dataset/{quote(name)}/status"}, 202)


async def _built(here: Services, name: str, *, validated: bool) -> dict[str, Any]:
    outcome = await here.datasets.wait(name)
    validation = await validate(here, name) if validated else None
    return {"message": f"The dataset {name!r} was built", **outcome, "validation": validation}


@router.get("/datasets", response_model=list[DatasetRow], responses=problems(503))
async def list_datasets(here: Here) -> JSONAnswer:
    """All datasets, sorted by name."""
    return JSONAnswer(await here.on_storage(_store(here).list))


@router.get(
    "/dataset/dates-available/{site:name}",
    response_model=list[AvailableDates],
    responses=problems(400, 404, 503),
)
async def dates_available(site: str, here: Here) -> JSONAnswer:
    """The time that each building of a site has documents of, by timestamp."""
    return JSONAnswer(await here.datasets.dates_available(names.site_name(site)))


@router.get(
    "/dataset/download/{name:name}",
    responses={200: {"description": "A zip archive, streamed.", "content": {_ZIP: {}}}, **problems(400, 404, 503)},
)
async def download_dataset(name: str, here: Here) -> Response:
    """A dataset as a zip archive, made while it is sent."""
    folder = await here.on_storage(_store(here).folder, name)
    disposition = f"attachment; filename=\"{name}.zip\"; filename*=UTF-8''{quote(name)}.zip"
    return Stream(_pieces(zipped(folder)), _ZIP, {"Content-Disposition": disposition})


async def _pieces(blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Blocks that are made in threads, one at a time."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block


@router.post(
    "/dataset/upload",
    response_model=Uploaded,
    responses=problems(400, 409, 413, 422, 503, 507),
    openapi_extra=_UPLOAD_FORM,
)
async def upload_dataset(
    request: Request,
    here: Here,
    validated: Annotated[
        bool, Query(alias="validate", description="As the form's field: run it in the simulator's image too.")
    ] = False,
) -> JSONAnswer:
    """Take in a dataset as a zip archive. It is checked as a job would meet it: mended and said, or refused."""
    try:
        # The file goes to the disk while it arrives; how much may arrive is limited before this.
        async with request.form(max_files=1, max_fields=10) as form:
            file, name = form.get("file"), names.dataset_name(form.get("name"))
            if not isinstance(file, UploadFile):
                raise InvalidInput("The form needs a zip archive as its field 'file'", ErrorCode.NO_FILE)
            validated = _truth(form.get("validate")) or validated
            size, warnings = await to_the_end(asyncio.to_thread(_take_in, here, name, file))
    except HTTPException as error:
        if error.status_code == 400:
            raise InvalidInput(
                f"The request is no form that can be read: {error.detail}", ErrorCode.BAD_FORM
            ) from error
        raise
    except OSError as error:
        # The form itself is written to the disk of this machine while it arrives.
        raise storage_error(error, Path(tempfile.gettempdir())) from error
    validation = await to_the_end(validate(here, name)) if validated else None
    message = f"The dataset {name!r} was uploaded"
    return JSONAnswer({"message": message, "name": name, "size": size, "warnings": warnings, "validation": validation})


def _truth(value: object) -> bool:
    """A form's field that is true or false, false if absent. Raises InvalidInput."""
    if value is None or value == "":
        return False
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("true", "1"):
        return True
    if word in ("false", "0"):
        return False
    raise InvalidInput("The form's field 'validate' must be true or false", ErrorCode.INVALID_INPUT)


def _take_in(here: Services, name: str, file: UploadFile) -> tuple[int, list[str]]:
    """Unpack an archive, check it and make it the dataset `name`; returns its size and what was mended or is odd."""
    store = _store(here)
    if store.exists(name):
        raise already_there(name)
    staged = store.staging()
    try:
        limits = here.settings.api
        unpack(file.file, staged, most_bytes=limits.dataset_unpacked_bytes, most_files=limits.dataset_files)
        warnings = check(staged)
        size = sum(size for _, size in dataset_files(staged))
        store.install(staged, name, overwrite=False)
    finally:
        remove_tree(staged)
    return size, warnings


@router.get("/dataset/{name:name}/status", response_model=BuildStatus, responses=problems(400, 404, 503))
async def build_status(name: str, here: Here) -> JSONAnswer:
    """How a build goes, or how it ended."""
    return JSONAnswer(await here.datasets.status(names.dataset_name(name)))


@router.post("/dataset/{name:name}/cancel", response_model=Message, responses=problems(400, 404, 503))
async def cancel_build(name: str, here: Here) -> JSONAnswer:
    """Ask a build to end; nothing of it is left. One that has ended stays as it is."""
    status = await to_the_end(here.datasets.cancel(names.dataset_name(name)))
    if status["finished_at"] is None and status["status"] in ("queued", "running"):
        return JSONAnswer({"message": f"The build of {name!r} is being cancelled"})
    return JSONAnswer({"message": f"The build of {name!r} has ended: {status['status']}"})


@router.get("/dataset/{name:name}/preview", response_model=Preview, responses=problems(400, 404, 422, 503))
async def preview_dataset(
    name: str,
    here: Here,
    file: Annotated[str | None, Query(description="A CSV file of it; none: its first building's.")] = None,
    columns: Annotated[list[str] | None, Query(description="Repeated or separated by commas; none: all.")] = None,
    points: Annotated[int, Query(ge=1, le=MAX_POINTS, description="At most so many points.")] = DEFAULT_POINTS,
) -> JSONAnswer:
    """Columns of a file with few points, for a plot."""
    store = _store(here)
    chosen = [part for text in columns or () for part in text.split(",") if part] or None

    def look() -> Mapping[str, object]:
        return preview(store.folder(name), store.manifest(name), file, chosen, points)

    return JSONAnswer(await here.on_storage(look))


@router.get("/dataset/{name:name}", response_model=Manifest, responses=problems(400, 404, 503))
async def dataset_manifest(name: str, here: Here) -> JSONAnswer:
    """A dataset's manifest: where it comes from, its files, what was filled, and all warnings."""
    return JSONAnswer(await here.on_storage(_store(here).manifest, name))


@router.delete("/dataset/{name:name}", response_model=Message, responses=problems(400, 404, 503))
async def delete_dataset(name: str, here: Here) -> JSONAnswer:
    """Remove a dataset."""
    await to_the_end(here.on_storage(partial(_store(here).remove, names.dataset_name(name))))
    return JSONAnswer({"message": f"The dataset {name!r} was removed"})
