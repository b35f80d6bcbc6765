"""`job_info.json`: the job as its submitter described it, extended by what only the run knows."""

import json
import uuid
from typing import Any

import citylearn

from opeva_simulator import __version__
from opeva_simulator.config import Experiment
from opeva_simulator.job_folder import JobFolder, write_json
from opeva_simulator.logs import log


def extend(folder: JobFolder, job_id: str, experiment: Experiment) -> str:
    """Add the run's id and names to the job's info, keeping what is there. Returns the run id (32 hex digits)."""
    info = _read(folder)
    run_id = uuid.uuid4().hex
    info.setdefault("job_id", job_id)
    info.setdefault("experiment_name", experiment.name)
    info.update(
        run_id=run_id,
        run_name=experiment.run_name,
        simulator_version=__version__,
        citylearn_version=citylearn.__version__,
    )
    write_json(folder.job_info, info)
    return run_id


def add(folder: JobFolder, **fields: str) -> None:
    """Add fields to the job's info, keeping what is there."""
    write_json(folder.job_info, {**_read(folder), **fields})


def _read(folder: JobFolder) -> dict[str, Any]:
    try:
        info = json.loads(folder.job_info.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s can't be read and is written anew: %s", folder.job_info, error)
        return {}
    return info if isinstance(info, dict) else {}
