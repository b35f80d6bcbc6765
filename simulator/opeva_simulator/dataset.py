"""A dataset folder, opened as a CityLearn environment."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from citylearn.citylearn import CityLearnEnv

from opeva_simulator.errors import DatasetError


def open_environment(folder: Path, overrides: dict[str, Any], **arguments: Any) -> CityLearnEnv:
    """The environment of the dataset in `folder`, never looking for anything outside it.

    `overrides` replace keys of its schema, `arguments` go to CityLearnEnv.
    Raises DatasetError, saying what is wrong, for a dataset that CityLearn refuses.
    """
    schema = _schema(folder) | overrides
    if not schema.get("root_directory"):
        schema["root_directory"] = str(folder)
    try:
        # CityLearn reports on stdout, where --validate prints its answer.
        with contextlib.redirect_stdout(sys.stderr):
            return CityLearnEnv(schema, offline=True, **arguments)
    except Exception as error:
        # Whatever CityLearn raises here (assertions, KeyErrors, ...) is about the dataset's content.
        raise DatasetError(f"CityLearn can't load the dataset {folder}: {type(error).__name__}: {error}") from error


def _schema(folder: Path) -> dict[str, Any]:
    path = folder / "schema.json"
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(f"There is no dataset at {folder}: schema.json is missing") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} can't be read: {error}") from error
    if not isinstance(schema, dict) or not schema.get("buildings"):
        raise DatasetError(f"{path} lists no buildings")
    return schema
