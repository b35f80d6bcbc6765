"""What runs on the nodes that carry this package: read one window, or complete one building.

A task is given plain data and gives plain data back: its value or its error (`workers.common.answers`). What is large
stays on the shared storage: a window's partial and a building's files go into the build's staging folder. That folder
is also the sign to go on: a build that was cancelled, or that ended otherwise, removed it.
"""

import functools
import logging
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypedDict

from workers.common.answers import failure, success, value_of
from workers.common.errors import Conflict, ErrorCode, OpevaError
from workers.common.files import storage_error, write_atomic
from workers.datasets.builds.niced import niced
from workers.datasets.files.building import BuildingResult, complete_building
from workers.datasets.measures.grid import TimeWindow
from workers.datasets.plan import Plan
from workers.datasets.reading.documents import ReadOptions
from workers.datasets.reading.mongo import window_documents
from workers.datasets.steps.windows import WindowPartial, read_window
from workers.sites.client import Document, MongoConnection
from workers.sites.options import SitesOptions

logger = logging.getLogger(__name__)

#: How many documents are read between two looks at whether the build goes on.
_LOOK_EVERY: Final = 5000
_PARTS: Final = "parts"


class WindowRow(TypedDict):
    """A window of a building to be read: plain numbers and texts, since Ray Data would change dates on their way.

    Made by `window_row`, read by `read_task`.
    """

    number: int
    building: str
    collection: str
    indexed: bool
    start_ms: int
    end_ms: int
    prices_end_ms: int


class BuildingRow(TypedDict):
    """A building to be completed. Made by `building_row`, read by `complete_task`."""

    building: str
    #: The numbers of its windows, with commas between.
    parts: str


class TaskAnswer(TypedDict):
    """What a task gives back. Made by `_answer`, read by `window_summary` and `building_result`."""

    building: str
    #: A value or an error (`workers.common.answers`), pickled.
    answer: bytes


@dataclass(frozen=True)
class Work:
    """What all tasks of a build share. `plan` is made between the two kinds of tasks."""

    site: str
    folder: str
    period_ms: int
    read_options: ReadOptions
    sites: SitesOptions
    plan: Plan | None = None

    @property
    def staging(self) -> Path:
        return Path(self.folder)

    def part(self, number: int) -> Path:
        """Where the partial of a window lies until its building is completed."""
        return self.staging.with_name(f"{self.staging.name}.{_PARTS}") / f"{number}.pickle"

    def check(self) -> None:
        """Raises Conflict if the build does not go on."""
        if not self.staging.is_dir():
            raise cancelled()


def cancelled() -> Conflict:
    """The error of a build that was asked to end."""
    return Conflict("The build was cancelled", ErrorCode.BUILD_CANCELLED)


def window_row(number: int, building: str, collection: str, window: TimeWindow, *, indexed: bool) -> WindowRow:
    """The row of a window; `number` tells it from all others of the build."""
    return {
        "number": number,
        "building": building,
        "collection": collection,
        "indexed": indexed,
        "start_ms": window.start_ms,
        "end_ms": window.end_ms,
        "prices_end_ms": window.prices_end_ms,
    }


def building_row(building: str, windows: Sequence[WindowRow]) -> BuildingRow:
    """The row of a building, from the rows of all windows of the build."""
    numbers = [str(row["number"]) for row in windows if row["building"] == building]
    return {"building": building, "parts": ",".join(numbers)}


def read_task(row: WindowRow, work: Work) -> TaskAnswer:
    """Read a window: its partial goes to the storage, its summary into the answer."""

    def read() -> bytes:
        work.check()
        window = TimeWindow(row["start_ms"], row["end_ms"], row["prices_end_ms"])
        connection = _connection(work.sites)
        what = f"{row['collection']} of site '{work.site}'"
        with connection.errors(what):
            collection = connection.client()[work.site][row["collection"]]
            documents = window_documents(collection, window, work.read_options.source_zone, indexed=row["indexed"])
            checked = _while_wanted(documents, work)
            partial = read_window(row["building"], checked, window, work.period_ms, work.read_options)
        write_staged(work.part(row["number"]), pickle.dumps(partial))
        return pickle.dumps(partial.summary())

    return _answer(read, row["building"])


def complete_task(row: BuildingRow, work: Work) -> TaskAnswer:
    """Complete a building from its parts (their numbers are in the row): its files go to the storage."""

    def complete() -> bytes:
        work.check()
        if work.plan is None:
            raise RuntimeError("A building can't be completed before the plan is made")
        numbers = [int(number) for number in row["parts"].split(",")]
        result = complete_building(work.plan, row["building"], [_read(work.part(number)) for number in numbers])
        for name, content in result.files.items():
            work.check()
            write_staged(work.staging / name, content)
        return pickle.dumps(replace(result, files={}))

    return _answer(complete, row["building"])


def window_summary(answer: TaskAnswer) -> WindowPartial:
    """What a `read_task` found, without its bulk. Raises the error that the task ended with."""
    summary: WindowPartial = _value(answer)
    return summary


def building_result(answer: TaskAnswer) -> BuildingResult:
    """What a `complete_task` made, without its files. Raises the error that the task ended with."""
    result: BuildingResult = _value(answer)
    return result


def _value(answer: TaskAnswer) -> Any:
    pickled = value_of(pickle.loads(answer["answer"]))  # noqa: S301 - made by our own tasks
    return pickle.loads(pickled)  # noqa: S301


def _answer(work: Callable[[], bytes], building: str) -> TaskAnswer:
    try:
        answer = success(niced(work))
    except OpevaError as error:
        answer = failure(error)
    return {"building": building, "answer": pickle.dumps(answer)}


def _while_wanted(documents: Iterable[Document], work: Work) -> Iterator[Document]:
    for number, document in enumerate(documents):
        if number % _LOOK_EVERY == 0:
            work.check()
        yield document


def write_staged(path: Path, content: bytes) -> None:
    """Write a file of a build. Raises Conflict if the build does not go on, Unavailable, StorageFull."""
    try:
        # Flushed to the disk with the whole dataset, once.
        write_atomic(path, content, durable=False)
    except FileNotFoundError as error:
        raise cancelled() from error
    except OSError as error:
        raise storage_error(error, path) from error


def _read(path: Path) -> WindowPartial:
    try:
        partial: WindowPartial = pickle.loads(path.read_bytes())  # noqa: S301 - written by a task of this build
    except FileNotFoundError as error:
        raise cancelled() from error
    except OSError as error:
        raise storage_error(error, path) from error
    return partial


@functools.lru_cache(maxsize=4)
def _connection(options: SitesOptions) -> MongoConnection:
    """This process's client: the next task of the process finds it connected."""
    return MongoConnection(options)
