"""Runs one-second containers as jobs of the Ray Jobs API: the alternative that `benchmarks.jobs` measures.

python -m benchmarks.ray_jobs DASHBOARD_URL COUNT shell|driver

With `shell` a job is nothing but `docker run`: Ray knows its end and its output. With `driver` it is a Ray driver that
runs the container (`benchmarks/ray_job.py`), as a job is that uses anything of the cluster.
"""

import sys
import time
from pathlib import Path
from typing import Final

from ray.job_submission import JobStatus, JobSubmissionClient

from scripts.harness.images import BUSYBOX
from workers.common.clock import Deadline

_COMMANDS: Final = {
    "shell": f"docker run --rm {BUSYBOX} sleep 1",
    "driver": f"{sys.executable} {Path(__file__).with_name('ray_job.py')} {BUSYBOX} sleep 1",
}
_DEADLINE_S: Final = 500.0


def main() -> None:
    """Submit all jobs at once, each with one CPU, and wait for their ends."""
    client = JobSubmissionClient(sys.argv[1])
    ids = [client.submit_job(entrypoint=_COMMANDS[sys.argv[3]], entrypoint_num_cpus=1) for _ in range(int(sys.argv[2]))]
    deadline = Deadline(_DEADLINE_S)
    while not all(client.get_job_status(job).is_terminal() for job in ids):
        if deadline.passed():
            raise TimeoutError(f"The Ray Jobs API did not end them within {_DEADLINE_S:g} s")
        time.sleep(0.2)
    failed = [job for job in ids if client.get_job_status(job) is not JobStatus.SUCCEEDED]
    if failed:
        raise RuntimeError(f"Ray jobs failed: {client.get_job_info(failed[0])}")


if __name__ == "__main__":
    main()
