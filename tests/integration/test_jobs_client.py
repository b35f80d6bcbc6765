"""The client of the job supervisor keeps the contract of `serve_app.services.Jobs`, on the session's stack."""

from collections.abc import AsyncIterator, Iterator

import pytest
import ray

from scripts.stack import Stack
from serve_app.settings import Settings
from tests.contracts.jobs_client import JobsContract
from workers.common.layout import Layout
from workers.common.options import Options
from workers.supervision.client import JobsClient


@pytest.fixture(scope="module")
def options(stack: Stack) -> Iterator[Options]:
    """What the stack's own supervisor was made with, so that it stays; this process is a driver of its cluster."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            if name.startswith("OPEVA_"):
                patch.setenv(name, value)
        options = Settings.load({}).jobs
    ray.init(address=stack.ray_address, log_to_driver=False)
    yield options
    ray.shutdown()


class TestRealJobs(JobsContract):
    """The contract, on the real client."""

    @pytest.fixture
    def layout(self, options: Options) -> Layout:
        return Layout(options.root)

    @pytest.fixture
    async def jobs(self, options: Options) -> AsyncIterator[JobsClient]:
        client = JobsClient(options)
        await client.start()
        yield client
        for record in await client.jobs():
            if record.experiment_name == "contract":
                await client.delete(record.job_id, force=True)
        await client.close()
