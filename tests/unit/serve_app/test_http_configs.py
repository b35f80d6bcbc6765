"""Experiment configs over HTTP: every spelling of every route, names, and the text kept as it was given."""

from pathlib import Path

import pytest

from tests.harness.memory_client import Served

TEXT = "# mine\nmetadata:\n  experiment_name: e\n  lr: 1e-4\n"


@pytest.mark.parametrize("spelling", ["experiment-configs", "experiment-config", "config"])
async def test_every_spelling_does_the_same(tmp_path: Path, spelling: str) -> None:
    create, one = f"/{spelling}/create", f"/{spelling}/"
    async with Served(tmp_path) as here:
        made = await here.http.post(create, json={"file_name": "x.yaml", "yaml_content": TEXT})
        assert (made.status_code, made.json()["file"]) == (200, "x.yaml")
        assert (await here.http.post(create, json={"file_name": "x.yaml", "yaml_content": TEXT})).status_code == 409
        again = {"file_name": "configs/x.yaml", "config": {"a": 1}, "overwrite": True}
        assert (await here.http.post(create, json=again)).status_code == 200
        for listing in ("/experiment-configs", "/configs"):
            assert (await here.http.get(listing)).json() == ["x.yaml"]
        assert (await here.http.get(f"{one}x.yaml")).json() == {"file": "x.yaml", "config": {"a": 1}}
        if one != "/config/":
            replaced = await here.http.put(f"{one}x.yaml", json={"yaml_content": TEXT})
            assert replaced.json()["file"] == "x.yaml"
            assert here.layout.config("x.yaml").read_text() == TEXT
        assert "message" in (await here.http.delete(f"{one}x.yaml")).json()
        assert (await here.http.get(f"{one}x.yaml")).status_code == 404
        assert (await here.http.put("/experiment-configs/x.yaml", json={"config": {}})).status_code == 404


async def test_a_config_is_an_object_or_its_very_text_as_the_client_asks(tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, str], bool]] = [
        ("/experiment-configs/x.yaml", {}, False),
        ("/experiment-configs/x.yaml", {"Accept": "text/yaml"}, True),
        ("/experiment-configs/x.yaml", {"Accept": "application/json, text/yaml"}, False),
        ("/experiment-configs/x.yaml", {"Content-Type": "application/json"}, False),
        ("/experiment-config/x.yaml", {}, False),
        ("/experiment-config/x.yaml", {"Accept": "text/yaml, */*;q=0.1"}, True),
        ("/experiment-config/x.yaml", {"Content-Type": "application/json"}, True),
        ("/config/x.yaml", {"Accept": "text/yaml"}, True),
    ]
    async with Served(tmp_path) as here:
        await here.http.post("/config/create", json={"file_name": "x.yaml", "yaml_content": TEXT})
        for path, headers, text in cases:
            answer = await here.http.get(path, headers=headers)
            wanted = "text/yaml" if text else "application/json"
            assert answer.headers["content-type"].startswith(wanted), (path, headers)
            if text:
                assert answer.text == TEXT
            else:
                assert answer.json()["config"]["metadata"]["experiment_name"] == "e"


async def test_yaml_that_is_none_is_422_with_line_and_column(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        await here.http.post("/config/create", json={"file_name": "y.yaml", "config": {"a": 1}})
        answer = await here.http.put("/experiment-config/y.yaml", json={"yaml_content": "a: [1, 2\n"})
        assert answer.status_code == 422
        assert "line" in answer.json()["detail"]
        assert "column" in answer.json()["detail"]
        assert (await here.http.get("/config/y.yaml")).json()["config"] == {"a": 1}


async def test_a_malformed_name_is_400_and_touches_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "link.yaml").symlink_to("/etc/passwd")
    (tmp_path / "outside.yaml").write_text("a: 1\n")
    malformed = [
        "", "..", ".", "/etc/passwd", "a/../../b", "../outside.yaml", "../../outside.yaml", "C:\\x.yaml", "a\0.yaml",
        "CON.yaml", "x" * 300 + ".yaml", "é.yaml", "a.txt", "a\nb.yaml", ".hidden.yaml", "configs/../x.yaml",
    ]  # fmt: skip
    async with Served(root) as here:
        before = sorted(tmp_path.rglob("*"))
        for name in malformed:
            path = "/experiment-configs/" + "".join(f"%{byte:02x}" for byte in name.encode())
            for answer in (
                await here.http.post("/experiment-configs/create", json={"file_name": name, "config": {}}),
                await here.http.get(path),
                await here.http.put(path, json={"config": {}}),
                await here.http.delete(path),
                await here.http.post("/run-simulation", json={"config_path": name or "/"}),
                await here.http.post("/run-simulation", json={"config": {}, "save_as": name or "/"}),
            ):
                assert answer.status_code == 400, (name, answer.request.method, answer.text)
        assert (await here.http.get("/experiment-configs/link.yaml")).status_code == 404
        assert (await here.http.delete("/experiment-configs/link.yaml")).status_code == 404
        assert sorted(tmp_path.rglob("*")) == before
