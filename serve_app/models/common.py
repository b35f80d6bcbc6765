"""What many routes have in common in OpenAPI: errors, messages, and bodies that are read by hand."""

from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from serve_app.http import json_object

M = TypeVar("M", bound=BaseModel)


class Problem(BaseModel):
    """An error."""

    detail: str = Field(description="One sentence for people.", examples=["There is no job 8f14e45f-…"])
    code: str = Field(description="A word for programs that stays the same.", examples=["job_not_found"])


class Message(BaseModel):
    """What was done."""

    message: str = Field(description="One sentence for people.")


class Body(BaseModel):
    """A request's body; keys that mean nothing are ignored, since clients send more than they need to."""

    model_config = ConfigDict(extra="ignore")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for OpenAPI."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "The request is malformed; nothing was changed.",
    401: "A bearer token is missing.",
    403: "The token may only read.",
    404: "What the request names does not exist.",
    409: "The request contradicts what exists.",
    413: "The body is too large.",
    422: "A value is not valid; the sentence names it.",
    503: "A host, a Docker engine, the storage or MongoDB does not answer; the sentence says which.",
    507: "The shared storage is full.",
}


def text_answer(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """An answer that is a text, for OpenAPI."""
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


def described(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body by `read_body` or `json_object`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


async def read_body(request: Request, model: type[M]) -> M:
    """The body as a `model`, whatever Content-Type it is sent with.

    Raises:
        Unprocessable: it is not a JSON object.
        RequestValidationError: a field is missing or of the wrong type.
    """
    content = await json_object(request)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error
