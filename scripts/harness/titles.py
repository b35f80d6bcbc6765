"""What the processes of the system are called in the process table."""

from typing import Final

SUPERVISOR: Final = "ray::JobSupervisor"
RUNNER: Final = "ray::simulation"
AGENT: Final = "ray::HostAgentOnRay"
REPLICA: Final = "ray::ServeReplica:opeva:api"
DATASETS: Final = "ray::ServeReplica:opeva:datasets"
