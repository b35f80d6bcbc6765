"""What the supervision of jobs depends on: plain data that travels to the supervisor."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from workers.common.setting import Form, Part, setting
from workers.common.shared_root import DEFAULT as DEFAULT_SHARED_ROOT
from workers.common.shared_root import default_shared_root


@dataclass(frozen=True)
class Options:
    """Every figure and name that the supervision of jobs depends on. Times in seconds, sizes in bytes."""

    # Storage
    shared_root: str = setting(
        Part.STORAGE,
        default_shared_root,
        "The shared folder as this system's processes see it; if not set and nothing is mounted there, "
        "`/data` where that is a mount. Under `make up` its default is `.run/shared`.",
        form=Form.ABSOLUTE_PATH,
        shown=DEFAULT_SHARED_ROOT,
    )
    host_shared_root: str = setting(
        Part.STORAGE,
        "",
        "The same folder as the hosts' Docker engines see it; the shared root if not set.",
        form=Form.ABSOLUTE_PATH,
    )
    storage_timeout_s: float = setting(
        Part.STORAGE, 20.0, "Reading or writing something small on the shared storage, in seconds.", above=0
    )

    # Containers
    image: str = setting(Part.CONTAINERS, "opeva-simulator:latest", "The image of jobs that name none.", at_least=1)
    allowed_images: tuple[str, ...] = setting(
        Part.CONTAINERS, (), "Prefixes of the images that may run; none means any."
    )
    #: The longest prefix wins; `{config}` and `{job_id}` are filled in.
    image_commands: dict[str, tuple[str, ...]] = setting(
        Part.CONTAINERS,
        dict,
        "Arguments of the container by prefix of the image, as JSON: "
        '{"calof/opeva_simulator:2025": ["--config", "{config}", "--job-id", "{job_id}"]}.',
        form=Form.WORDS,
    )
    default_command: tuple[str, ...] = setting(
        Part.CONTAINERS,
        ("--config", "{config}", "--job_id", "{job_id}"),
        "Arguments of images that `image_commands` does not name.",
        form=Form.WORDS,
    )
    container_env: dict[str, str] = setting(Part.CONTAINERS, dict, "Variables given to every container, as JSON.")
    container_network: str | None = setting(
        Part.CONTAINERS,
        "opeva_network",
        "The Docker network that containers join on hosts that have it; empty for none.",
    )
    container_user: str | None = setting(
        Part.CONTAINERS, None, "The user that containers run as; the image's own if not set."
    )
    #: Beside its own job folder.
    writable_paths: tuple[str, ...] = setting(
        Part.CONTAINERS,
        ("mlflow",),
        "Paths below the shared root that containers may write.",
        form=Form.PATH_BELOW_ROOT,
    )
    open_root: bool = setting(
        Part.CONTAINERS, False, "Give containers the whole shared folder to write to, for older images."
    )
    pull_policy: Literal["missing", "always", "never"] = setting(
        Part.CONTAINERS,
        "missing",
        "When a host fetches a job's image: `missing` (if it has none), `always` (for each job) or `never`.",
    )
    mlflow_tracking_uri: str | None = setting(
        Part.MLFLOW, "http://mlflow:5000", "The MLflow server as containers reach it; empty for none."
    )
    mlflow_ui_base_url: str | None = setting(
        Part.MLFLOW, None, "The MLflow server as browsers reach it; the tracking URI if not set."
    )

    # What a job gets unless it asks otherwise, and what it may bring
    default_cpus: float = setting(Part.JOBS, 1.0, "CPUs of a job.", at_least=0)
    default_gpus: int = setting(Part.JOBS, 0, "GPUs of a job.", at_least=0)
    default_memory: int | None = setting(Part.JOBS, None, "Memory limit of a job, in bytes.", above=0)
    default_timeout_s: float | None = setting(
        Part.JOBS, None, "Longest run of a job from its container's start, in seconds.", above=0
    )
    default_stop_grace_s: float = setting(Part.JOBS, 10.0, "Seconds between TERM and KILL.", at_least=0)
    max_config_bytes: int = setting(Part.JOBS, 4 << 20, "Largest experiment config, in bytes.", above=0)
    max_env: int = setting(Part.JOBS, 200, "Most variables that a job may set.", at_least=0)

    # Deadlines and periods of the supervision
    docker_timeout_s: float = setting(Part.HOSTS, 30.0, "One call to Docker, in seconds.", above=0)
    pull_timeout_s: float = setting(Part.HOSTS, 1800.0, "Fetching an image, in seconds.", above=0)
    start_timeout_s: float = setting(
        Part.HOSTS,
        120.0,
        "Creating and starting a job's container, in seconds, once the image is there and the supervisor said yes.",
        above=0,
    )
    kill_deadline_s: float = setting(Part.HOSTS, 20.0, "A KILL's confirmation, in seconds.", above=0)
    claim_timeout_s: float = setting(
        Part.HOSTS, 120.0, "How long a runner waits for the supervisor's yes, in seconds.", above=0
    )
    agent_timeout_s: float = setting(
        Part.HOSTS, 10.0, "A call to a host's agent, in seconds, beside what the agent does itself.", above=0
    )
    host_poll_s: float = setting(Part.HOSTS, 1.0, "Time between two looks at the hosts, in seconds.", above=0)
    host_silent_s: float = setting(Part.HOSTS, 10.0, "A host silent for so long is unreachable, in seconds.", above=0)
    host_lost_s: float = setting(
        Part.HOSTS, 86_400.0, "Jobs of a host unreachable for so long end as host_lost, in seconds.", above=0
    )
    adoption_wait_s: float = setting(
        Part.HOSTS, 5.0, "An adoption not placed within this time takes no CPU, in seconds.", above=0
    )
    stop_retry_s: float = setting(Part.HOSTS, 5.0, "First wait after a failed stop, in seconds.", above=0)
    stop_retry_max_s: float = setting(Part.HOSTS, 60.0, "Longest wait after a failed stop, in seconds.", above=0)

    # Sweeping and retention
    sweep_every_s: float = setting(Part.HOSTS, 60.0, "Time between two sweeps, in seconds.", above=0)
    sweep_grace_s: float = setting(
        Part.HOSTS, 120.0, "How long a container must be nobody's before it is swept, in seconds.", above=0
    )
    sweep_dry_run: bool = setting(Part.HOSTS, False, "Only log what a sweep would remove.")
    retention_days: float | None = setting(
        Part.JOBS, None, "Ended jobs are deleted after so many days; never if not set.", above=0
    )
    retention_jobs: int | None = setting(
        Part.JOBS, None, "Ended jobs beyond so many are deleted, oldest first; never if not set.", at_least=0
    )

    def __post_init__(self) -> None:
        if not self.host_shared_root:
            object.__setattr__(self, "host_shared_root", self.shared_root)

    @property
    def root(self) -> Path:
        """The shared folder."""
        return Path(self.shared_root)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From plain data; keys of another version are left out."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        for key in ("allowed_images", "default_command", "writable_paths"):
            if key in values:
                values[key] = tuple(values[key])
        if "image_commands" in values:
            values["image_commands"] = {k: tuple(v) for k, v in values["image_commands"].items()}
        return cls(**values)

    def command_for(self, image: str) -> tuple[str, ...]:
        """The argument template of an image."""
        prefixes = [prefix for prefix in self.image_commands if image.startswith(prefix)]
        return self.image_commands[max(prefixes, key=len)] if prefixes else self.default_command
