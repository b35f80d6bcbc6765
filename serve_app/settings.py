"""The settings: `OPEVA_*` variables and the `args` of serve_config.yaml, validated once, at start.

Values come, in this order, from the `args` of the application in serve_config.yaml (the names below), from the
environment (`OPEVA_` and the name in capitals), and from the defaults. Lists are comma-separated or JSON, maps are
JSON. Replicas are given the validated values as plain data: the environment of their processes plays no part.
"""

import difflib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers.common.options import Options
from workers.common.shared_root import DEFAULT as DEFAULT_SHARED_ROOT
from workers.common.shared_root import default_shared_root
from workers.datasets.builds.options import DatasetOptions, default_readers
from workers.sites.options import SitesOptions

logger = logging.getLogger(__name__)

PREFIX = "OPEVA_"
#: Variables of the scripts that bring the system up, which Ray's processes inherit.
_OF_SCRIPTS = {
    f"{PREFIX}{name}"
    for name in ("DASHBOARD_HOST", "HOST_NAME", "NODE_IP", "NUM_CPUS", "PORT_BASE", "RUN_AS", "RUN_DIR", "WORKER_DIR")
}


def _text_list(value: object) -> object:
    """A comma-separated or JSON text as a list; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _text_map(value: object) -> object:
    """A JSON text as a map; anything else as it is."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.strip() else {}


