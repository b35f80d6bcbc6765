"""Errors, limits and methods: one shape for all of them, and nothing that is not JSON."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serve_app.errors import STATUS, status_of
from serve_app.http import to_json
from tests.harness.memory_client import Served
from workers.common import errors, names

ID = names.new_job_id()


def _problem(answer: object) -> dict[str, str]:
    body = answer.json()  # type: ignore[attr-defined]
    assert set(body) == {"detail", "code"}
    assert isinstance(body["detail"], str)
    assert isinstance(body["code"], str)
    return dict(body)


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
async def test_a_domain_error_has_its_status_its_code_and_its_sentence(
    tmp_path: Path, kind: type[errors.OpevaError], status: int
) -> None:
    async with Served(tmp_path) as here:
        here.jobs.fault = kind("Something is so", "a_code")
        answer = await here.http.get(f"/status/{ID}")
        assert answer.status_code == status
        assert _problem(answer) == {"detail": "Something is so", "code": "a_code"}
        assert ("retry-after" in answer.headers) == (status == 503)


def test_every_domain_error_has_a_status() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OpevaError)}
    assert kinds == set(STATUS)


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_a_special_kind_of_error_has_the_status_of_the_general_one(kind: type[errors.OpevaError], status: int) -> None:
    special = type("Special", (kind,), {})
    assert status_of(special("It is so")) == status


async def test_an_error_that_nobody_foresaw_is_a_500_in_the_same_shape_which_browsers_may_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Served(tmp_path) as here:
        here.jobs.fault = ZeroDivisionError("a secret detail")
        answer = await here.http.get(f"/status/{ID}", headers={"Origin": "http://elsewhere"})
        assert answer.status_code == 500
        problem = _problem(answer)
        assert problem["code"] == "internal_error"
        assert "secret" not in problem["detail"]
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "ZeroDivisionError" in caplog.text
        here.jobs.fault = None
        assert (await here.http.get("/jobs")).status_code == 200


async def test_what_a_request_gets_wrong_is_named(tmp_path: Path) -> None:
    cases = [
        ("GET", "/nowhere", 404, "/nowhere"),
        ("DELETE", "/jobs", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/run-simulation", 405, "POST"),
        ("GET", "/jobs?limit=0", 422, "limit"),
        ("GET", "/jobs?limit=many", 422, "limit"),
        ("GET", "/jobs?status=running,burning", 400, "burning"),
        ("GET", "/jobs?cursor=nonsense", 400, "cursor"),
        ("GET", "/health?deep=perhaps", 422, "deep"),
        ("GET", f"/logs/{ID}?tail=-1", 422, "tail"),
        ("GET", f"/logs-chunk/{ID}?offset=-1", 422, "offset"),
    ]
    async with Served(tmp_path) as here:
        for method, path, status, says in cases:
            answer = await here.http.request(method, path)
            assert answer.status_code == status, path
            assert says in _problem(answer)["detail"], path


async def test_a_body_that_is_no_json_object_is_422(tmp_path: Path) -> None:
    bodies = [b"", b"{", b"[]", b'"text"', b'{"config": NaN}', b"\xff\xfe", b"[" * 100_000]
    async with Served(tmp_path) as here:
        for path in ("/run-simulation", "/experiment-configs/create", "/simulation-data/index"):
            for body in bodies:
                answer = await here.http.post(path, content=body)
                assert answer.status_code == 422, (path, body[:20])
                assert "JSON" in _problem(answer)["detail"]


async def test_a_missing_or_mistyped_field_of_a_body_is_named(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        answer = await here.http.post("/experiment-configs/create", json={"config": "text"})
        assert answer.status_code == 422
        assert "file_name" in _problem(answer)["detail"]
        assert "config" in _problem(answer)["detail"]


async def test_a_malformed_job_id_is_400_on_every_route(tmp_path: Path) -> None:
    malformed = [
        "..", "%2e%2e", ".", "%00", "a%00", "a%0Ab", "..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd", "%F0%9F%98%80", "%ff",
    ]  # fmt: skip
    routes = [
        ("GET", "/status/{}"), ("GET", "/result/{}"), ("GET", "/progress/{}"), ("GET", "/logs/{}"),
        ("GET", "/logs/file/{}"), ("GET", "/file-logs/{}"), ("GET", "/logs-chunk/{}"), ("GET", "/job-info/{}"),
        ("GET", "/job-resolved-config/{}"), ("POST", "/stop/{}"), ("DELETE", "/job/{}"),
    ]  # fmt: skip
    async with Served(tmp_path) as here:
        for name in malformed:
            for method, route in routes:
                # As bytes, since the client would resolve the dots before it asks.
                status, body = await _raw(here.port, method, route.format(name))
                assert status == 400, (route, name)
                assert json.loads(body)["code"] == "invalid_job_id"


async def _raw(port: int, method: str, target: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_a_body_over_the_limit_is_413_announced_or_not(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with Served(tmp_path, max_body_bytes=1000) as here:
        for path in ("/run-simulation", "/experiment-configs/create"):
            for content in (b"x" * 1001, pieces()):
                answer = await here.http.post(path, content=content)
                assert answer.status_code == 413
                assert "1000 bytes" in _problem(answer)["detail"]
                assert _problem(answer)["code"] == "too_large"
        answer = await here.http.post("/run-simulation", content=b"x" * 1000)
        assert answer.status_code == 422


async def test_head_answers_as_get_without_a_body_and_ends_though_the_get_would_go_on(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        record = here.jobs.add()
        paths = ["/health", "/jobs", "/docs", f"/status/{record.job_id}", f"/logs/{record.job_id}/events"]
        for path in (*paths, f"/logs/{record.job_id}?follow=true", "/jobs/events"):
            answer = await here.http.head(path)
            assert answer.status_code == 200, path
            assert answer.content == b""
        assert (await here.http.head(f"/status/{ID}")).status_code == 404
        assert (await here.http.head("/run-simulation")).status_code == 405
        assert here.services.seats.taken == 0


async def test_options_names_the_methods_and_browsers_of_other_origins_are_let_in_as_set(tmp_path: Path) -> None:
    asks = {"Origin": "http://a", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-y"}
    async with Served(tmp_path, cors_origins="http://a") as here:
        plain = await here.http.options("/experiment-configs/x.yaml")
        assert plain.status_code == 200
        assert plain.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
        allowed = await here.http.options("/experiment-configs/x.yaml", headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "http://a"
        refused = await here.http.options("/experiment-configs/x.yaml", headers={**asks, "Origin": "http://b"})
        assert "access-control-allow-origin" not in refused.headers


async def test_answers_tell_how_long_the_replica_took(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        answer = await here.http.get("/health")
        name, _, duration = answer.headers["server-timing"].partition(";dur=")
        assert name == "app"
        assert float(duration) >= 0


def test_numbers_that_json_lacks_become_null_and_whatever_a_container_wrote_becomes_json() -> None:
    odd = {"a": math.nan, "b": [math.inf, -math.inf, 1e308], "c": 10**30, "d": "\ud800", 1: "x"}
    read = json.loads(to_json(odd))
    assert (read["a"], read["b"], read["c"], read["1"]) == (None, [None, None, 1e308], 10**30, "x")
    assert json.loads(to_json({"a": math.nan})) == {"a": None}
