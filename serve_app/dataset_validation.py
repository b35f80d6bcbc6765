"""Whether the simulator steps a dataset to its end: asked of it as a job like any other."""

from typing import Any, Final

from serve_app.services import Services
from workers.common.clock import Deadline
from workers.common.errors import OpevaError
from workers.datasets.kept.store import DatasetStore
from workers.jobs import request
from workers.jobs.records import JobRecord, State

#: How long one wait for news of jobs lasts.
_NEWS_S: Final = 5.0


async def validate(services: Services, name: str) -> dict[str, Any]:
    """Run the dataset in the simulator's image without control, and keep the outcome in its manifest.

    The outcome has `status` (passed, failed, or unknown where the job did not end in time or could not be submitted),
    `job_id`, `image` and a `detail`.
    """
    outcome = await _outcome(services, name)
    store = DatasetStore(services.layout)
    await services.on_storage(store.add_to_manifest, name, {"validation": outcome})
    return outcome


async def _outcome(services: Services, name: str) -> dict[str, Any]:
    body = {
        "job_name": f"validation of {name}",
        "config": {
            "metadata": {"experiment_name": "dataset validation", "run_name": name},
            "simulator": {"dataset_name": name, "dataset_path": f"/data/datasets/{name}/schema.json", "episodes": 1},
            "algorithm": {"name": "none"},
        },
    }
    try:
        wanted = await services.on_storage(request.parse, body, services.configs, services.layout, services.options)
        record = await _ended(services, await services.jobs.submit(wanted))
    except OpevaError as error:
        return {"status": "unknown", "job_id": None, "image": None, "detail": error.detail}
    if not record.state.terminal:
        status, detail = "unknown", "The job has not ended in time"
    elif record.state is State.FINISHED:
        status, detail = "passed", "The simulator stepped the dataset to its end"
    else:
        status, detail = "failed", record.detail or f"The job ended as {record.state}"
    return {"status": status, "job_id": record.job_id, "image": wanted.image, "detail": detail}


async def _ended(services: Services, record: JobRecord) -> JobRecord:
    deadline = Deadline(services.settings.datasets.dataset_build_timeout_s)
    while not record.state.terminal and not deadline.passed():
        number = services.jobs.number
        await services.jobs.wait_change(number, _NEWS_S)
        record = await services.jobs.get(record.job_id)
    return record
