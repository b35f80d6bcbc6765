"""What the settings give to the jobs' side: plain data that travels to the supervisor."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Options:
    """Every figure and name that the supervision of jobs depends on. Times in seconds, sizes in bytes."""

    #: The shared folder as processes of this system see it.
    shared_root: str
    #: The same folder as the hosts' Docker engines see it.
    host_shared_root: str
    #: The image of jobs that name none.
    default_image: str = "opeva-simulator:latest"
    #: Prefixes of the images that may run; none means any.
    allowed_images: tuple[str, ...] = ()
    #: The containers' arguments by prefix of the image, the longest wins; `{config}` and `{job_id}` are filled in.
    image_commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: The arguments for images with no entry in `image_commands`.
    default_command: tuple[str, ...] = ("--config", "{config}", "--job_id", "{job_id}")
    #: Variables given to every container.
    container_env: dict[str, str] = field(default_factory=dict)
    #: Network that containers join where the engine has it.
    container_network: str | None = "opeva_network"
    container_user: str | None = None
    #: The MLflow server as containers reach it, and as people's browsers do (as containers do, if not set).
    mlflow_tracking_uri: str | None = "http://mlflow:5000"
    mlflow_ui_base_url: str | None = None
    #: Paths below the root that a container may write, beside its own job folder.
    writable_paths: tuple[str, ...] = ("mlflow",)
    #: Give containers the whole root to write to, for images that need it.
    open_root: bool = False
    #: When to pull an image: `missing`, `always` or `never`.
    pull_policy: str = "missing"
    default_cpus: float = 1.0
    default_gpus: int = 0
    default_memory: int | None = None
    default_timeout_s: float | None = None
    default_stop_grace_s: float = 10.0
    max_config_bytes: int = 4 << 20
    max_env: int = 200

    #: Deadline of one small read or write on the shared storage.
    storage_timeout_s: float = 20.0
    #: Deadlines of Docker: one call, a pull, the way from placement to a started container, a KILL's confirmation.
    docker_timeout_s: float = 30.0
    pull_timeout_s: float = 1800.0
    start_timeout_s: float = 120.0
    kill_deadline_s: float = 20.0
    #: How long a runner waits for the supervisor's yes.
    claim_timeout_s: float = 120.0
    #: How long a call to a host's agent may take beside what it does itself.
    agent_timeout_s: float = 10.0
    #: How often hosts are looked at.
    host_poll_s: float = 1.0
    #: A host not heard of for so long is unreachable, and its jobs are unknown.
    host_silent_s: float = 10.0
    #: A job whose host stayed unreachable for so long ends as host_lost.
    host_lost_s: float = 86_400.0
    #: An adoption not placed within this time takes no CPU.
    adoption_wait_s: float = 5.0
    #: How long a stop that failed waits before the next try, at first and at most.
    stop_retry_s: float = 5.0
    stop_retry_max_s: float = 60.0

    #: The sweeper: how often, how long a thing must be nobody's first, and whether it only says what it would do.
    sweep_every_s: float = 60.0
    sweep_grace_s: float = 120.0
    sweep_dry_run: bool = False
    #: Ended jobs are deleted after so many days, and beyond so many jobs; not at all by default.
    retention_days: float | None = None
    retention_jobs: int | None = None

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
