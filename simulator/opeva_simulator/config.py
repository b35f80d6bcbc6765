"""The experiment config, in both families that are in use.

The older family names the run under `experiment: {name, run_name, logging}`, the newer one under
`metadata: {experiment_name, run_name}`. The other sections are the same in both:

    simulator:  dataset_path or dataset_name; episodes; central_agent; simulation_start_time_step,
                simulation_end_time_step, episode_time_steps; export: {mode: end | none}
    training:   seed; episodes (where the simulator section has none)
    algorithm:  name (or class); hyperparameters
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from opeva_simulator.errors import ConfigError

#: Where containers see the shared root; configs name paths under it.
CONTAINER_ROOT: Final = PurePosixPath("/data")
_LOG_LEVELS: Final = {"DEBUG", "INFO", "WARNING", "ERROR"}
_EXPORT_MODES: Final = {"end", "none"}


@dataclass(frozen=True)
class Experiment:
    """What one config asks for. Steps are rows of the dataset, counted from 0; None leaves them to its schema."""

    name: str
    run_name: str
    dataset: Path
    algorithm: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    episodes: int = 1
    seed: int | None = None
    central_agent: bool | None = None
    start_step: int | None = None
    end_step: int | None = None
    episode_steps: int | None = None
    export: bool = True
    log_level: str = "INFO"


def load(path: Path, root: Path) -> Experiment:
    """Read the config at `path`; paths in it that begin with /data are looked up under `root`.

    Raises ConfigError, naming the field, for a config that can't be read or understood.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The config {path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"The config {path} must be a mapping with 'metadata' (or 'experiment') and 'simulator'")
    return parse(content, root)


def parse(content: dict[str, Any], root: Path) -> Experiment:
    """The experiment that `content`, a config's mapping, describes."""
    older, newer = _section(content, "experiment"), _section(content, "metadata")
    simulator, training = _section(content, "simulator"), _section(content, "training")
    algorithm = _section(content, "algorithm")
    logging = _section(older, "logging", "experiment.") or _section(content, "tracking")
    name = newer.get("experiment_name") or older.get("name")
    if not name:
        raise ConfigError("The config names no experiment: set metadata.experiment_name (or experiment.name)")
    episodes = _integer(simulator, "episodes", "simulator.", 1) or _integer(training, "episodes", "training.", 1) or 1
    log_level = str(logging.get("log_level") or "INFO").upper()
    if log_level not in _LOG_LEVELS:
        raise ConfigError(f"log_level {log_level!r} is unknown: choose one of {', '.join(sorted(_LOG_LEVELS))}")
    mode = str(_section(simulator, "export", "simulator.").get("mode") or "end")
    if mode not in _EXPORT_MODES:
        raise ConfigError(
            f"simulator.export.mode {mode!r} is unknown: choose one of {', '.join(sorted(_EXPORT_MODES))}"
        )
    return Experiment(
        name=str(name),
        run_name=str(newer.get("run_name") or older.get("run_name") or name),
        dataset=_dataset(simulator, root),
        algorithm=str(algorithm.get("name") or algorithm.get("class") or "none").lower(),
        hyperparameters=_section(algorithm, "hyperparameters", "algorithm."),
        episodes=episodes,
        seed=_integer(training, "seed", "training.", 0),
        central_agent=_boolean(simulator, "central_agent", "simulator."),
        start_step=_integer(simulator, "simulation_start_time_step", "simulator.", 0),
        end_step=_integer(simulator, "simulation_end_time_step", "simulator.", 1),
        episode_steps=_integer(simulator, "episode_time_steps", "simulator.", 2),
        export=mode == "end",
        log_level=log_level,
    )


def _dataset(simulator: dict[str, Any], root: Path) -> Path:
    """The dataset's folder: given as a path (of the folder or its schema.json), or by name under /data/datasets."""
    given = simulator.get("dataset_path")
    if not given:
        name = simulator.get("dataset_name")
        if not name:
            raise ConfigError("The config names no dataset: set simulator.dataset_path (or simulator.dataset_name)")
        return root / "datasets" / str(name)
    path = PurePosixPath(str(given))
    if not path.is_absolute():
        raise ConfigError(
            f"simulator.dataset_path {given!r} must be absolute, such as /data/datasets/<name>/schema.json"
        )
    if path.suffix == ".json":
        if path.name != "schema.json":
            raise ConfigError(f"simulator.dataset_path {given!r} must end in schema.json or be the dataset's folder")
        path = path.parent
    return root / path.relative_to(CONTAINER_ROOT) if path.is_relative_to(CONTAINER_ROOT) else Path(path)


def _section(content: dict[str, Any], key: str, prefix: str = "") -> dict[str, Any]:
    section = content.get(key)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise ConfigError(f"{prefix}{key} must be a mapping, not {section!r}")
    return section


def _integer(section: dict[str, Any], key: str, prefix: str, least: int) -> int | None:
    value = section.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{prefix}{key} must be a whole number of at least {least}, not {value!r}")
    return value


def _boolean(section: dict[str, Any], key: str, prefix: str) -> bool | None:
    value = section.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{prefix}{key} must be true or false, not {value!r}")
    return value
