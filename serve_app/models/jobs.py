"""Jobs in requests and answers. Times are epoch seconds (UTC), durations seconds, memory bytes."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.models.common import Body, Message
from workers.jobs.records import Reason, State

_JOB_ID = "8f14e45f-ceea-4672-8f3b-0b6c0e1d2f3a"


class Resources(Body):
    """What a job needs of its host."""

    cpus: float | None = Field(None, description="CPU cores; fractions are allowed.", examples=[1])
    gpus: int | None = Field(None, description="Whole GPUs.", examples=[0])
    memory: int | str | None = Field(
        None, description="Memory limit: bytes, or a text such as '512m' or '2GiB'.", examples=["2g"]
    )


class RunSimulation(Body):
    """A simulation to run: with `config` or with `config_path`, not both."""

    config: dict[str, Any] | None = Field(None, description="The experiment config as an object.")
    config_path: str | None = Field(
        None, description="The name of an experiment config: `x.yaml` or `configs/x.yaml`.", examples=["demo.yaml"]
    )
    save_as: str | None = Field(None, description="Keep `config` under this name too.", examples=["mine.yaml"])
    target_host: str | None = Field(
        None, description="A host's name or address, `local` for the head, or a tag such as `gpu_node`; any if absent."
    )
    job_name: str | None = Field(None, description="What to call the job; made from the config if absent.")
    image: str | None = Field(None, description="The Docker image; the installation's default if absent.")
    resources: Resources | None = Field(None, description="What the job needs of its host.")
    timeout_s: float | None = Field(None, description="Longest run from the container's start, in seconds.")
    stop_grace_s: float | None = Field(None, description="Seconds between TERM and KILL when it is stopped.")
    env: dict[str, str] | None = Field(None, description="Variables of the container.", examples=[{"SEED": "1"}])
    idempotency_key: str | None = Field(
        None, description="The same key with the same body gives the same job, however often it is sent."
    )
    submitted_by: str | None = Field(None, description="Who submits; the token's holder if absent.")


class Submitted(BaseModel):
    """A job that was taken on."""

    job_id: str = Field(examples=[_JOB_ID])
    status: State
    host: str | None = Field(description="The host that it was given to; null while it waits.")
    job_name: str
    container_id: str | None = Field(description="Null until it runs.")
    config_path: str | None = Field(description="The name of its experiment config, if it has one.")


class Requeued(Submitted):
    """A new job made from an ended one."""

    requeued_from: str = Field(description="The id of the job whose snapshot it runs.", examples=[_JOB_ID])


class Times(BaseModel):
    """When a job reached each stage: epoch seconds, null for those that it did not (yet) reach."""

    submitted_at: float
    launching_at: float | None
    started_at: float | None = Field(description="The start of its container.")
    finished_at: float | None = Field(description="The end of its container, or when it was given up.")


class JobChange(Times):
    """A job as it stands after a change."""

    job_id: str = Field(examples=[_JOB_ID])
    status: State
    reason: Reason | None = Field(description="Why, for programs.")
    detail: str | None = Field(description="Why, for people.")
    exit_code: int | None
    host: str | None = Field(description="The host that it was given to.")
    attempt: int = Field(description="Counts launches; a relaunch happens only before any container existed.")


class JobStatus(JobChange):
    """Where a job stands."""

    job_name: str
    target_host: str | None = Field(description="What the submission asked for.")
    container_id: str | None
    stop_requested_at: float | None
    queued_s: float = Field(description="Seconds that it waited, or waits, for a host.")
    running_s: float | None = Field(description="Seconds that its container ran, or runs.")
    queue_position: int | None = Field(description="Its place among those that wait, from 1.")


class JobInfo(BaseModel):
    """What a list shows of a job's request; texts that are not given are empty."""

    job_id: str
    job_name: str
    experiment_name: str
    run_name: str
    config_path: str
    image: str
    submitted_by: str
    target_host: str
    container_id: str
    container_name: str
    requeued_from: str
    cpus: float
    gpus: int
    memory: int | None = Field(description="Bytes.")


class JobRow(JobChange):
    """A job in the list of jobs."""

    job_info: JobInfo


class Waiting(BaseModel):
    """A job that waits for a host."""

    job_id: str = Field(examples=[_JOB_ID])
    job_name: str
    position: int = Field(description="From 1.")
    since: float = Field(description="When it was submitted, in epoch seconds.")
    status: State
    reason: Reason | None = Field(description="Why it waits, for programs.")
    detail: str | None = Field(description="Why it waits, for people.")
    target_host: str | None
    submitted_by: str | None
    attempt: int
    cpus: float
    gpus: int
    memory: int | None = Field(description="Bytes.")


class JobRecordView(BaseModel):
    """A job's whole record, with what its container tells of its MLflow run."""

    model_config = ConfigDict(extra="allow")

    job_id: str = Field(examples=[_JOB_ID])
    status: State
    job_name: str
    image: str
    submitted_at: float


class Stopped(Message):
    """A job whose end was asked for."""

    job_id: str = Field(examples=[_JOB_ID])
    status: State


class Deleted(Message):
    """A job that is no more."""

    job_id: str = Field(examples=[_JOB_ID])