def _words(value: object) -> object:
    """An argument list: a JSON list, or words separated by spaces."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return value.split()
    return _text_list(value)


def _blank_is_none(value: object) -> object:
    """An empty variable means that the value is not set."""
    return None if isinstance(value, str) and not value.strip() else value


def _absolute(path: str) -> str:
    if not Path(path).is_absolute():
        raise ValueError("it must be an absolute path")
    return path.rstrip("/") or "/"


def _below_root(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("it must be a path below the shared root")
    return path.strip("/")


TextList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_text_list)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
TextMap = Annotated[dict[str, str], NoDecode, BeforeValidator(_text_map)]
CommandMap = Annotated[dict[str, Words], NoDecode, BeforeValidator(_text_map)]
PathList = Annotated[tuple[Annotated[str, AfterValidator(_below_root)], ...], NoDecode, BeforeValidator(_text_list)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
OptionalText = Annotated[str | None, BeforeValidator(_blank_is_none)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OptionalSeconds = Annotated[Seconds | None, BeforeValidator(_blank_is_none)]
Bytes = Annotated[int, Field(gt=0)]
OptionalBytes = Annotated[Bytes | None, BeforeValidator(_blank_is_none)]


class Settings(BaseSettings):
    """Everything that an installation may decide. Each field is `OPEVA_<FIELD>` in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True)

    # Storage
    shared_root: AbsolutePath = Field(
        DEFAULT_SHARED_ROOT,
        description="The shared folder as this system's processes see it; if not set and nothing is mounted there, "
        "`/data` where that is a mount.",
    )
    host_shared_root: Annotated[AbsolutePath | None, BeforeValidator(_blank_is_none)] = Field(
        None, description="The same folder as the hosts' Docker engines see it; the shared root if not set."
    )

    storage_timeout_s: Seconds = Field(
        20.0, description="Reading or writing something small on the shared storage, in seconds."
    )

    # Containers
    image: str = Field(Options.default_image, min_length=1, description="The image of jobs that name none.")
    allowed_images: TextList = Field(
        Options.allowed_images, description="Prefixes of the images that may run; none means any."
    )
    image_commands: CommandMap = Field(
        {},
        description="Arguments of the container by prefix of the image, as JSON: "
        '{"calof/opeva_simulator:2025": ["--config", "{config}", "--job-id", "{job_id}"]}.',
    )
    default_command: Words = Field(
        Options.default_command, description="Arguments of images that `image_commands` does not name."
    )
    container_env: TextMap = Field({}, description="Variables given to every container, as JSON.")
    container_network: OptionalText = Field(
        Options.container_network, description="The Docker network that containers join on hosts that have it."
    )
    container_user: OptionalText = Field(
        Options.container_user, description="The user that containers run as; the image's own if not set."
    )
    writable_paths: PathList = Field(
        Options.writable_paths, description="Paths below the shared root that containers may write."
    )
    open_root: bool = Field(
        Options.open_root, description="Give containers the whole shared folder to write to, for older images."
    )
    mlflow_tracking_uri: OptionalText = Field(
        Options.mlflow_tracking_uri, description="The MLflow server as containers reach it; empty for none."
    )
    mlflow_ui_base_url: OptionalText = Field(
        Options.mlflow_ui_base_url, description="The MLflow server as browsers reach it; the tracking URI if not set."
    )
    pull_policy: Literal["missing", "always", "never"] = Field("missing", description="When a host fetches an image.")

    # What a job gets unless it asks otherwise
    default_cpus: float = Field(Options.default_cpus, ge=0, allow_inf_nan=False, description="CPUs of a job.")
    default_gpus: int = Field(Options.default_gpus, ge=0, description="GPUs of a job.")
    default_memory: OptionalBytes = Field(Options.default_memory, description="Memory limit of a job, in bytes.")
    default_timeout_s: OptionalSeconds = Field(
        Options.default_timeout_s, description="Longest run of a job from its container's start, in seconds."
    )
    default_stop_grace_s: float = Field(
        Options.default_stop_grace_s, ge=0, allow_inf_nan=False, description="Seconds between TERM and KILL."
    )
    max_config_bytes: Bytes = Field(Options.max_config_bytes, description="Largest experiment config, in bytes.")
    max_env: int = Field(Options.max_env, ge=0, description="Most variables that a job may set.")

    # Deadlines and periods of the supervision
    docker_timeout_s: Seconds = Field(Options.docker_timeout_s, description="One call to Docker, in seconds.")
    pull_timeout_s: Seconds = Field(Options.pull_timeout_s, description="Fetching an image, in seconds.")
    start_timeout_s: Seconds = Field(
        Options.start_timeout_s, description="From a job's placement to its started container, in seconds."
    )
    kill_deadline_s: Seconds = Field(Options.kill_deadline_s, description="A KILL's confirmation, in seconds.")
    claim_timeout_s: Seconds = Field(
        Options.claim_timeout_s, description="How long a runner waits for the supervisor's yes, in seconds."
    )
    agent_timeout_s: Seconds = Field(Options.agent_timeout_s, description="A call to a host's agent, in seconds.")
    host_poll_s: Seconds = Field(Options.host_poll_s, description="Time between two looks at the hosts, in seconds.")
    host_silent_s: Seconds = Field(
        Options.host_silent_s, description="A host silent for so long is unreachable, in seconds."
    )
    host_lost_s: Seconds = Field(
        Options.host_lost_s, description="Jobs of a host unreachable for so long end as host_lost, in seconds."
    )
    adoption_wait_s: Seconds = Field(
        Options.adoption_wait_s, description="An adoption not placed within this time takes no CPU, in seconds."
    )
    stop_retry_s: Seconds = Field(Options.stop_retry_s, description="First wait after a failed stop, in seconds.")
    stop_retry_max_s: Seconds = Field(
        Options.stop_retry_max_s, description="Longest wait after a failed stop, in seconds."
    )

    # Sweeping and retention
    sweep_every_s: Seconds = Field(Options.sweep_every_s, description="Time between two sweeps, in seconds.")
    sweep_grace_s: Seconds = Field(
        Options.sweep_grace_s, description="How long a container must be nobody's before it is swept, in seconds."
    )
    sweep_dry_run: bool = Field(Options.sweep_dry_run, description="Only log what a sweep would remove.")
    retention_days: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(_blank_is_none)
    ] = Field(Options.retention_days, description="Ended jobs are deleted after so many days; never if not set.")
    retention_jobs: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_blank_is_none)] = Field(
        Options.retention_jobs, description="Ended jobs beyond so many are deleted, oldest first; never if not set."
    )

    # HTTP
    cors_origins: TextList = Field(("*",), description="Origins whose pages may call the API; `*` means any.")
    max_body_bytes: Bytes = Field(32 << 20, description="Largest request body, in bytes; uploads apart.")
    max_follows: int = Field(
        200, ge=1, description="Most streams that follow a log or the jobs, per replica; then 503."
    )
    heartbeat_s: Seconds = Field(15.0, description="Time between two heartbeats of an event stream, in seconds.")
    health_timeout_s: Seconds = Field(5.0, description="Deadline of each check of a deep health report, in seconds.")
    auth: bool = Field(False, description="Ask for a bearer token of the tokens file.")
    tokens_file: Annotated[AbsolutePath | None, BeforeValidator(_blank_is_none)] = Field(
        None, description="Lines `name:token` or `name:token:read`; `.opeva/tokens` below the root if not set."
    )

    # Sites
    mongo_uri: Annotated[SecretStr | None, BeforeValidator(_blank_is_none)] = Field(
        None, description="Where the sites' MongoDB is; routes of sites answer 503 if not set."
    )
    mongo_timeout_s: Seconds = Field(
        SitesOptions.timeout_s, description="Choosing a server, connecting, and each short command, in seconds."
    )
    mongo_read_timeout_s: Seconds = Field(
        SitesOptions.read_timeout_s, description="One answer of MongoDB to a read of documents, in seconds."
    )
    site_stall_timeout_s: Seconds = Field(
        SitesOptions.stall_timeout_s, description="How long a stream waits for a client that takes nothing, in seconds."
    )
    site_max_streams: int = Field(
        SitesOptions.max_streams, ge=1, description="Most streams of documents at once; then 503."
    )

    # Datasets
    dataset_upload_bytes: Bytes = Field(2 << 30, description="Largest uploaded archive of a dataset, in bytes.")
    dataset_unpacked_bytes: Bytes = Field(8 << 30, description="Largest dataset once unpacked, in bytes.")
    dataset_files: int = Field(10_000, ge=1, description="Most files in an uploaded dataset.")
    dataset_build_timeout_s: Seconds = Field(
        DatasetOptions.build_timeout_s, description="Longest build of a dataset, in seconds."
    )
    dataset_readers: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_blank_is_none)] = Field(
        None, description="Tasks of one build at once; half of the head's cores if not set."
    )
    dataset_builds: int = Field(DatasetOptions.builds, ge=1, description="Builds at once; others wait.")

    @model_validator(mode="before")
    @classmethod
    def _with_root(cls, given: dict[str, Any]) -> dict[str, Any]:
        return given if given.get("shared_root") else {**given, "shared_root": default_shared_root()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stop_retry_max_s < self.stop_retry_s:
            raise ValueError("stop_retry_max_s must not be under stop_retry_s")
        if self.allowed_images and not self.image.startswith(self.allowed_images):
            raise ValueError(f"image {self.image!r} is not among allowed_images")
        return self

    @classmethod
    def load(cls, args: Mapping[str, Any] | None = None) -> Self:
        """The settings from `args` and the environment.

        Raises:
            ValueError: a value is not acceptable, or an argument unknown; the message names each and shows no value.
        """
        given = dict(args or {})
        unknown = sorted(set(given) - set(cls.model_fields))
        if unknown:
            raise ValueError(f"serve_config.yaml: no setting is called {', '.join(unknown)}{_hint(unknown[0])}")
        for name in sorted(os.environ):
            field = name.removeprefix(PREFIX).lower()
            if name.startswith(PREFIX) and field not in cls.model_fields and name not in _OF_SCRIPTS:
                logger.warning("The variable %s is not a setting and is ignored%s", name, _hint(field, PREFIX))
        try:
            return cls(**given)
        except ValidationError as error:
            problems = (
                f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper() or '*'}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False, include_context=False)
            )
            # The cause would show the values, secrets among them.
            raise ValueError(f"The settings are not acceptable: {'; '.join(problems)}") from None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for another process, the secrets in clear."""
        data = self.model_dump()
        data["mongo_uri"] = None if self.mongo_uri is None else self.mongo_uri.get_secret_value()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From `to_dict`; the environment of this process plays no part, since every field is given."""
        return cls(**data)

    @property
    def tokens_path(self) -> Path:
        """The file of bearer tokens."""
        return Path(self.tokens_file or f"{self.shared_root}/.opeva/tokens")

    def jobs_options(self) -> Options:
        """What the jobs' side needs of it."""
        data = self.model_dump()
        data["default_image"] = self.image
        data["host_shared_root"] = self.host_shared_root or self.shared_root
        return Options.from_dict(data)

    def sites_options(self) -> SitesOptions:
        """What the reading of sites needs of it."""
        return SitesOptions(
            mongo_uri=None if self.mongo_uri is None else self.mongo_uri.get_secret_value(),
            timeout_s=self.mongo_timeout_s,
            read_timeout_s=self.mongo_read_timeout_s,
            stall_timeout_s=self.site_stall_timeout_s,
            max_streams=self.site_max_streams,
        )

    def dataset_options(self) -> DatasetOptions:
        """What the building and keeping of datasets needs of it."""
        return DatasetOptions(
            shared_root=self.shared_root,
            sites=self.sites_options(),
            readers=self.dataset_readers or default_readers(),
            builds=self.dataset_builds,
            build_timeout_s=self.dataset_build_timeout_s,
        )


def _hint(name: str, prefix: str = "") -> str:
    """The setting that `name` may have been meant for, as an end of a sentence."""
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    if not close:
        return ""
    return f" (did you mean {prefix}{close[0].upper() if prefix else close[0]}?)"
