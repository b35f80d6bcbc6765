"""Datasets that are there already: listed, described, previewed, sent, taken in and removed."""

import asyncio
import errno
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.datasets_in_memory import build, write
from tests.harness.memory_client import Served
from tests.instants import utc
from workers.datasets.builds.assembly import Dataset

START = utc("2025-06-07 00:00")


def dataset(hours: int = 24) -> Dataset:
    documents = [
        {
            "timestamp": START + timedelta(hours=i),
            "non_shiftable_load": float(i),
            "charging_sessions": [{"charger_id": "AC1", "user_id": "u" if i % 2 else ""}],
        }
        for i in range(hours)
    ]
    return build({"building_A": documents}, {"name": "june", "description": "A month"})


def install(here: Served, name: str = "june") -> Path:
    return write(dataset(), here.layout.dataset(name))


def archive(files: Mapping[str, bytes | str], attributes: Mapping[str, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (attributes or {}).get(name, stat.S_IFREG | 0o644) << 16
            opened.writestr(info, content)
    return buffer.getvalue()


async def upload(here: Served, content: bytes, name: str = "mine", query: str = "", **fields: str) -> Any:
    files, form = {"file": ("x.zip", content)}, {"name": name, **fields}
    return await here.http.post(f"/dataset/upload{query}", files=files, data=form)


def left(here: Served) -> list[str]:
    """Every file below the datasets and the private folder, where uploads are staged."""
    return [
        name
        for root in (here.layout.datasets, here.layout.private / "builds")
        for _, _, names in os.walk(root)
        for name in names
    ]


async def test_the_list_has_real_sizes_and_windows(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        assert (await here.http.get("/datasets")).json() == []
        folder = install(here)
        (here.layout.datasets / "link").symlink_to(folder)
        (here.layout.datasets / "a file").write_text("x")
        (row,) = (await here.http.get("/datasets")).json()
        assert row["size"] == sum(file.stat().st_size for file in folder.iterdir())
        del row["size"], row["created_at"]
        assert row == {
            "name": "june",
            "description": "A month",
            "site_id": "living_lab",
            "period": 60,
            "from_ts": "2025-06-07T00:00:00.000Z",
            "until_ts": "2025-06-08T00:00:00.000Z",
            "rows": 24,
            "buildings": 1,
            "chargers": 1,
        }


async def test_a_manifest_is_told_also_of_a_dataset_that_has_none(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        folder = install(here)
        told = (await here.http.get("/dataset/june")).json()
        assert told["rows"] == 24
        assert {"sha256", "name", "bytes"} == set(told["files"][0])
        (folder / "manifest.json").unlink()
        told = (await here.http.get("/dataset/june")).json()
        assert (told["rows"], told["chargers"], told["period"]) == (24, 1, 60)
        assert {"name": "building_A.csv", "bytes": (folder / "building_A.csv").stat().st_size} in told["files"]


async def test_a_preview_has_few_points_of_the_columns_asked_for(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        install(here)
        told = (await here.http.get("/dataset/june/preview?columns=non_shiftable_load&points=6")).json()
        assert told == {
            "file": "building_A.csv",
            "rows": 24,
            "index": [0, 4, 8, 12, 16, 20],
            "timestamps": [f"2025-06-07T{hour:02}:00:00.000Z" for hour in range(0, 24, 4)],
            "series": {"non_shiftable_load": [1.5, 5.5, 9.5, 13.5, 17.5, 21.5]},
        }
        charger = (await here.http.get("/dataset/june/preview", params={"file": "AC1.csv"})).json()
        assert len(charger["series"]["electric_vehicle_charger_state"]) == 24
        assert charger["series"]["electric_vehicle_id"][1].startswith("EV_")
        for query, status in (
            ("file=none.csv", 404),
            ("file=../../secret.csv", 404),
            ("file=schema.json", 400),
            ("columns=mood", 400),
            ("points=0", 422),
        ):
            assert (await here.http.get(f"/dataset/june/preview?{query}")).status_code == status, query


async def test_a_download_is_a_zip_of_all_files_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        folder = install(here)
        answer = await here.http.get("/dataset/download/june")
        assert answer.headers["content-type"] == "application/zip"
        assert 'filename="june.zip"' in answer.headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
            assert opened.testzip() is None
            assert {name: opened.read(name) for name in opened.namelist()} == {
                file.name: file.read_bytes() for file in folder.iterdir()
            }
        assert [path.name for path in tmp_path.rglob("*.zip")] == []


async def test_what_was_downloaded_can_be_uploaded(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        folder = install(here)
        content = (await here.http.get("/dataset/download/june")).content
        answer = await upload(here, content)
        assert answer.status_code == 200, answer.text
        assert answer.json()["size"] == sum(file.stat().st_size for file in folder.iterdir())
        assert {f.name: f.read_bytes() for f in here.layout.dataset("mine").iterdir()} == {
            f.name: f.read_bytes() for f in folder.iterdir()
        }
        assert (await upload(here, content)).status_code == 409
        within = archive({f"june/{name}": data for name, data in dataset().files.items()})
        assert (await upload(here, within, "other")).status_code == 200
        assert (here.layout.dataset("other") / "schema.json").is_file()


GOOD = {name: content.decode() for name, content in dataset().files.items()}


@pytest.mark.parametrize(
    ("files", "attributes", "code"),
    [
        ({**GOOD, "../outside.csv": "x"}, {}, "bad_archive"),
        ({**GOOD, "/etc/passwd": "x"}, {}, "bad_archive"),
        ({**GOOD, "C:\\x.csv": "x"}, {}, "bad_archive"),
        ({**GOOD, "a\\..\\..\\x.csv": "x"}, {}, "bad_archive"),
        ({**GOOD, "link": "/etc/passwd"}, {"link": stat.S_IFLNK | 0o777}, "bad_archive"),
        ({**GOOD, "x": "x", "x/y": "x"}, {}, "bad_archive"),
        ({"a.csv": "x"}, {}, "not_a_dataset"),
        ({"schema.json": "{"}, {}, "not_a_dataset"),
        ({"schema.json": "[]"}, {}, "not_a_dataset"),
        ({"schema.json": GOOD["schema.json"]}, {}, "not_a_dataset"),
        ({**GOOD, "pricing.csv": "Electricity Pricing [$/kWh]\n0.1\n"}, {}, "bad_dataset_file"),
    ],
)
async def test_an_archive_that_is_no_dataset_or_leaves_its_folder_is_refused(
    tmp_path: Path, files: dict[str, str], attributes: dict[str, int], code: str
) -> None:
    async with Served(tmp_path / "root") as here:
        answer = await upload(here, archive(files, attributes))
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert not list(here.layout.datasets.glob("*"))
        assert not list(tmp_path.rglob("*.csv"))
        assert left(here) == []


async def test_a_dataset_with_names_that_differ_in_case_is_uploaded_as_it_was_downloaded(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        folder = install(here)
        schema = json.loads((folder / "schema.json").read_text())
        chargers = schema["buildings"]["A"]["chargers"]
        chargers["ac1"] = {**chargers["AC1"], "charger_simulation": "ac1.csv"}
        (folder / "schema.json").write_text(json.dumps(schema))
        (folder / "ac1.csv").write_bytes((folder / "AC1.csv").read_bytes())
        content = (await here.http.get("/dataset/download/june")).content
        answer = (await upload(here, content)).json()
        assert (answer["warnings"], answer["validation"]) == ([], None)
        assert {f.name: f.read_bytes() for f in here.layout.dataset("mine").iterdir()} == {
            f.name: f.read_bytes() for f in folder.iterdir()
        }


async def test_what_was_mended_is_said_and_the_size_is_that_of_the_mended_files(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        schema = json.dumps({**json.loads(GOOD["schema.json"]), "root_directory": "/home/x/data"})
        answer = await upload(here, archive({**GOOD, "schema.json": schema, "__MACOSX/._june": "?"}))
        assert answer.status_code == 200, answer.text
        (warning,) = answer.json()["warnings"]
        assert "root_directory '/home/x/data' was made null" in warning
        folder = here.layout.dataset("mine")
        assert json.loads((folder / "schema.json").read_text())["root_directory"] is None
        assert answer.json()["size"] == sum(file.stat().st_size for file in folder.iterdir())


async def test_a_full_disk_is_507_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with Served(tmp_path) as here:
        here.layout.datasets.mkdir(parents=True, exist_ok=True)
        for place in (
            "workers.datasets.kept.archive.Path.open",
            "workers.datasets.kept.checks.look",
            "workers.datasets.kept.store._flush",
            "starlette.datastructures.UploadFile.write",
        ):
            with monkeypatch.context() as patched:
                patched.setattr(place, full)
                answer = await upload(here, archive(GOOD))
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full"), place
            assert left(here) == []
        assert (await upload(here, archive(GOOD))).status_code == 200


async def test_two_uploads_of_one_name_at_once_make_one_dataset(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        answers = await asyncio.gather(*(upload(here, archive(GOOD)) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        assert sorted(left(here)) == sorted(GOOD)


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize(("query", "fields"), [("?validate=true", {}), ("", {"validate": "true"})])
async def test_an_upload_is_validated_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, fields: dict[str, str], with_manifest: bool
) -> None:
    passed = {"status": "passed", "job_id": "j", "image": "i", "detail": "d"}

    async def outcome(_: object, name: str) -> dict[str, Any]:
        assert name == "mine"
        return passed

    monkeypatch.setattr("serve_app.dataset_validation._outcome", outcome)
    files = GOOD if with_manifest else {name: text for name, text in GOOD.items() if name != "manifest.json"}
    async with Served(tmp_path) as here:
        answer = await upload(here, archive(files), query=query, **fields)
        assert (answer.status_code, answer.json()["validation"]) == (200, passed)
        told = (await here.http.get("/dataset/mine")).json()
        assert (told["validation"], told["rows"]) == (passed, 24)
        again = (await here.http.get("/dataset/download/mine")).content
        assert (await upload(here, again, "again", validate="false")).json()["validation"] is None


async def test_a_wish_for_validation_that_is_none_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        assert (await upload(here, archive(GOOD), validate="perhaps")).status_code == 400
        assert (await upload(here, archive(GOOD), query="?validate=perhaps")).status_code == 422
        assert left(here) == []


async def test_an_archive_that_unpacks_to_more_than_it_may_is_refused_whatever_it_says(tmp_path: Path) -> None:
    async with Served(tmp_path, dataset_unpacked_bytes=100_000, dataset_files=10) as here:
        bomb = archive({**GOOD, "b.csv": b"0" * 10_000_000})
        assert len(bomb) < 50_000
        answer = await upload(here, bomb)
        assert (answer.status_code, answer.json()["code"]) == (413, "dataset_too_large")
        lying = bytearray(bomb)
        # The sizes in the central directory are what readers believe.
        place = lying.rindex(b"PK\x01\x02")
        lying[place + 24 : place + 28] = (10).to_bytes(4, "little")
        assert (await upload(here, bytes(lying))).status_code in (400, 413)
        many = archive({**GOOD, **{f"{i}.csv": "x" for i in range(9)}})
        assert (await upload(here, many)).json()["code"] == "too_many_files"
        assert not list(here.layout.datasets.glob("*"))


async def test_an_upload_that_is_none_is_refused(tmp_path: Path) -> None:
    async with Served(tmp_path, dataset_upload_bytes=1 << 20) as here:
        assert (await upload(here, b"no zip")).status_code == 400
        assert (await upload(here, archive(GOOD), "../x")).status_code == 400
        assert (await here.http.post("/dataset/upload", data={"name": "x"})).status_code == 400
        assert (await here.http.post("/dataset/upload", json={"name": "x"})).status_code == 400
        assert (await upload(here, os.urandom(2 << 20))).status_code == 413


async def test_a_dataset_is_removed_whole(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        install(here)
        assert "removed" in (await here.http.delete("/dataset/june")).json()["message"]
        assert (await here.http.get("/datasets")).json() == []
        for answer in (
            await here.http.delete("/dataset/june"),
            await here.http.get("/dataset/june"),
            await here.http.get("/dataset/download/june"),
            await here.http.get("/dataset/june/preview"),
        ):
            assert answer.status_code == 404
        remains = [name for _, _, names in os.walk(here.layout.private) for name in names]
        assert remains == []


@pytest.mark.parametrize("name", ["%2e%2e", "a%2Fb", "con", "x" * 200, "a%00b"])
async def test_a_malformed_name_touches_nothing(tmp_path: Path, name: str) -> None:
    async with Served(tmp_path) as here:
        install(here)
        for method, path in (("GET", f"/dataset/{name}"), ("DELETE", f"/dataset/{name}")):
            assert (await here.http.request(method, path)).status_code in (400, 404, 405), path
        assert (await here.http.get(f"/dataset/download/{name}")).status_code in (400, 404)
        assert (here.layout.dataset("june") / "schema.json").is_file()


async def test_openapi_describes_every_route_of_datasets(tmp_path: Path) -> None:
    async with Served(tmp_path) as here:
        paths = json.loads((await here.http.get("/openapi.json")).content)["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods if "dataset" in path}
    assert routes == {
        ("POST", "/dataset"),
        ("GET", "/datasets"),
        ("GET", "/dataset/dates-available/{site}"),
        ("GET", "/dataset/download/{name}"),
        ("POST", "/dataset/upload"),
        ("GET", "/dataset/{name}/status"),
        ("POST", "/dataset/{name}/cancel"),
        ("GET", "/dataset/{name}/preview"),
        ("GET", "/dataset/{name}"),
        ("DELETE", "/dataset/{name}"),
    }
