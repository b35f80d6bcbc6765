"""Makes the spec of an attempt (`workers.jobs.spec.Spec`) from the job's record."""

from workers.common import names
from workers.common.options import Options
from workers.jobs.mlflow_env import mlflow_environment
from workers.jobs.records import JobRecord
from workers.jobs.spec import Mode, Spec


def attempt_spec(record: JobRecord, mode: Mode, options: Options, cluster_id: str) -> Spec:
    """The spec by which a runner runs a record's attempt, or adopts it."""
    words = {"config": f"/data/jobs/{record.job_id}/config.yaml", "job_id": record.job_id}
    return {
        "mode": mode,
        "job_id": record.job_id,
        "attempt": record.attempt,
        "job_name": record.job_name,
        "cluster_id": cluster_id,
        "image": record.image,
        "command": [_filled(word, words) for word in options.command_for(record.image)],
        "env": {
            **mlflow_environment(record, options),
            **options.container_env,
            "OPEVA_JOB_NAME": record.job_name,
            **record.env,
        },
        "cpus": record.cpus,
        "gpus": record.gpus,
        "memory": record.memory,
        "timeout_s": record.timeout_s,
        "stop_grace_s": record.stop_grace_s,
        "shared_root": options.shared_root,
        "host_root": options.host_shared_root,
        "writable": list(options.writable_paths),
        "open_root": options.open_root,
        "network": options.container_network,
        "user": options.container_user,
        # The settings allow no other word.
        "pull": options.pull_policy,
        "pull_timeout_s": options.pull_timeout_s,
        "start_timeout_s": options.start_timeout_s,
        "docker_timeout_s": options.docker_timeout_s,
        "kill_deadline_s": options.kill_deadline_s,
        "claim_timeout_s": options.claim_timeout_s,
        "supervisor": {"name": names.SUPERVISOR_NAME, "namespace": names.NAMESPACE},
    }


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word
