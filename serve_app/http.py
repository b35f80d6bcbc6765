"""JSON in and out: answers that are always valid JSON, bodies that are JSON objects."""

import asyncio
import json
import math
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from workers.common.errors import ErrorCode, Unprocessable

#: A body over this size is parsed in a thread, so that it does not hold up the others' requests.
_THREAD_BYTES: Final = 256 << 10
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def to_json(content: Any) -> bytes:
    """`content` as UTF-8 JSON; numbers that are not finite become null."""
    try:
        return orjson.dumps(content, option=_OPTIONS, default=str)
    except orjson.JSONEncodeError:
        # Integers over 64 bits and text with lone surrogates, which containers may write, are beyond orjson.
        text = json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class JSONAnswer(Response):
    """A JSON response that never holds NaN or an infinity."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content)


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body, which must be a JSON object.

    Raises:
        Unprocessable: it is not.
    """
    body = await request.body()
    if len(body) > _THREAD_BYTES:
        return await asyncio.to_thread(_parse, body)
    return _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise Unprocessable("The request needs a JSON object as its body", ErrorCode.INVALID_JSON)
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unprocessable(f"The request's body is not valid JSON: {error}", ErrorCode.INVALID_JSON) from error
    if not isinstance(content, dict):
        raise Unprocessable("The request's body must be a JSON object", ErrorCode.INVALID_JSON)
    return content
