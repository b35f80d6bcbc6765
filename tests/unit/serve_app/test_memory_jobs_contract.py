"""The jobs in memory, on which the tests of HTTP stand, keep what the real client promises."""

from pathlib import Path

import pytest

from tests.contracts.jobs_client import JobsContract
from tests.harness.memory_client import MemoryJobs
from workers.common.layout import Layout


class TestMemoryJobs(JobsContract):
    """The contract of `serve_app.services.Jobs`, on the fake."""

    @pytest.fixture
    def layout(self, tmp_path: Path) -> Layout:
        return Layout(tmp_path)

    @pytest.fixture
    def jobs(self, layout: Layout) -> MemoryJobs:
        return MemoryJobs(layout)
