"""A build as a Ray Data pipeline: windows read wherever there is room, buildings completed once all are read.

Read tasks push their window and their fields down to MongoDB and reduce documents to bins where they read them; what
travels through Ray is small. Tasks ask for no CPU, so that a build neither waits for what simulations hold nor takes
it, and go to the nodes that carry this package; how many run at once is set by the options.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import ray

from workers.common.clock import Deadline
from workers.common.errors import ErrorCode, NotFound, Unavailable
from workers.common.files import remove_tree, storage_error
from workers.common.frozen_code import frozen_call
from workers.common.nodes import NODE_LABEL, with_package
from workers.common.version import code_copy, code_version
from workers.datasets.asked.request import DatasetRequest
from workers.datasets.asked.site_schema import Selection, SiteSchema
from workers.datasets.builds.assembly import Dataset, complete_dataset
from workers.datasets.builds.options import DatasetOptions
from workers.datasets.builds.tasks import (
    BuildingRow,
    TaskAnswer,
    WindowRow,
    Work,
    building_result,
    building_row,
    cancelled,
    complete_task,
    read_task,
    window_row,
    window_summary,
    write_staged,
)
from workers.datasets.files.building import BuildingResult
from workers.datasets.plan import make_plan
from workers.datasets.reading.documents import ReadOptions
from workers.datasets.reading.extent import Extent, extent_of
from workers.datasets.reading.mongo import windows_of
from workers.datasets.reading.users import CarNames
from workers.datasets.steps.weather import SourceDataset
from workers.datasets.steps.windows import WindowPartial
from workers.sites.client import MongoConnection
from workers.sites.database import Site
from workers.sites.indexes import has_index
from workers.sites.options import SitesOptions

logger = logging.getLogger(__name__)

#: How often a build that waits for tasks looks whether it is to end.
_LOOK_S: Final = 0.2
#: Shares of a build's work, in percent: until all windows are read, until all buildings are completed.
_READ_PERCENT: Final = 80.0
_COMPLETED_PERCENT: Final = 95.0

R = TypeVar("R", WindowRow, BuildingRow)

#: Called with the stage, the percentage and the number of documents (or rows) so far.
Report = Callable[[str, float, int], None]


@dataclass(frozen=True)
class BuildInputs:
    """What a build is made from: the request, the site's part of it, and the folder that its files go to."""

    request: DatasetRequest
    schema: SiteSchema
    selection: Selection
    options: DatasetOptions
    secret: bytes
    sources: Mapping[str, SourceDataset]
    folder: str


def run(
    inputs: BuildInputs, site: Site, connection: MongoConnection, report: Report, cancel: threading.Event
) -> Dataset:
    """Build into `inputs.folder`, which exists and is empty; returns the dataset without its buildings' files.

    Raises:
        NotFound, InvalidInput: see `make_plan` and `complete_dataset`.
        Conflict: `cancel` was set.
        Unavailable, StorageFull: MongoDB, the storage or Ray failed, or the build took too long.
    """
    with _Run(inputs, report, cancel) as started:
        return started.run(site, connection)


