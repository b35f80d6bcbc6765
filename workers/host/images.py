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

from workers.common.clock import Deadline
from workers.host.engine import UNREACHABLE, Engine, EngineError, EngineStream, cause, hostname, unavailable

logger = logging.getLogger(__name__)

_WORDS: Final = 500
_STEP_S: Final = 0.2
_STRAY_S: Final = 30.0


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

    The waiting is done in short steps, so that an interrupt (Ray cancels a task that way) ends it soon.

    Raises EngineError `image_pull_failed` or `docker_unavailable`.
    """
    deadline = Deadline(timeout_s)
    # The deadline is kept here; the connection's own only ends what nobody waits for any more.
    work = _Pull(engine.again(timeout_s + _STRAY_S), image)
    thread = threading.Thread(target=work.run, name=f"pull {image}", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not deadline.passed():
            thread.join(min(_STEP_S, deadline.left()))
        late = thread.is_alive()
    finally:
        work.give_up()
    if late:
        raise _failed(image, f"not done in {timeout_s:g} s")
    if work.error is not None:
        raise work.error
    if not _arrived(engine.client, image):
        raise _failed(image, "the registry reported no error, but the image is not there")


class _Pull:
    """One pull, in a thread of its own with a connection of its own."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine = engine
        self._image = image
        self._stream: EngineStream | None = None
        #: Why it failed; to be read when the thread has ended.
        self.error: EngineError | None = None

    def run(self) -> None:
        try:
            self._pull()
        except EngineError as error:
            self.error = error
        except DockerException as error:
            self.error = _failed(self._image, cause(error))
        except UNREACHABLE as error:
            self.error = unavailable(error)
        except Exception as error:
            # Whatever went wrong, the image is not here, and that is what is reported.
            logger.exception("Pulling %s failed", self._image)
            self.error = _failed(self._image, cause(error))
        finally:
            self._engine.close()

    def give_up(self) -> None:
        """From any thread: end it. The engine gives a pull up when its client goes away."""
        if self._stream is not None:
            self._stream.interrupt()

    def _pull(self) -> None:
        client = self._engine.client
        repository, tag = parse_repository_tag(self._image)
        registry, _ = resolve_repository_name(repository)
        login = get_config_header(client, registry)
        self._stream = self._engine.open(
            "POST",
            "/images/create",
            # Without a tag the engine would pull all tags there are.
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            timeout=client.timeout,
        )
        try:
            for message in json_stream(_text(self._stream)):
                # A pull's errors come in its stream, after a status of 200.
                if isinstance(message, dict) and (text := message.get("error")):
                    raise _failed(self._image, str(text))
        finally:
            self._stream.close()


def _text(stream: EngineStream) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for block in stream.blocks():
        yield decoder.decode(block)


def _arrived(client: Any, image: str) -> bool:
    try:
        return present(client, image)
    except UNREACHABLE as error:
        raise unavailable(error) from error


def _failed(image: str, why: str) -> EngineError:
    return EngineError("image_pull_failed", f"Image {image!r} could not be pulled on host {hostname()}: {why[:_WORDS]}")
