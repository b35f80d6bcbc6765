"""What a submission asks for: read from the request's body, checked, and completed by the defaults of the options.

`parse` changes nothing. Admission (`workers.supervision.admission`) keeps the text under `save_as`, if that is given.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from workers.common import names
from workers.common.errors import ErrorCode, InvalidInput
from workers.common.layout import Layout
from workers.common.options import Options
from workers.jobs import strict_yaml
from workers.jobs.experiment_configs import ConfigStore

#: Where a container sees the shared root.
CONTAINER_ROOT: Final = PurePosixPath("/data")

MAX_TEXT: Final = 200
#: One variable's value, in characters.
MAX_ENV_VALUE: Final = 32_768
#: Variables with this prefix are the product's own.
RESERVED_ENV: Final = "OPEVA_"
#: Docker refuses less.
MIN_MEMORY: Final = 6 << 20
MAX_MEMORY: Final = 1 << 50
#: Docker counts CPUs in hundredths where it enforces them.
MIN_CPUS: Final = 0.01
MAX_COUNT: Final = 4096
MAX_TIMEOUT_S: Final = 10 * 365 * 86_400.0
MAX_GRACE_S: Final = 86_400.0

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._\-/:]*(?:@sha256:[0-9a-f]{64})?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:ib?|b)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")

#: Keys whose text is a path to a dataset, whatever it looks like.
_PATH_KEYS: Final = {"dataset_path", "dataset_dir", "schema_path"}
#: Keys whose text is a path to a dataset or a name that CityLearn knows: a path if it has a slash or ends in .json.
_PATH_OR_NAME_KEYS: Final = {"dataset", "dataset_schema", "schema"}
#: As `_PATH_KEYS`, within a mapping called `dataset`.
_KEYS_OF_DATASET: Final = {"path", "dir", "root"}
#: Folders of the root that a container doesn't see (its own job folder apart, which holds no dataset).
_MASKED: Final = {".opeva", "jobs"}


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A checked submission. Times in seconds, memory in bytes; None is 'not asked for'."""

    #: The snapshot: the config's text exactly as it will run.
    config_text: str
    #: The config's file name under `configs/`: where it comes from, or the name it is to be saved as.
    config_path: str | None
    #: The name under which to keep the text, if that was asked for.
    save_as: str | None
    job_name: str
    experiment_name: str
    run_name: str
    image: str
    cpus: float
    gpus: int
    memory: int | None
    timeout_s: float | None
    stop_grace_s: float
    env: dict[str, str] = field(default_factory=dict)
    #: A host's name or address, `local`, or a tag; to be resolved against the live hosts.
    target_host: str | None = None
    submitted_by: str | None = None
    idempotency_key: str | None = None
    #: See `body_hash`; None for a job that is requeued and whose own request is not known any more.
    body_hash: str | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From plain data; keys of another version are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


def parse(body: dict[str, Any], configs: ConfigStore, layout: Layout, options: Options) -> JobRequest:
    """The submission in a request's body; keys that mean nothing are ignored, null and blank texts count as absent.

    Raises:
        InvalidInput: a field is malformed, neither or both of `config` and `config_path` are given, the image is not
            allowed, or the config names a dataset by a relative path or one under /data that isn't there.
        NotFound: there is no config `config_path`.
        TooLarge, Unprocessable: the config is refused (see `strict_yaml.loads`).
    """
    path = _text(body, "config_path")
    save_as = _text(body, "save_as")
    save_as = None if save_as is None else names.config_file_name(save_as)
    text, content, path = _config(body.get("config"), path, configs)
    where = path or "config"
    _check_datasets(content, where, layout)
    experiment_name, run_name = _experiment_names(content)
    target_host = _text(body, "target_host")
    resources = _object(body, "resources")
    return JobRequest(
        config_text=text,
        config_path=path or save_as,
        save_as=save_as,
        job_name=_text(body, "job_name") or _job_name(experiment_name, run_name, path or save_as),
        experiment_name=experiment_name,
        run_name=run_name,
        image=_image(body, options),
        cpus=_cpus(resources, options),
        gpus=_gpus(resources, options),
        memory=_memory(resources, options),
        timeout_s=_timeout(body, options),
        stop_grace_s=_grace(body, options),
        env=_env(body, options),
        target_host=None if target_host is None else names.host_name(target_host),
        submitted_by=_text(body, "submitted_by"),
        idempotency_key=_text(body, "idempotency_key"),
        body_hash=body_hash(body),
    )


