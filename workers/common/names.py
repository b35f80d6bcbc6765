"""Names: the one place where names that people send are checked, and where names that others rely on are made."""

import re
import uuid
from typing import Final

from workers.common.errors import ErrorCode, InvalidInput

#: The Ray namespace of the supervisor and the host agents.
NAMESPACE: Final = "opeva"
SUPERVISOR_NAME: Final = "job-supervisor"

#: Which installation a container belongs to (the content of `.opeva/cluster_id`).
LABEL_CLUSTER: Final = "opeva.cluster"
#: Which shared root the container uses, as its engine sees that folder.
LABEL_ROOT: Final = "opeva.root"
LABEL_JOB: Final = "opeva.job"
LABEL_ATTEMPT: Final = "opeva.attempt"
LABEL_JOB_NAME: Final = "opeva.job_name"
#: The GPU device ids that the container holds, comma-separated.
LABEL_GPUS: Final = "opeva.gpus"

#: Prefix of the resource that gives a Ray node its name among hosts: `host:<name>`.
RESOURCE_HOST_PREFIX: Final = "host:"

MAX_NAME: Final = 120

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ \-]*")
_SITE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]*")
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
_RESERVED_DATASETS = {"upload", "download", "dates-available"}
_RESERVED_SITES = {"status", "preview", "cancel"}
_SYSTEM_DATABASES = {"admin", "local", "config"}
_YAML = (".yaml", ".yml")


def _plain(text: object, what: str) -> str:
    """`text` as a name that is safe as one path component on any system; `what` names it in the error."""
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"{what} must be a non-empty text", ErrorCode.INVALID_NAME)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise InvalidInput(f"{what} is longer than {MAX_NAME} bytes", ErrorCode.INVALID_NAME)
    if not _SAFE.fullmatch(text) or ".." in text or text.endswith((".", " ")):
        raise InvalidInput(
            f"{what} {text!r} may hold only letters, digits, '.', '_', '-' and spaces, starting with a letter or digit",
            ErrorCode.INVALID_NAME,
        )
    if text.split(".")[0].lower() in _DEVICE_NAMES:
        raise InvalidInput(f"{what} {text!r} is a device name on some systems", ErrorCode.INVALID_NAME)
    return text


def config_file_name(text: object) -> str:
    """The file name of an experiment config: `x.yaml`; `configs/x.yaml` means the same."""
    if isinstance(text, str):
        text = text.removeprefix("configs/")
    name = _plain(text, "The config's file name")
    if not name.lower().endswith(_YAML):
        raise InvalidInput(f"The config's file name {name!r} must end in .yaml or .yml", ErrorCode.INVALID_NAME)
    return name


def dataset_name(text: object) -> str:
    """The name of a dataset, which is also its folder's."""
    name = _plain(text, "The dataset's name")
    if name in _RESERVED_DATASETS:
        raise InvalidInput(f"The dataset name {name!r} is reserved", ErrorCode.RESERVED_NAME)
    return name


def site_name(text: object) -> str:
    """The name of a site, which is also its database's; MongoDB's own databases are never sites."""
    if not isinstance(text, str) or len(text) > 63 or not _SITE.fullmatch(text):
        raise InvalidInput(
            f"The site's name {text!r} may hold only letters, digits, '_' and '-', and at most 63 of them",
            ErrorCode.INVALID_NAME,
        )
    if text.lower() in _DEVICE_NAMES:
        raise InvalidInput(f"The site's name {text!r} is a device name on some systems", ErrorCode.INVALID_NAME)
    if text.lower() in _SYSTEM_DATABASES:
        raise InvalidInput(f"{text!r} is a database of MongoDB itself, not a site", ErrorCode.RESERVED_NAME)
    if text in _RESERVED_SITES:
        raise InvalidInput(f"The site name {text!r} is reserved", ErrorCode.RESERVED_NAME)
    return text


def host_name(text: object) -> str:
    """A host's name, its address, `local`, or a tag."""
    if not isinstance(text, str) or len(text) > 253 or not _HOST.fullmatch(text):
        raise InvalidInput(
            f"The host {text!r} must be a host's name or address, 'local', or a tag such as 'gpu_node'",
            ErrorCode.INVALID_NAME,
        )
    return text


def new_job_id() -> str:
    """A fresh job id: a full random UUID, so that no two ever share a folder or a prefix by accident."""
    return str(uuid.uuid4())


def job_id(text: object) -> str:
    """A job id as it was handed out."""
    if isinstance(text, str) and len(text) == 36:
        try:
            if str(uuid.UUID(text)) == text:
                return text
        except ValueError:
            pass
    raise InvalidInput(
        f"{text!r} is not a job id; ids look like 8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a", ErrorCode.INVALID_JOB_ID
    )


def container_name(job: str, attempt: int) -> str:
    """A container's name, made of the job's id alone: what people call a job goes into a label."""
    return f"opeva-{job}-{attempt}"


def normal_root(path: str) -> str:
    """A shared root as its label has it: one spelling for one path."""
    return "/" + "/".join(part for part in path.split("/") if part)


def agent_name(node_id: str) -> str:
    """The Ray name of the host agent on a node."""
    return f"host-agent-{node_id}"


def runner_name(job_name: str, job: str) -> str:
    """How a job's runner is listed in the Ray dashboard."""
    return f"simulation {job_name} [{job}]"
