"""Having a container's image on this host."""

from __future__ import annotations

import codecs
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

from docker.auth import get_config_header, resolve_repository_name
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import parse_repository_tag
from docker.utils.json_stream import json_stream

from workers.clock import Deadline
from workers.engine import UNREACHABLE, Engine, EngineError, cause, hostname, unavailable
from workers.log_frames import LogStream

logger = logging.getLogger(__name__)

_WORDS: Final = 500


def present(client: Any, image: str) -> bool:
    """Whether the engine has the image."""
    try:
        client.inspect_image(image)
    except ImageNotFound:
        return False
    return True


def ensure(engine: Engine, image: str, policy: str, timeout_s: float) -> None:
    """Have the image here, as `policy` ("missing", "always", "never") says; `timeout_s` is for a whole pull.

    Raises EngineError `image_not_found`, `image_pull_failed` or `docker_unavailable`.
    """
    try:
        if policy != "always" and present(engine.client, image):
            return
    except APIError as error:
        raise EngineError("image_not_found", f"Image {image!r} on host {hostname()}: {cause(error)}") from error
    except UNREACHABLE as error:
        raise unavailable(error) from error
    if policy == "never":
        raise EngineError("image_not_found", f"Host {hostname()} has no image {image!r}, and pulling is turned off")
    pull(engine, image, timeout_s)


def pull(engine: Engine, image: str, timeout_s: float) -> None:
    """Pull the image; the registry's errors count, and so does the deadline of `timeout_s` seconds.

    Raises EngineError `image_pull_failed` or `docker_unavailable`.
    """
    deadline = Deadline(timeout_s)
    client = engine.client
    try:
        repository, tag = parse_repository_tag(image)
        registry, _ = resolve_repository_name(repository)
        login = get_config_header(client, registry)
    except DockerException as error:
        raise _failed(image, cause(error)) from error
    try:
        response = client.post(
            client._url("/images/create"),
            # Without a tag the engine would pull all tags there are.
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            stream=True,
            timeout=timeout_s,
        )
        client._raise_for_status(response)
    except APIError as error:
        raise _failed(image, cause(error)) from error
    except UNREACHABLE as error:
        if deadline.passed():
            raise _failed(image, f"not done in {timeout_s:g} s") from error
        raise unavailable(error) from error
    stream = LogStream(response)
    # The engine gives a pull up when its client goes away.
    alarm = threading.Timer(deadline.left(), stream.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        for message in json_stream(_text(stream)):
            _check(image, message)
    except UNREACHABLE as error:
        if deadline.passed():
            raise _failed(image, f"not done in {timeout_s:g} s") from error
        raise unavailable(error) from error
    finally:
        alarm.cancel()
        stream.close()
    if not _arrived(client, image):
        raise _failed(image, "the registry reported no error, but the image is not there")


def _text(stream: LogStream) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for block in stream.blocks():
        yield decoder.decode(block)


def _check(image: str, message: Any) -> None:
    """A pull's errors come in its stream, after a status of 200."""
    if isinstance(message, dict) and (text := message.get("error")):
        raise _failed(image, str(text))


def _arrived(client: Any, image: str) -> bool:
    try:
        return present(client, image)
    except UNREACHABLE as error:
        raise unavailable(error) from error


def _failed(image: str, why: str) -> EngineError:
    return EngineError("image_pull_failed", f"Image {image!r} could not be pulled on host {hostname()}: {why[:_WORDS]}")
