"""The command line, and what each ending is reported as.

Exit codes: 0 finished, 1 failed, 2 a config or a command line that asks for the impossible, 143 stopped.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Final

from opeva_simulator import agents, config, logs
from opeva_simulator.errors import ConfigError, DatasetError
from opeva_simulator.job_folder import JobFolder
from opeva_simulator.logs import log
from opeva_simulator.stopping import EXIT_STOPPED, Stopped

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.validate:
            return _validate(options.validate)
        return _simulate(options.config, options.job_id, options.root)
    except Stopped:
        log.warning("Stopped by SIGTERM")
        return EXIT_STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="opeva_simulator", description="Simulate an energy community with CityLearn.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, help="the experiment config (YAML)")
    what.add_argument("--validate", type=Path, metavar="DATASET_DIR", help="load and step a dataset, print a verdict")
    parser.add_argument("--job_id", "--job-id", help="id of the job, whose folder takes the output")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("OPEVA_DATA_ROOT", config.CONTAINER_ROOT)),
        help="the shared root (default: OPEVA_DATA_ROOT, else /data)",
    )
    return parser


# CityLearn takes seconds to import, hence the imports inside: a config that asks for the impossible is told at once.


def _validate(folder: Path) -> int:
    from opeva_simulator.validate import validate

    with contextlib.redirect_stdout(sys.stderr):
        verdict = validate(folder)
    print(json.dumps(dataclasses.asdict(verdict)))
    return 0 if verdict.ok else EXIT_FAILED


def _simulate(path: Path, job_id: str | None, root: Path) -> int:
    logs.to_stdout()
    if not job_id or job_id in {".", ".."} or "/" in job_id:
        log.error("--job_id must name the job: %r can't be a folder's name", job_id)
        return EXIT_USAGE
    folder = JobFolder(root / "jobs" / job_id)
    try:
        # Before the config is read, so that what is wrong with it is in the job's log too.
        logs.to_file(folder.log(job_id))
        experiment = config.load(path, root)
        logs.set_level(experiment.log_level)
        agents.require_known(experiment.algorithm)
        from opeva_simulator.run import run

        run(experiment, folder, job_id)
    except ConfigError as error:
        log.error("%s", error)
        return EXIT_USAGE
    except DatasetError as error:
        log.error("%s", error)
        return EXIT_FAILED
    except Exception:
        log.exception("The simulation failed")
        return EXIT_FAILED
    log.info("Finished")
    return 0