def body_hash(body: dict[str, Any]) -> str:
    """What tells two bodies apart that bear the same idempotency key, as hexadecimal digits; the key plays no part."""
    rest = {key: value for key, value in body.items() if key != "idempotency_key"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _config(content: Any, path: str | None, configs: ConfigStore) -> tuple[str, dict[str, Any], str | None]:
    """The config's text, the view of it, and its file name if it has one."""
    if (content is None) == (path is None):
        raise InvalidInput("Give either `config` (an object) or `config_path` (the name of an experiment config)")
    if path is not None:
        path = names.config_file_name(path)
        text = configs.read_text(path)
        return text, strict_yaml.loads(text, path, configs.max_bytes), path
    if not isinstance(content, dict):
        raise InvalidInput("`config` must be an object")
    text = strict_yaml.dumps(content)
    return text, strict_yaml.loads(text, "config", configs.max_bytes), None


def _experiment_names(content: dict[str, Any]) -> tuple[str, str]:
    """The experiment's and the run's name, from `metadata` or, in older configs, from `experiment`."""
    newer, older = content.get("metadata"), content.get("experiment")
    newer = newer if isinstance(newer, dict) else {}
    older = older if isinstance(older, dict) else {}
    experiment = _name(newer.get("experiment_name")) or _name(older.get("name"))
    return experiment, _name(newer.get("run_name")) or _name(older.get("run_name"))


def _name(value: Any) -> str:
    """A value of a config as a name that can be shown on one line; empty if it is none."""
    if value is None or isinstance(value, dict | list):
        return ""
    return _CONTROL.sub(" ", str(value)).strip()[:MAX_TEXT]


def _job_name(experiment: str, run: str, path: str | None) -> str:
    if experiment and run:
        return f"{experiment}-{run}"[:MAX_TEXT]
    return experiment or run or (Path(path).stem if path else "simulation")


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"`{key}` must be a text")
    value = value.strip()
    if len(value) > MAX_TEXT:
        raise InvalidInput(f"`{key}` is longer than {MAX_TEXT} characters")
    if _CONTROL.search(value):
        raise InvalidInput(f"`{key}` holds a control character or a lone surrogate")
    return value or None


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"`{key}` must be an object")
    return value


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        # NaN fails the comparison too.
        raise InvalidInput(f"`{what}` must be a number from {low:g} to {high:g}")
    return float(value)


def _image(body: dict[str, Any], options: Options) -> str:
    image = _text(body, "image")
    if image is None:
        return options.image
    if not _IMAGE.fullmatch(image):
        raise InvalidInput(f"`image` {image!r} is not the name of a Docker image, such as opeva-simulator:latest")
    if options.allowed_images and not image.startswith(options.allowed_images):
        allowed = ", ".join(options.allowed_images)
        raise InvalidInput(f"`image` {image!r} may not run here; allowed are images that begin with {allowed}")
    return image


def _cpus(resources: dict[str, Any], options: Options) -> float:
    value = resources.get("cpus")
    return options.default_cpus if value is None else _number(value, "resources.cpus", MIN_CPUS, MAX_COUNT)


def _gpus(resources: dict[str, Any], options: Options) -> int:
    value = resources.get("gpus")
    if value is None:
        return options.default_gpus
    number = _number(value, "resources.gpus", 0, MAX_COUNT)
    if number != int(number):
        raise InvalidInput("`resources.gpus` must be a whole number")
    return int(number)


def _memory(resources: dict[str, Any], options: Options) -> int | None:
    """Bytes; texts are read as Docker reads them, where a kilobyte has 1,024 bytes however it is written."""
    value = resources.get("memory")
    if value is None or (isinstance(value, str) and not value.strip()):
        return options.default_memory
    if isinstance(value, str):
        match = _MEMORY.fullmatch(value.strip())
        size = float(match.group(1)) * _UNITS[match.group(2).lower()] if match else math.nan
    else:
        size = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else value
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        raise InvalidInput("`resources.memory` must be bytes or a text such as '512m' or '2GiB', and at least 6 MiB")
    return int(size)


