"""Experiment configs."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from serve_app.http import JSONAnswer
from serve_app.models.common import Message, described, problems, read_body
from serve_app.models.configs import ConfigContent, ConfigView, NewConfig, SavedConfig
from serve_app.services import Here
from serve_app.shielded import to_the_end

router = APIRouter(tags=["experiment configs"])

_YAML_TYPES = ("text/yaml", "application/yaml", "application/x-yaml", "text/x-yaml")
_PLURAL = "/experiment-configs/{file_name:name}"
_SINGULAR = "/experiment-config/{file_name:name}"
_SHORT = "/config/{file_name:name}"


@router.post("/config/create", include_in_schema=False)
@router.post("/experiment-config/create", include_in_schema=False)
@router.post(
    "/experiment-configs/create",
    response_model=SavedConfig,
    responses=problems(400, 409, 413, 422, 503, 507),
    openapi_extra=described(NewConfig),
)
async def create_config(request: Request, here: Here) -> JSONAnswer:
    """Keep a new experiment config."""
    body = await read_body(request, NewConfig)
    write = partial(here.configs.create, body.file_name, body.config, body.yaml_content, body.overwrite)
    name = await to_the_end(here.on_storage(write))
    return JSONAnswer({"message": f"The experiment config {name} was saved", "file": name})


@router.get("/configs", include_in_schema=False)
@router.get("/experiment-configs", response_model=list[str], responses=problems(503))
async def list_configs(here: Here) -> JSONAnswer:
    """The names of all experiment configs, sorted."""
    return JSONAnswer(await here.on_storage(here.configs.list))


@router.get(_SHORT, include_in_schema=False)
@router.get(
    _PLURAL,
    response_model=ConfigView,
    responses={200: {"content": {"text/yaml": {"schema": {"type": "string"}}}}, **problems(400, 404, 422, 503)},
)
async def read_config(file_name: str, request: Request, here: Here) -> Response:
    """An experiment config as an object, or, with `Accept: text/yaml`, its text as it was given."""
    return await _config(file_name, here, as_text=_wants_yaml(request))


@router.get(_SINGULAR, include_in_schema=False)
async def read_config_singular(file_name: str, request: Request, here: Here) -> Response:
    """As the plural path, and a GET that says it sends JSON wants the text: a client of this path does so."""
    says_json = request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
    return await _config(file_name, here, as_text=says_json or _wants_yaml(request))


@router.put(_SINGULAR, include_in_schema=False)
@router.put(
    _PLURAL,
    response_model=SavedConfig,
    responses=problems(400, 404, 413, 422, 503, 507),
    openapi_extra=described(ConfigContent),
)
async def replace_config(file_name: str, request: Request, here: Here) -> JSONAnswer:
    """Change an experiment config; jobs keep the snapshot that they were submitted with."""
    body = await read_body(request, ConfigContent)
    write = partial(here.configs.replace, file_name, body.config, body.yaml_content)
    name = await to_the_end(here.on_storage(write))
    return JSONAnswer({"message": f"The experiment config {name} was saved", "file": name})


@router.delete(_SHORT, include_in_schema=False)
@router.delete(_SINGULAR, include_in_schema=False)
@router.delete(_PLURAL, response_model=Message, responses=problems(400, 404, 503))
async def delete_config(file_name: str, here: Here) -> JSONAnswer:
    """Remove an experiment config; jobs keep the snapshot that they were submitted with."""
    name = await to_the_end(here.on_storage(here.configs.delete, file_name))
    return JSONAnswer({"message": f"The experiment config {name} was deleted"})


async def _config(file_name: str, here: Here, *, as_text: bool) -> Response:
    if as_text:
        return Response(await here.on_storage(here.configs.read_text, file_name), media_type="text/yaml")
    name, config = await here.on_storage(_read, here, file_name)
    return JSONAnswer({"file": name, "config": config})


def _read(here: Here, file_name: str) -> tuple[str, dict[str, object]]:
    return file_name.removeprefix("configs/"), here.configs.read(file_name)


def _wants_yaml(request: Request) -> bool:
    """Whether the client names a YAML type before it names JSON."""
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    known = [media_type for media_type in accepted if media_type in (*_YAML_TYPES, "application/json")]
    return bool(known) and known[0] != "application/json"
