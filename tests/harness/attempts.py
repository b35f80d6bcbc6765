"""Attempts of jobs for tests: their spec, and an installation of its own to run them in."""

import uuid
from pathlib import Path
from typing import Any, cast

from scripts.harness.images import BUSYBOX
from workers.jobs.spec import Place, Spec

#: Where runners of tests are, as Ray would say.
PLACE: Place = {"node_id": "node", "hostname": "host", "address": "192.0.2.1", "gpus": [], "node_gpus": 0}


def spec_of(root: Path, cluster_id: str, script: str, **changes: Any) -> Spec:
    """A spec that runs a shell script in the busybox image; `changes` replace its fields."""
    spec = {
        "mode": "launch",
        "job_id": str(uuid.uuid4()),
        "attempt": 1,
        "job_name": "test",
        "cluster_id": cluster_id,
        "image": BUSYBOX,
        "command": ["sh", "-c", script],
        "env": {},
        "cpus": 1.0,
        "gpus": 0,
        "memory": None,
        "timeout_s": None,
        "stop_grace_s": 1.0,
        "shared_root": str(root),
        "host_root": str(root),
        "writable": ["mlflow"],
        "open_root": False,
        "network": None,
        "pull": "missing",
        "pull_timeout_s": 60.0,
        "start_timeout_s": 60.0,
        "docker_timeout_s": 60.0,
        "kill_deadline_s": 60.0,
        "supervisor": {"name": "supervisor", "namespace": "test"},
        "claim_timeout_s": 60.0,
        "user": None,
    }
    return cast("Spec", {**spec, **changes})
