"""What people see in Ray's dashboard: its real pages in a real browser."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

from scripts.harness import jobs
from scripts.harness.api import Api, eventually
from scripts.stack import Stack
from scripts.stack.plan import PROJECT, authorization
from workers.common import names

pytestmark = pytest.mark.usefixtures("busybox_image")

#: The pages ask Ray for everything again and again; a busy machine answers late.
_PATIENCE_MS = 120_000


@pytest.fixture(autouse=True)
def _idle_afterwards(api: Api) -> Iterator[None]:
    yield
    jobs.stop_all(api)


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a browser that shows the token where Ray asks for one."""
    subprocess.run([PROJECT / "scripts" / "apt.sh", "chromium"], check=True, timeout=900)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=_PATIENCE_MS,
        )
        try:
            page = browser.new_page(extra_http_headers=authorization())
            page.set_default_timeout(_PATIENCE_MS)
            yield page
        finally:
            browser.close()


def ray_job_of(stack: Stack, task: str) -> str:
    """The id of the Ray job that a task with this name belongs to."""
    query = {"filter_keys": "name", "filter_predicates": "=", "filter_values": task, "limit": "10"}

    def look() -> list[dict[str, Any]]:
        url = f"{stack.dashboard_url}/api/v0/tasks"
        answer = requests.get(url, params=query, headers=authorization(), timeout=60)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]["result"] if answer.ok else []
        return found

    return str(eventually(look, what=f"the task {task!r}")[0]["job_id"])


def test_each_job_is_a_readable_row_with_its_state_the_queued_ones_too(api: Api, stack: Stack, page: Page) -> None:
    everything: dict[str, Any] = {"resources": {"cpus": 2}, "target_host": "local"}
    running = jobs.submit(api, jobs.SLEEP, job_name="night tariff", **everything)
    jobs.wait_for(api, running, "running")
    queued = jobs.submit(api, job_name="Édifício 1/ß", **everything)
    rows = {
        names.runner_name("night tariff", running): "RUNNING",
        names.runner_name("Édifício 1/ß", queued): "PENDING_NODE_ASSIGNMENT",
    }
    ray_job = ray_job_of(stack, next(iter(rows)))

    page.goto(f"{stack.dashboard_url}/#/jobs")
    page.get_by_label("Job ID", exact=True).first.fill(ray_job)
    entry = page.get_by_role("row").filter(has_text=ray_job)
    expect(entry).to_contain_text("simulations", timeout=_PATIENCE_MS)
    entry.get_by_role("link", name=ray_job).click()
    page.get_by_text("Task Table").click()
    for name, state in rows.items():
        page.get_by_role("combobox", name="Name", exact=True).fill(name)
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text(state, timeout=_PATIENCE_MS)
