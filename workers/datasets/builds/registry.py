"""The builds of this process: started, cancelled, and their status, also after their end.

Each build is a thread. Its status is also a file beside the datasets, so that it can be asked for after this process
ended. A build that was running then has failed, and its status says so.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from workers.common import names
from workers.common.clock import now
from workers.common.errors import Conflict, ErrorCode, NotFound, OpevaError
from workers.common.files import remove_tree
from workers.common.layout import Layout
from workers.datasets.asked.request import parse_request
from workers.datasets.asked.site_schema import SiteSchema, select_buildings
from workers.datasets.builds import pipeline
from workers.datasets.builds.build import FINISHED, RUNNING, Build, BuildStatus, already_finished
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.builds.sources import source_datasets
from workers.datasets.builds.status_files import StatusFiles
from workers.datasets.builds.tasks import cancelled
from workers.datasets.kept.store import DatasetStore, already_there
from workers.datasets.reading.extent import AvailableDates, extent_of
from workers.datasets.reading.secret import installation_secret
from workers.sites.client import MongoConnection
from workers.sites.database import BUILDING_PREFIX, Site, Sites

logger = logging.getLogger(__name__)

#: How often a build that waits for room looks whether it was cancelled.
_LOOK_S: Final = 0.2


class BuildRegistry:
    """Starts builds, runs a limited number of them at once, and keeps the status of each."""

    def __init__(self, options: DatasetOptions) -> None:
        self._options = options
        self._layout = Layout(options.root)
        self._store = DatasetStore(self._layout)
        self._statuses = StatusFiles(self._layout)
        self._connection = MongoConnection(options.sites)
        self._sites = Sites(self._connection)
        self._builds: dict[str, Build] = {}
        self._lock = threading.Lock()
        self._room = threading.Semaphore(options.dataset_builds)

    def take_up(self) -> None:
        """Clear away what builds of an earlier process left; the storage may fail, and a later build will say so."""
        try:
            self._store.sweep()
            self._statuses.end_interrupted()
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
                raise Conflict(f"The dataset {request.name!r} is being built already", ErrorCode.BUILD_RUNNING)
            self._builds[request.name] = build

        def work() -> None:
            folder = self._store.staging()
            try:
                inputs = pipeline.BuildInputs(
                    request, schema, selection, self._options, secret, sources, folder=str(folder)
                )
                self._make(build, inputs, site)
            finally:
                remove_tree(folder)

        threading.Thread(target=self._run_to_end, args=(build, work), name=f"build {request.name}", daemon=True).start()
        return build

    def get(self, name: str) -> Build | None:
        """A build of this process."""
        return self._builds.get(name)

    def status(self, name: object) -> BuildStatus:
        """The status of a dataset's build, running or ended. Raises NotFound."""
        wanted = names.dataset_name(name)
        build = self._builds.get(wanted)
        exists = self._store.exists(wanted)
        if build is not None and (exists or build.state != FINISHED):
            return build.as_status()
        stored = self._statuses.stored(wanted)
        if stored is not None and (exists or stored["status"] != FINISHED):
            return stored
        if exists:
            return already_finished(wanted)
        raise NotFound(f"There is no dataset {wanted!r}, and none is being built", ErrorCode.DATASET_NOT_FOUND)

    def cancel(self, name: object) -> BuildStatus:
        """Ask a build to end; one that has ended stays as it is. Raises NotFound."""
        wanted = names.dataset_name(name)
        build = self._builds.get(wanted)
        if build is not None:
            build.cancel.set()
        return self.status(wanted)

    def dates_available(self, name: object) -> list[AvailableDates]:
        """The oldest and the newest instant of each building of a site, by timestamp. Raises NotFound, Unavailable."""
        site = self._sites.open(names.site_name(name))
        rows: list[AvailableDates] = []
        for collection in site.collections:
            if not collection.startswith(BUILDING_PREFIX):
                continue
            with self._connection.errors(f"{collection} of site '{site.name}'"):
                found = extent_of(site.collection(collection), site.source_zone)
            if found is not None:
                rows.append(found.as_dates(collection))
        return rows

    def close(self) -> None:
        """End all builds and let go of MongoDB."""
        for build in self._builds.values():
            build.cancel.set()
        self._connection.close()

    def _run_to_end(self, build: Build, work: Callable[[], None]) -> None:
        """Do a build's work when there is room, and store its status at its end, whatever that is."""
        failed: OpevaError | None = None
        try:
            self._wait_for_room(build)
            try:
                build.state = RUNNING
                self._statuses.store(build.as_status())
                work()
            finally:
                self._room.release()
        except OpevaError as error:
            failed = error
        except Exception as error:
            # Nobody waits in this thread: the status has the error, and the log has the trace.
            logger.exception("The build of %s failed", build.name)
            failed = OpevaError(f"The build failed: {type(error).__name__}; the log has the details")
        finally:
            build.end(failed)
            self._statuses.store(build.as_status())
            build.ended.set()

    def _wait_for_room(self, build: Build) -> None:
        while not self._room.acquire(timeout=_LOOK_S):
            if build.cancel.is_set():
                raise cancelled()

    def _make(self, build: Build, inputs: pipeline.BuildInputs, site: Site) -> None:
        def report(stage: str, percent: float, rows: int) -> None:
            build.stage, build.percent, build.rows = stage, percent, rows

        dataset = pipeline.run(inputs, site, self._connection, report, build.cancel)
        self._store.install(Path(inputs.folder), inputs.request.name, overwrite=inputs.request.overwrite)
        build.rows = dataset.manifest["rows"]
        build.warnings = dataset.manifest["warnings"]
