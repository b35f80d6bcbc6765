"""Health, documentation, and that what is documented is what is there."""

import asyncio
from pathlib import Path
from typing import Any

from serve_app.models.hosts import Health
from tests.harness.memory_client import HOST, Served
from workers.common.errors import Unavailable

#: The documented paths; every other spelling answers too and is not shown.
DOCUMENTED = {
    "GET /health", "GET /hosts", "POST /run-simulation", "GET /status/{job_id}", "GET /result/{job_id}",
    "GET /progress/{job_id}", "GET /logs/{job_id}", "GET /logs/file/{job_id}", "GET /logs/{job_id}/events",
    "POST /stop/{job_id}", "GET /jobs", "GET /jobs/events", "GET /queue", "GET /job-info/{job_id}",
    "POST /jobs/{job_id}/requeue", "DELETE /job/{job_id}", "POST /experiment-configs/create",
    "GET /experiment-configs", "GET /experiment-configs/{file_name}", "PUT /experiment-configs/{file_name}",
    "DELETE /experiment-configs/{file_name}", "GET /sites", "GET /real-time-data/{site}", "GET /historical-data/{site}",
    "POST /historical-data/{site}",
    "POST /schema/create", "PUT /schema/update/{site}", "GET /schema/{site}",
}  # fmt: skip


async def test_a_replica_that_lives_says_ok_whatever_else_is_down(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        here.jobs.fault = Unavailable("gone")
        answer = await here.http.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_deep_report_names_each_part_with_its_latency(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        answer = await here.http.get("/health?deep=true")
        assert answer.status_code == 200
        report = Health.model_validate(answer.json())
        assert report.status == "ok"
        for check in (report.supervisor, report.storage, report.mongo):
            assert check is not None
            assert check.latency_ms is not None
        assert report.mongo is not None
        assert report.mongo.status == "not_configured"
        assert answer.json()["hosts"]["head"]["docker"] is True
        assert list((tmp_path / ".opeva").iterdir()) == []


async def test_a_deep_report_is_503_and_says_what_is_down(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        by_name: dict[str, Any] = here.jobs.answer_hosts["hosts"]
        by_name["w1"] = {**HOST, "docker": False, "docker_error": "connection refused"}
        by_name["w2"] = {**HOST, "online": False}
        answer = await here.http.get("/health?deep=true")
        assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
        hosts = answer.json()["hosts"]
        assert hosts["head"]["status"] == "ok"
        assert hosts["w1"]["detail"] == "Docker is unavailable on the host w1: connection refused"
        assert "w2" in hosts["w2"]["detail"]


async def test_a_part_that_fails_or_does_not_answer_holds_up_no_other(tmp_path: Path) -> None:
    async with Served(tmp_path / "absent", health_timeout_s=0.2) as here:

        async def never() -> Any:
            await asyncio.sleep(600)

        async def fails() -> Any:
            raise ZeroDivisionError

        here.jobs.health = fails  # type: ignore[method-assign]
        answer = await here.http.get("/health?deep=true")
        assert "ZeroDivisionError" in answer.json()["supervisor"]["detail"]
        here.jobs.health = never  # type: ignore[method-assign]
        answer = await here.http.get("/health?deep=true")
        assert answer.status_code == 503
        report = answer.json()
        assert "did not answer within 0.2 s" in report["supervisor"]["detail"]
        assert report["storage"]["status"] == "error"
        assert str(tmp_path / "absent") in report["storage"]["detail"]
        assert report["hosts"]["head"]["status"] == "ok"


async def test_the_documentation_shows_the_documented_paths_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        schema = (await here.http.get("/openapi.json")).json()
        shown = {f"{method.upper()} {path}": op for path, ops in schema["paths"].items() for method, op in ops.items()}
        assert set(shown) >= DOCUMENTED
        for name, operation in shown.items():
            assert operation.get("description"), name
            if name.startswith(("POST /run", "POST /experiment", "PUT")):
                assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
        page = (await here.http.get("/docs")).text
        assert "http://" not in page
        assert "https://" not in page
        for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
            assert f"docs/assets/{asset}" in page
            assert (await here.http.get(f"/docs/assets/{asset}")).status_code == 200
