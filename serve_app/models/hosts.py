"""Hosts and health in answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class HostRow(BaseModel):
    """A host in the list of hosts."""

    name: str = Field(description="What `target_host` accepts.", examples=["head"])
    host: str = Field(description="Its address.", examples=["10.0.0.7"])
    online: bool
    docker: bool | None = Field(description="Its Docker engine answers; null while nobody has asked yet.")
    problem: str | None = Field(None, description="Why no job can run there now; null if one can.")
    resources: dict[str, Any] = Field(description="What it has: CPUs, GPUs, memory (bytes), tags.")
    used: dict[str, Any] = Field(description="What jobs hold of it.")
    running_jobs: int | list[str]
    gpu: Any = None
    node_id: str | None
    last_seen: float | None = Field(description="Epoch seconds.")


class HostView(BaseModel):
    """A host by its name."""

    model_config = ConfigDict(extra="allow")

    online: bool
    last_seen: float | None = Field(description="Epoch seconds.")
    docker: bool | None
    problem: str | None = Field(None, description="Why no job can run there now; null if one can.")
    resources: dict[str, Any]
    used: dict[str, Any]
    running: int = Field(description="How many jobs run there.")
    active_job_ids: list[str]
    info: dict[str, Any]


class Hosts(BaseModel):
    """The hosts of the cluster."""

    available_hosts: list[HostRow]
    hosts: dict[str, HostView]


class Check(BaseModel):
    """One check of a deep health report."""

    model_config = ConfigDict(extra="allow")

    status: str = Field(description="`ok`, `error`, or `not_configured`.")
    latency_ms: float | None = Field(None, description="How long the answer took, in milliseconds.")
    detail: str | None = Field(None, description="What is wrong.")


class Health(BaseModel):
    """Whether the service lives; the checks only in a deep report."""

    status: str = Field(description="`ok`, or `degraded` in a deep report where something is down.", examples=["ok"])
    supervisor: Check | None = None
    storage: Check | None = None
    mongo: Check | None = None
    hosts: dict[str, Check] | None = None
