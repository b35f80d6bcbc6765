"""The `OPEVA_*` variables that are no settings of the application: scripts, compose files and containers read them.

They stand here for the table in docs/settings.md and so that the application does not take one for a misspelt setting.
A test compares them with what the tree reads.
"""

from dataclasses import dataclass
from typing import Final

from workers.common.setting import Part


@dataclass(frozen=True)
class Variable:
    """One variable, as the table shows it; `default` is Markdown, empty where there is none."""

    part: Part
    name: str
    default: str
    description: str


OTHERS: Final = (
    Variable(
        Part.STACK,
        "OPEVA_RUN_DIR",
        "`.run`",
        "The folder of the stack's own files: processes, logs, development database; `/var/lib/opeva/run` in the "
        "head's image.",
    ),
    Variable(
        Part.STACK,
        "OPEVA_PORT_BASE",
        "",
        "The first of 300 ports that this stack uses, so that stacks can live side by side; the usual ones if not set.",
    ),
    Variable(
        Part.STACK,
        "OPEVA_DASHBOARD_HOST",
        "`127.0.0.1`",
        "The address that Ray's dashboard, which lets anybody run code, listens on; in a container all of them unless "
        "it is on the host's network.",
    ),
    Variable(
        Part.STACK, "OPEVA_HOST_NAME", "the machine's name", "What this host is called; also read by the join script."
    ),
    Variable(
        Part.STACK,
        "OPEVA_NODE_IP",
        "found out",
        "The address that other machines reach this one by; also read by the join script.",
    ),
    Variable(Part.STACK, "OPEVA_NUM_CPUS", "all", "CPUs that jobs may use here; also read by the join script."),
    Variable(
        Part.STACK,
        "OPEVA_RUN_AS",
        "the shared folder's owner",
        "The user of the processes in the container of the head, `uid` or `uid:gid`.",
    ),
    Variable(Part.COMPOSE, "OPEVA_BACKEND_IMAGE", "`opeva-backend:latest`", "The image of the head."),
    Variable(Part.COMPOSE, "OPEVA_MLFLOW_IMAGE", "`ghcr.io/mlflow/mlflow:v3.17.2`", "The image of MLflow."),
    Variable(Part.COMPOSE, "OPEVA_MONGO_IMAGE", "`mongo:7`", "The image of MongoDB."),
    Variable(Part.COMPOSE, "OPEVA_WATCHTOWER_IMAGE", "`containrrr/watchtower:1.7.1`", "The image of Watchtower."),
    Variable(Part.COMPOSE, "OPEVA_API_PORT", "`8000`", "The machine's port of the API."),
    Variable(Part.COMPOSE, "OPEVA_DASHBOARD_PORT", "`8265`", "The machine's own port of Ray's dashboard."),
    Variable(Part.COMPOSE, "OPEVA_MLFLOW_PORT", "`5000`", "The machine's own port of MLflow."),
    Variable(
        Part.COMPOSE,
        "OPEVA_MLFLOW_HOSTS",
        "`mlflow:5000,localhost:*,127.0.0.1:*`",
        "The names that MLflow may be called by; it answers no others.",
    ),
    Variable(Part.COMPOSE, "OPEVA_SHM_SIZE", "`2gb`", "Shared memory of the head, for Ray's objects."),
    Variable(Part.JOIN, "OPEVA_HEAD_ADDRESS", "", "Ray's head, `HOST` or `HOST:PORT`: `--address`."),
    Variable(Part.JOIN, "OPEVA_HOST_TAGS", "", "Tags of this host, such as `gpu_node`, with commas between: `--tag`."),
    Variable(Part.JOIN, "OPEVA_NUM_GPUS", "all", "GPUs that jobs may use here: `--gpus`."),
    Variable(Part.JOIN, "OPEVA_NFS", "", "What to mount as the shared folder, `SERVER:/EXPORT`: `--nfs`."),
    Variable(
        Part.JOIN,
        "OPEVA_NFS_OPTIONS",
        "`rw,hard,noatime,lookupcache=positive,acregmax=3,acdirmax=3`",
        "How to mount it: `--nfs-options`.",
    ),
    Variable(Part.JOIN, "OPEVA_API_URL", "`http://HOST:8000`", "The head's API: `--api`."),
    Variable(Part.JOIN, "OPEVA_API_TOKEN", "", "The token for the API where it asks for one; also read by the demo."),
    Variable(Part.JOIN, "OPEVA_PYTHON", "`python3`", "The Python that has ray and docker: `--python`."),
    Variable(
        Part.JOIN,
        "OPEVA_WORKER_DIR",
        "`/var/lib/opeva-worker`",
        "Pid, log and settings of the worker: `--state-dir`; `/var/lib/opeva/worker` in the head's image.",
    ),
    Variable(Part.INSIDE, "OPEVA_JOB_NAME", "", "The job's name, set for each container."),
    Variable(
        Part.INSIDE,
        "OPEVA_DATA_ROOT",
        "`/data`",
        "Where the simulator finds the shared folder; set it to run one by hand.",
    ),
    Variable(Part.TESTS, "OPEVA_CI_DEADLINE_S", "`3600`", "Longest run of the tests by `.ci/run`, in seconds."),
)
