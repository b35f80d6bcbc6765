"""The builds of this process: started, told of, cancelled, and remembered after their end.

Each build is a thread. What is told of it is kept beside the datasets too, so that a build is known after this process
ended: one that was running then has failed, and says so.
"""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from workers.common import names
from workers.common.answers import failure, value_of
from workers.common.clock import now
from workers.common.errors import Conflict, NotFound, OpevaError
from workers.common.files import remove_tree, write_atomic
from workers.common.layout import Layout
from workers.datasets.asked.request import parse_request
from workers.datasets.asked.site_schema import BUILDING_PREFIX, SiteSchema, select_buildings
from workers.datasets.builds import pipeline
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.builds.sources import source_datasets
from workers.datasets.kept.store import DatasetStore, already_there
from workers.datasets.reading.edges import edges
from workers.datasets.reading.secret import installation_secret
from workers.sites.client import MongoConnection
from workers.sites.database import Sites
from workers.sites.instants import iso_of_milliseconds

logger = logging.getLogger(__name__)

QUEUED: Final = "queued"
RUNNING: Final = "running"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
ENDED: Final = (FINISHED, FAILED, CANCELED)
_CANCELLED: Final = "build_cancelled"
_STATUS_FOLDER: Final = "build-status"


@dataclass
class Build:
    """A build and what is told of it. Times in epoch seconds; `answer` holds the error of one that failed."""

    name: str
    started_at: float
    status: str = QUEUED
    stage: str = "waiting"
    percent: float = 0.0
    rows: int = 0
    warnings: list[str] = field(default_factory=list)
    finished_at: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    cancel: threading.Event = field(default_factory=threading.Event, repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def view(self) -> dict[str, Any]:
        """As plain data."""
        error = self.answer.get("error") or {}
        return {
            "name": self.name,
            "status": self.status,
            "stage": self.stage,
            "percent": round(self.percent, 1),
            "rows": self.rows,
            "warnings": self.warnings,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "error": error.get("detail"),
            "code": error.get("code"),
        }


class Builds:
    """Starts builds, at most so many at once, and knows of all."""

    def __init__(self, options: DatasetOptions) -> None:
        self._options = options
        self._layout = Layout(options.root)
        self._store = DatasetStore(self._layout)
        self._connection = MongoConnection(options.sites)
        self._sites = Sites(self._connection)
        self._builds: dict[str, Build] = {}
        self._lock = threading.Lock()
        self._room = threading.Semaphore(options.dataset_builds)

    def take_up(self) -> None:
        """Clear away what builds of an earlier process left; the storage may fail, and a later build will say so."""
        try:
            self._store.sweep()
            for path in self._status_folder.glob("*.json"):
                told = self._told(path)
                if told is not None and told.get("status") not in ENDED:
                    detail = "The build was interrupted: the process that ran it ended"
                    interrupted = {"stage": FAILED, "error": detail, "code": "build_interrupted"}
                    self._keep(path.stem, {**told, "status": FAILED, **interrupted})
        except OSError as error:
            logger.warning("The remains of earlier builds can't be cleared away: %s", error)

    def start(self, body: Mapping[str, Any]) -> Build:
        """Begin the build that a request's body asks for.

        Raises:
            InvalidInput, NotFound: the request, its site or its buildings.
            Conflict: there is such a dataset already, or it is being built.
            Unavailable: MongoDB or the storage does not answer.
        """
        request = parse_request(body)
        if not request.overwrite and self._store.exists(request.name):
            raise already_there(request.name)
        site = self._sites.open(request.site)
        schema = SiteSchema.of(site.schema)
        selection = select_buildings(request, schema, site.collections)
        sources = source_datasets(request, self._store)
        secret = installation_secret(self._layout)
        build = Build(request.name, now())
        with self._lock:
            earlier = self._builds.get(request.name)
            if earlier is not None and not earlier.ended.is_set():
                raise Conflict(f"The dataset {request.name!r} is being built already", "build_running")
            self._builds[request.name] = build

        def work() -> None:
            folder = self._store.staging()
            try:
                job = pipeline.BuildJob(request, schema, selection, self._options, secret, sources, folder=str(folder))
                self._run(build, job, site)
            finally:
                remove_tree(folder)

        threading.Thread(target=self._guard, args=(build, work), name=f"build {request.name}", daemon=True).start()
        return build

    def get(self, name: str) -> Build | None:
        """A build of this process."""
        return self._builds.get(name)

    def status(self, name: object) -> dict[str, Any]:
        """What is known of a dataset's build, running or ended. Raises NotFound."""
        known = names.dataset_name(name)
        build = self._builds.get(known)
        if build is not None and not (build.status == FINISHED and not self._store.exists(known)):
            return build.view()
        told = self._told(self._status_path(known))
        exists = self._store.exists(known)
        if told is not None and (exists or told.get("status") != FINISHED):
            return told
        if exists:
            # Uploaded, or made before builds were told of.
            return Build(known, 0.0, status=FINISHED, stage=FINISHED, percent=100.0).view() | {"started_at": None}
        raise NotFound(f"There is no dataset {known!r}, and none is being built", "dataset_not_found")

    def cancel(self, name: object) -> dict[str, Any]:
        """Ask a build to end; one that has ended stays as it is. Raises NotFound."""
        known = names.dataset_name(name)
        build = self._builds.get(known)
        if build is not None:
            build.cancel.set()
        return self.status(known)

    def dates_available(self, name: object) -> list[dict[str, Any]]:
        """The oldest and the newest instant of each building of a site, by timestamp. Raises NotFound, Unavailable."""
        site = self._sites.open(names.site_name(name))
        rows = []
        for collection in site.collections:
            if not collection.startswith(BUILDING_PREFIX):
                continue
            with self._connection.errors(f"{collection} of site '{site.name}'"):
                found = edges(site.collection(collection), site.source_zone)
            if found is not None:
                rows.append(
                    {
                        "installation": collection,
                        "oldest_record": iso_of_milliseconds(found.oldest_ms),
                        "newest_record": iso_of_milliseconds(found.newest_ms),
                    }
                )
        return rows

    def close(self) -> None:
        """End all builds and let go of MongoDB."""
        for build in self._builds.values():
            build.cancel.set()
        self._connection.close()

    def _guard(self, build: Build, work: Any) -> None:
        """Do a build's work when there is room, and tell of its end whatever that is."""
        try:
            while not self._room.acquire(timeout=0.2):
                if build.cancel.is_set():
                    raise Conflict("The build was cancelled", _CANCELLED)
            try:
                build.status = RUNNING
                self._keep(build.name, build.view())
                work()
                build.status, build.stage, build.percent = FINISHED, FINISHED, 100.0
            finally:
                self._room.release()
        except OpevaError as error:
            build.status = CANCELED if error.code == _CANCELLED else FAILED
            build.answer = failure(error)
        except Exception as error:
            # Nobody waits in this thread: whoever asks for the status is told, and the log has the trace.
            logger.exception("The build of %s failed", build.name)
            unforeseen = OpevaError(f"The build failed: {type(error).__name__}; the log has the details")
            build.status, build.answer = FAILED, failure(unforeseen)
        finally:
            build.finished_at = now()
            if build.status != FINISHED:
                build.stage = build.status
            self._keep(build.name, build.view())
            build.ended.set()

    def _run(self, build: Build, job: pipeline.BuildJob, site: Any) -> None:
        def report(stage: str, percent: float, rows: int) -> None:
            build.stage, build.percent, build.rows = stage, percent, rows

        dataset = pipeline.run(job, site, self._connection, report, build.cancel)
        self._store.install(Path(job.folder), job.request.name, overwrite=job.request.overwrite)
        build.rows = dataset.manifest["rows"]
        build.warnings = dataset.manifest["warnings"]

    @property
    def _status_folder(self) -> Path:
        return self._layout.private / _STATUS_FOLDER

    def _status_path(self, name: str) -> Path:
        return self._status_folder / f"{name}.json"

    def _keep(self, name: str, told: dict[str, Any]) -> None:
        """Keep what is told of a build; the build goes on if that fails."""
        try:
            self._status_folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._status_path(name), json.dumps(told).encode())
        except OSError as error:
            logger.warning("The status of the build %s can't be kept: %s", name, error)

    @staticmethod
    def _told(path: Path) -> dict[str, Any] | None:
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError):
            # There is none, or it was torn: as good as none.
            return None
        return told if isinstance(told, dict) else None


def outcome_of(build: Build) -> dict[str, Any]:
    """What a build that ended made: `name, rows, warnings`; raises the error that it ended with."""
    if build.answer:
        value_of(build.answer)
    return {"name": build.name, "rows": build.rows, "warnings": build.warnings}
