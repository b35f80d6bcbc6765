"""The variables by which a container knows of MLflow: those that MLflow's own client reads."""

import json

from workers.common.options import Options
from workers.jobs.records import JobRecord


def mlflow_environment(record: JobRecord, options: Options) -> dict[str, str]:
    """Where to report to, under which experiment and run name, and the tags that lead from a run to its job.

    Empty if the installation has no MLflow. `MLFLOW_RUN_CONTEXT` is the client's variable for tags that every run gets.
    """
    if not options.mlflow_tracking_uri:
        return {}
    tags = {
        "opeva.job_id": record.job_id,
        "opeva.job_name": record.job_name,
        "mlflow.runName": record.run_name or record.job_name,
    }
    variables = {"MLFLOW_TRACKING_URI": options.mlflow_tracking_uri, "MLFLOW_RUN_CONTEXT": json.dumps(tags)}
    if record.experiment_name:
        variables["MLFLOW_EXPERIMENT_NAME"] = record.experiment_name
    if options.mlflow_ui_base_url:
        variables["MLFLOW_UI_BASE_URL"] = options.mlflow_ui_base_url
    return variables
