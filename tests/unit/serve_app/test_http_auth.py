"""Bearer tokens: who gets in where, and nobody where the tokens can't be read."""

from pathlib import Path

from tests.harness.memory_client import Served

TOKENS = "# who may\nana:full\nrui:look:read\nbroken line\n"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_without_the_setting_nobody_is_asked(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        assert (await here.http.get("/jobs")).status_code == 200


async def test_tokens_open_what_they_may(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    async with Served(tmp_path, auth=True, tokens_file=str(tmp_path / "tokens")) as here:
        for headers in ({}, _bearer("wrong"), {"Authorization": "Bearer"}, {"Authorization": "Basic full"}):
            answer = await here.http.get("/jobs", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        for token in ("full", "look"):
            assert (await here.http.get("/jobs", headers=_bearer(token))).status_code == 200
            assert (await here.http.get("/health?deep=true", headers=_bearer(token))).status_code == 200
        body = {"file_name": "x.yaml", "config": {}}
        refused = await here.http.post("/config/create", json=body, headers=_bearer("look"))
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert not here.layout.config("x.yaml").exists()
        assert (await here.http.post("/config/create", json=body, headers=_bearer("full"))).status_code == 200
        reading = await here.http.post("/simulation-data/index", json={"job_id": "x"}, headers=_bearer("look"))
        assert reading.status_code == 400
        history = await here.http.post("/historical-data/admin", json={"minutes": 5}, headers=_bearer("look"))
        assert (history.status_code, history.json()["code"]) == (400, "reserved_name")


async def test_health_and_documentation_are_open_and_a_deep_report_is_not(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    async with Served(tmp_path, auth=True, tokens_file=str(tmp_path / "tokens")) as here:
        for path in ("/", "/health", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json"):
            assert (await here.http.get(path)).status_code == 200, path
        assert (await here.http.get("/health?deep=true")).status_code == 401
        asks = {"Origin": "http://a", "Access-Control-Request-Method": "GET"}
        assert (await here.http.options("/jobs", headers=asks)).status_code == 200


async def test_a_changed_file_counts_at_once_and_without_a_file_nobody_gets_in(tmp_path: Path) -> None:
    tokens = tmp_path / ".opeva" / "tokens"
    tokens.parent.mkdir()
    tokens.write_text("ana:old\n")
    async with Served(tmp_path, auth=True) as here:
        assert (await here.http.get("/jobs", headers=_bearer("old"))).status_code == 200
        tokens.write_text("ana:another\n")
        assert (await here.http.get("/jobs", headers=_bearer("old"))).status_code == 401
        assert (await here.http.get("/jobs", headers=_bearer("another"))).status_code == 200
        tokens.unlink()
        answer = await here.http.get("/jobs", headers=_bearer("another"))
        assert (answer.status_code, answer.json()["code"]) == (503, "tokens_unavailable")
