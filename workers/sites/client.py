"""The connection to MongoDB: one client per process, with timeouts, and errors that say what to check."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final, Literal, TypedDict

import pymongo
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from workers.common.clock import Stopwatch
from workers.common.errors import ErrorCode, NotFound, OpevaError, Unavailable
from workers.sites.options import SitesOptions

logger = logging.getLogger(__name__)

Document = dict[str, Any]
Client = pymongo.MongoClient[Document]

#: Codes of MongoDB: the user lacks a right; the user or the password is wrong.
UNAUTHORIZED: Final = 13
_AUTHENTICATION: Final = {18, 8000}


class Answered(TypedDict):
    """MongoDB answered a ping."""

    ok: Literal[True]
    latency_ms: float
    error: None


class NotAnswered(TypedDict):
    """MongoDB did not answer a ping; `error` says why, in a sentence."""

    ok: Literal[False]
    latency_ms: None
    error: str


Ping = Answered | NotAnswered


class MongoConnection:
    """This process's client. pymongo connects when it is first used, and reconnects by itself."""

    def __init__(self, options: SitesOptions) -> None:
        self.options = options
        self.server = server_of(options.mongo_uri or "")
        self._client: Client | None = None
        self._lock = threading.Lock()

    def client(self) -> Client:
        """The client, made at the first call.

        Raises:
            Unavailable: no MongoDB is configured, or its URI can't be understood.
        """
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def close(self) -> None:
        """Let go of all connections; the next use makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def ping(self) -> Ping:
        """Whether the server answers within the timeout. Raises nothing of ours."""
        watch = Stopwatch()
        try:
            with self.short("a ping"):
                self.client().admin.command("ping")
        except OpevaError as error:
            return {"ok": False, "latency_ms": None, "error": error.detail}
        return {"ok": True, "latency_ms": round(watch.elapsed() * 1000, 1), "error": None}

    @contextlib.contextmanager
    def short(self, what: str) -> Iterator[None]:
        """Around short commands: all of them together get `mongo_timeout_s`; errors become ours, naming `what`."""
        with self.errors(what, self.options.mongo_timeout_s), pymongo.timeout(self.options.mongo_timeout_s):
            yield

    @contextlib.contextmanager
    def errors(self, what: str, seconds: float | None = None) -> Iterator[None]:
        """Around any use of the client: pymongo's errors become ours, naming the server and `what`.

        Raises:
            Unavailable: the server can't be reached, refuses the user, or fails at the request.
            NotFound: the user may not read this.
        """
        try:
            yield
        except PyMongoError as error:
            raise self._ours(error, what, seconds or self.options.mongo_read_timeout_s) from error

    def _ours(self, error: PyMongoError, what: str, seconds: float) -> OpevaError:
        code = error.code if isinstance(error, OperationFailure) else None
        if code == UNAUTHORIZED:
            return NotFound(
                f"The user of OPEVA_MONGO_URI may not read {what} at MongoDB {self.server}", ErrorCode.NOT_READABLE
            )
        # While it chooses a server, pymongo tells of a refused password in the text alone.
        if code in _AUTHENTICATION or "authentication failed" in str(error).lower():
            return Unavailable(
                f"MongoDB at {self.server} refuses the user or password of OPEVA_MONGO_URI ({what})",
                ErrorCode.MONGO_REFUSED,
            )
        if error.timeout or isinstance(error, ConnectionFailure):
            return Unavailable(
                f"MongoDB at {self.server} did not answer for {what} (limit {seconds:g} s):"
                " check that it runs and that OPEVA_MONGO_URI is right",
                ErrorCode.MONGO_UNAVAILABLE,
            )
        logger.warning("MongoDB at %s failed at %s", self.server, what, exc_info=error)
        reason = error.details.get("errmsg") if isinstance(error, OperationFailure) and error.details else None
        return Unavailable(
            f"MongoDB at {self.server} failed at {what}: {str(reason or error)[:300]}", ErrorCode.MONGO_ERROR
        )

    def _make(self) -> Client:
        options = self.options
        if not options.mongo_uri:
            raise Unavailable("No MongoDB is configured: set OPEVA_MONGO_URI", ErrorCode.MONGO_NOT_CONFIGURED)
        limit = int(options.mongo_timeout_s * 1000)
        try:
            return pymongo.MongoClient(
                options.mongo_uri,
                serverSelectionTimeoutMS=limit,
                connectTimeoutMS=limit,
                socketTimeoutMS=int(options.mongo_read_timeout_s * 1000),
                waitQueueTimeoutMS=limit,
                appname="opeva",
                # Dates come as naive UTC, which costs least, and as plain milliseconds where the calendar ends; broken
                # text is shown with replacement characters instead of ending a stream.
                tz_aware=False,
                uuidRepresentation="standard",
                unicode_decode_error_handler="replace",
                datetime_conversion="DATETIME_AUTO",
            )
        except (InvalidURI, ConfigurationError, ValueError) as error:
            # The text of the URI may hold a password: it is not repeated.
            logger.warning("OPEVA_MONGO_URI is not usable: %s", type(error).__name__)
            raise Unavailable(
                f"OPEVA_MONGO_URI can't be used ({self.server}): write it like mongodb://user:password@host:27017",
                ErrorCode.MONGO_NOT_CONFIGURED,
            ) from None


def server_of(uri: str) -> str:
    """The hosts of a MongoDB URI, without user, password and options."""
    rest = uri.partition("://")[2]
    return rest.partition("?")[0].rpartition("@")[2].partition("/")[0] or "(no host)"