def _timeout(body: dict[str, Any], options: Options) -> float | None:
    value = body.get("timeout_s")
    if value is None:
        return options.default_timeout_s
    seconds = _number(value, "timeout_s", 0, MAX_TIMEOUT_S)
    if seconds == 0:
        raise InvalidInput("`timeout_s` must be more than 0 seconds")
    return seconds


def _grace(body: dict[str, Any], options: Options) -> float:
    value = body.get("stop_grace_s")
    return options.default_stop_grace_s if value is None else _number(value, "stop_grace_s", 0, MAX_GRACE_S)


def _env(body: dict[str, Any], options: Options) -> dict[str, str]:
    variables = _object(body, "env")
    if len(variables) > options.max_env:
        raise InvalidInput(f"`env` has more than {options.max_env} variables")
    for name, value in variables.items():
        if not _ENV_NAME.fullmatch(name) or len(name) > MAX_TEXT:
            raise InvalidInput(f"`env` has the variable {name!a}; names are letters, digits and '_'")
        if name.upper().startswith(RESERVED_ENV):
            raise InvalidInput(f"`env` sets {name}, but variables that begin with {RESERVED_ENV} are reserved")
        if not isinstance(value, str):
            raise InvalidInput(f"`env.{name}` must be a text")
        if len(value) > MAX_ENV_VALUE or "\0" in value or re.search("[\ud800-\udfff]", value):
            raise InvalidInput(f"`env.{name}` is over {MAX_ENV_VALUE} characters, or holds NUL or a lone surrogate")
    return dict(variables)


def _check_datasets(content: dict[str, Any], where: str, layout: Layout) -> None:
    """Refuse a config whose dataset the container would not find.

    Absolute paths outside /data lie in the image and are left alone, as are addresses (`s3://…`).
    """
    for name, value in _dataset_paths(content, ""):
        field_name = f"`{name}` of {where}"
        path = PurePosixPath(value)
        if not path.is_absolute():
            raise InvalidInput(
                f"{field_name} is the relative path {value!r}; give it as the container sees it, "
                f"such as {CONTAINER_ROOT}/datasets/<name>/schema.json",
                ErrorCode.DATASET_PATH_RELATIVE,
            )
        # `//data` is kept apart by POSIX and is the same to Linux.
        path = PurePosixPath("/", *path.parts[1:])
        if not path.is_relative_to(CONTAINER_ROOT):
            continue
        inner = path.relative_to(CONTAINER_ROOT)
        if ".." in inner.parts:
            raise InvalidInput(
                f"{field_name} is {value!r}, and '..' is not allowed there", ErrorCode.DATASET_PATH_INVALID
            )
        if (inner.parts and inner.parts[0] in _MASKED) or not _exists(layout.root, inner):
            raise InvalidInput(f"{field_name} is {value!r}, which does not exist", ErrorCode.DATASET_NOT_FOUND)


def _exists(root: Path, inner: PurePosixPath) -> bool:
    """Whether the path leads to something below the root; a link that leaves the root leads nowhere in a container."""
    try:
        found = (root / inner).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        # Not there, a loop of links, or a name that no file can have.
        return False
    return found.is_relative_to(root.resolve())


def _dataset_paths(value: Any, name: str, parent: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a config that name a dataset by a path, each with its full name."""
    if isinstance(value, dict):
        for inner, entry in value.items():
            yield from _dataset_paths(entry, f"{name}.{inner}" if name else inner, key, inner.lower())
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _dataset_paths(entry, f"{name}[{index}]", parent, key)
    elif isinstance(value, str) and value.strip() and "://" not in value and _is_path(value, parent, key):
        yield name, value


def _is_path(value: str, parent: str, key: str) -> bool:
    if key in _PATH_KEYS or (parent == "dataset" and key in _KEYS_OF_DATASET):
        return True
    return key in _PATH_OR_NAME_KEYS and ("/" in value or "\\" in value or value.lower().endswith(".json"))
