"""What a stack is made of: folders, ports and settings, worked out of the `OPEVA_*` variables or given by a test."""

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from scripts.stack.ports import Ports

PROJECT: Final = Path(__file__).resolve().parents[2]
#: The parts of a variable's name that say that its value is a secret. Secrets go into the environment of Ray's
#: processes and never into the Serve config, which the dashboard shows.
_SECRET: Final = ("URI", "TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL", "CONTAINER_ENV")
#: Read here; what the application needs of them is given to it by `application_environment`.
_OURS: Final = {
    "OPEVA_DASHBOARD_HOST",
    "OPEVA_HOST_NAME",
    "OPEVA_MONGO_URI",
    "OPEVA_NODE_IP",
    "OPEVA_NUM_CPUS",
    "OPEVA_PORT_BASE",
    "OPEVA_RUN_DIR",
    "OPEVA_SHARED_ROOT",
}


def own_address() -> str:
    """The address of the interface that leads out of this machine; without one, the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: connecting a datagram socket only chooses the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@dataclass(frozen=True)
class Plan:
    """One stack. `settings` are the `OPEVA_*` variables for the application, without the two that have fields here."""

    run_dir: Path
    shared_root: Path
    ports: Ports = field(default_factory=Ports)
    #: The address that other machines reach this one by.
    node_ip: str = field(default_factory=own_address)
    #: Who may open the dashboard, which lets anybody run code: by default only this machine.
    dashboard_host: str = "127.0.0.1"
    host_name: str = field(default_factory=socket.gethostname)
    num_cpus: int | None = None
    #: None: an embedded database in the run folder.
    mongo_uri: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    serve_config: Path = PROJECT / "serve_config.yaml"
    #: The stack ends when this process does; None: it stays until it is taken down.
    owner: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The plan that the `OPEVA_*` variables describe. Raises ValueError that names the variable."""
        run_dir = Path(environment.get("OPEVA_RUN_DIR") or PROJECT / ".run").resolve()
        root = Path(environment.get("OPEVA_SHARED_ROOT") or run_dir / "shared").resolve()
        return cls(
            run_dir=run_dir,
            shared_root=root,
            ports=Ports.of(_integer(environment, "OPEVA_PORT_BASE")),
            node_ip=environment.get("OPEVA_NODE_IP") or own_address(),
            dashboard_host=environment.get("OPEVA_DASHBOARD_HOST") or "127.0.0.1",
            host_name=environment.get("OPEVA_HOST_NAME") or socket.gethostname(),
            num_cpus=_integer(environment, "OPEVA_NUM_CPUS"),
            mongo_uri=environment.get("OPEVA_MONGO_URI") or None,
            settings={k: v for k, v in environment.items() if k.startswith("OPEVA_") and k not in _OURS},
        )

    def __post_init__(self) -> None:
        if self.ray_folder.is_relative_to(self.shared_root):
            raise ValueError(f"Ray's folder {self.ray_folder} would be on the shared storage {self.shared_root}")
        if self.mongo_uri is None and self.mongo_folder.is_relative_to(self.shared_root):
            raise ValueError(
                f"The development database {self.mongo_folder} would be on the shared storage {self.shared_root}"
            )

    @property
    def mark(self) -> str:
        """What tells this stack's processes from those of any other."""
        return hashlib.sha256(str(self.run_dir).encode()).hexdigest()[:10]

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def state_file(self) -> Path:
        return self.run_dir / "state.json"

    @property
    def mongo_folder(self) -> Path:
        return self.run_dir / "mongo"

    @property
    def ray_folder(self) -> Path:
        """Ray's sessions. Unix sockets lie deep below, and a socket's path has at most 107 bytes: hence so short."""
        return Path(tempfile.gettempdir()) / f"opeva-{self.mark}"

    def with_settings(self, **settings: str) -> Self:
        """The same plan with some settings of the application changed."""
        return replace(self, settings={**self.settings, **settings})

    def application_environment(self, mongo_uri: str) -> dict[str, str]:
        """All `OPEVA_*` variables for the application's processes."""
        return {
            **self.settings,
            "OPEVA_SHARED_ROOT": str(self.shared_root),
            "OPEVA_MONGO_URI": mongo_uri,
        }

    def environment(self, mongo_uri: str) -> dict[str, str]:
        """The environment of every process of this stack."""
        proxy = self.ray_folder / "proxy"
        tuning = {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            # Ray's memory monitor counts containers but can end only Ray's own workers.
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            # A replica that goes stays reachable for so long, seconds. The usual 30 are for balancers outside; the only
            # one here is Serve's own, which is told at once.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.ports.proxy_metrics),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(self.ports.proxy_stats),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports.fallback_http),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(self.ports.fallback_grpc),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(self.ports.replicas_http[0]),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(self.ports.replicas_http[1]),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(self.ports.replicas_grpc[0]),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(self.ports.replicas_grpc[1]),
        }
        outer = {name: value for name, value in os.environ.items() if not name.startswith("OPEVA_")}
        paths = [str(PROJECT), *filter(None, [outer.get("PYTHONPATH")])]
        return {
            **tuning,
            **authentication(outer),
            **outer,
            "PYTHONPATH": os.pathsep.join(paths),
            **self.application_environment(mongo_uri),
        }

    def public_settings(self, mongo_uri: str) -> dict[str, str]:
        """The application's variables that may be shown."""
        return {
            name: value
            for name, value in self.application_environment(mongo_uri).items()
            if not any(part in name for part in _SECRET)
        }

    def head_fingerprint(self, mongo_uri: str) -> str:
        """Changes when Ray itself must be restarted: its addresses, its size, the secrets, the packages."""
        public = self.public_settings(mongo_uri)
        secrets = {k: v for k, v in self.application_environment(mongo_uri).items() if k not in public}
        facts = [
            vars(self.ports),
            self.node_ip,
            self.dashboard_host,
            self.host_name,
            self.num_cpus,
            secrets,
            (PROJECT / "requirements.lock").read_text(),
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def authentication(environment: Mapping[str, str]) -> dict[str, str]:
    """What makes Ray's token authentication hold for every process, once the user has a token."""
    if "RAY_AUTH_MODE" not in environment and (Path.home() / ".ray" / "auth_token").exists():
        return {"RAY_AUTH_MODE": "token"}
    return {}


def ray_token() -> str:
    """Ray's token, empty if there is none."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    if token:
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() if path.is_file() else ""


def authorization() -> dict[str, str]:
    """The header that Ray's dashboard wants when token authentication is on."""
    token = ray_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _integer(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)