class _Run:
    def __init__(self, inputs: BuildInputs, report: Report, cancel: threading.Event) -> None:
        self._inputs = inputs
        self._report = report
        self._cancel = cancel
        self._deadline = Deadline(inputs.options.dataset_build_timeout_s)
        cars = CarNames(inputs.schema.electric_vehicles_def, inputs.secret)
        read_options = ReadOptions(inputs.schema.source_zone, cars, inputs.request.drop_generated)
        self._work = Work(
            inputs.request.site, inputs.folder, inputs.request.period_ms, read_options, inputs.options.sites
        )

    def __enter__(self) -> "_Run":
        parts = self._work.part(0).parent
        try:
            parts.mkdir()
        except OSError as error:
            raise storage_error(error, parts) from error
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self._work.part(0).parent)

    def run(self, site: Site, connection: MongoConnection) -> Dataset:
        inputs = self._inputs
        self._report("starting", 0.0, 0)
        rows, start_ms, end_ms = self._windows(site, connection)
        summaries: dict[str, list[WindowPartial]] = {building: [] for building in inputs.selection.buildings}
        documents = 0
        for number, answer in enumerate(self._map(read_task, rows, self._work), 1):
            summary = window_summary(answer)
            summaries[answer["building"]].append(summary)
            documents += summary.documents
            self._report("reading", number / len(rows) * _READ_PERCENT, documents)
        plan = make_plan(inputs.request, inputs.schema, inputs.selection, summaries, start_ms, end_ms)
        buildings = [building_row(building, rows) for building in plan.buildings]
        results: list[BuildingResult] = []
        for answer in self._map(complete_task, buildings, replace(self._work, plan=plan)):
            results.append(building_result(answer))
            share = (_COMPLETED_PERCENT - _READ_PERCENT) * len(results) / len(buildings)
            self._report("completing", _READ_PERCENT + share, documents)
        self._report("writing", _COMPLETED_PERCENT, documents)
        dataset = complete_dataset(plan, results, inputs.sources)
        for name, content in dataset.files.items():
            self._check()
            write_staged(self._work.staging / name, content)
        return dataset

    def _windows(self, site: Site, connection: MongoConnection) -> tuple[list[WindowRow], int, int]:
        """The read tasks, and the time that they cover."""
        inputs, period = self._inputs, self._inputs.request.period_ms
        start, end = inputs.request.from_ms, inputs.request.until_ms
        if start is None or end is None:
            found = [self._extent(site, connection, collection) for collection in inputs.selection.buildings.values()]
            known = [extent for extent in found if extent is not None]
            if not known:
                raise NotFound(f"The site {site.name!r} has no documents with a timestamp", ErrorCode.NO_DOCUMENTS)
            start = min(extent.oldest_ms for extent in known) if start is None else start
            end = max(extent.newest_ms for extent in known) + 1 if end is None else end
        start, end = start // period * period, -(-end // period) * period
        rows: list[WindowRow] = []
        for building, name in inputs.selection.buildings.items():
            self._check()
            collection = site.collection(name)
            with connection.errors(f"{name} of site '{site.name}'"):
                indexed = has_index(collection)
                windows = windows_of(
                    collection,
                    inputs.schema.source_zone,
                    start,
                    end,
                    indexed=indexed,
                    documents=inputs.options.window_documents,
                    pieces=inputs.options.dataset_readers,
                )
            rows += [
                window_row(number, building, name, window, indexed=indexed)
                for number, window in enumerate(windows, len(rows))
            ]
        return rows, start, end

    def _extent(self, site: Site, connection: MongoConnection, name: str) -> Extent | None:
        self._check()
        with connection.errors(f"{name} of site '{site.name}'"):
            return extent_of(site.collection(name), self._inputs.schema.source_zone)

    def _map(self, task: Callable[[R, Work], TaskAnswer], rows: Sequence[R], work: Work) -> Iterator[TaskAnswer]:
        """What the task of each row gave, as tasks end.

        The rows come through a thread: Ray Data waits for a task as long as it takes, and this build must be able to
        end meanwhile. Tasks that are still running then see that their folder is gone.
        """
        outcomes: queue.SimpleQueue[TaskAnswer | Exception | None] = queue.SimpleQueue()

        def execute() -> None:
            try:
                for outcome in _dataset(task, rows, work, self._inputs.options.dataset_readers).iter_rows():
                    outcomes.put(outcome)
                outcomes.put(None)
            except Exception as error:  # raised in the build's own thread, which says what failed
                outcomes.put(error)

        if rows:
            threading.Thread(target=execute, name="dataset-tasks", daemon=True).start()
        for _ in rows:
            outcome = self._next(outcomes)
            if outcome is None or isinstance(outcome, Exception):
                logger.error("Ray Data ended before all tasks of %s did", work.site, exc_info=outcome)
                raise Unavailable(
                    f"A task of the build failed: {type(outcome).__name__ if outcome else 'no answer'}",
                    ErrorCode.BUILD_FAILED,
                ) from outcome
            yield outcome

    def _next(self, outcomes: "queue.SimpleQueue[TaskAnswer | Exception | None]") -> TaskAnswer | Exception | None:
        while True:
            self._check()
            try:
                return outcomes.get(timeout=_LOOK_S)
            except queue.Empty:
                continue

    def _check(self) -> None:
        if self._cancel.is_set():
            raise cancelled()
        if self._deadline.passed():
            raise Unavailable(f"The build took longer than {self._deadline.seconds:g} s", ErrorCode.BUILD_TIMEOUT)


def _dataset(task: Callable[[R, Work], TaskAnswer], rows: Sequence[R], work: Work, readers: int) -> "ray.data.Dataset":
    """Rows through a task each: one block for each row, so that each is a task of its own."""
    prepare()
    carrying = ",".join(sorted(node["NodeID"] for node in with_package(ray.nodes()) if node["Alive"]))
    return ray.data.from_items(list(rows), override_num_blocks=len(rows)).map(
        frozen_call(code_copy(), code_version(), f"{task.__module__}:{task.__name__}", work),
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=readers),
        label_selector={NODE_LABEL: f"in({carrying})"},
    )


def prepare() -> None:
    """Import Ray Data, which takes seconds, and keep it from writing to the log what only its developers need."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def warm() -> None:
    """Start a process for tasks and let it import what they need, so that the first build need not wait for that."""
    nothing = Work("", "", 1, ReadOptions(None, CarNames({}, b"")), SitesOptions(None))
    for _ in _dataset(_start, [building_row("", [])], nothing, 1).iter_rows():
        logger.debug("A process for tasks of builds is ready")


def _start(row: BuildingRow, work: Work) -> TaskAnswer:
    """A task that only has to arrive: its arguments bring the modules of the others with them."""
    del work
    return {"building": row["building"], "answer": b""}
