"""Other datasets that a request takes weather or carbon intensity from."""

import numpy as np
import pandas as pd

from workers.common.errors import ErrorCode, InvalidInput
from workers.datasets.asked.request import DatasetRequest
from workers.datasets.file_names import CARBON_FILE, WEATHER_FILE
from workers.datasets.kept.descriptions import row_times
from workers.datasets.kept.store import DatasetStore
from workers.datasets.measures.arrays import Floats
from workers.datasets.measures.columns import CARBON, WEATHER_COLUMNS
from workers.datasets.steps.weather import SourceDataset

#: A file and the columns that are taken from it.
Wanted = tuple[str, list[str]]


def source_datasets(request: DatasetRequest, store: DatasetStore) -> dict[str, SourceDataset]:
    """The datasets that a request names, by name, with the columns that it takes from each.

    Raises:
        NotFound: there is no such dataset.
        InvalidInput: it has no such file or columns.
    """
    wanted: dict[str, list[Wanted]] = {}
    if request.weather is not None:
        wanted.setdefault(request.weather, []).append((WEATHER_FILE, [c.name for c in WEATHER_COLUMNS]))
    if isinstance(request.carbon_intensity, str):
        wanted.setdefault(request.carbon_intensity, []).append((CARBON_FILE, [CARBON.name]))
    return {name: _source(name, files, store) for name, files in wanted.items()}


def _source(name: str, files: list[Wanted], store: DatasetStore) -> SourceDataset:
    folder = store.folder(name)
    columns: dict[str, Floats] = {}
    for file, wanted in files:
        try:
            table = pd.read_csv(folder / file, usecols=wanted)
            columns.update({column: table[column].to_numpy(dtype=np.float64) for column in wanted})
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{file} of the dataset {name!r} can't be used: {error}", ErrorCode.BAD_SOURCE
            ) from error
    times = row_times(store.manifest(name), f"the dataset {name!r}")
    if times is None:
        # Uploaded: its rows say no time.
        return SourceDataset(name, columns, None, None)
    return SourceDataset(name, columns, times.start_ms, times.period_ms)
