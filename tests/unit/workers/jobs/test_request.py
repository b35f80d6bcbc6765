"""A submission is understood completely, or refused with the field's name and nothing changed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from workers.common.errors import InvalidInput, NotFound, OpevaError, TooLarge, Unprocessable
from workers.common.layout import Layout
from workers.common.options import Options
from workers.jobs.experiment_configs import ConfigStore
from workers.jobs.request import JobRequest, body_hash
from workers.jobs.request import parse as parse_request

TEXT = "# mine\nmetadata:\n  experiment_name: e\n  run_name: r\nlr: 1e-4\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "root")
    (layout.datasets / "demo").mkdir(parents=True)
    (layout.datasets / "demo" / "schema.json").write_text("{}")
    (layout.jobs / "x").mkdir(parents=True)
    layout.private.mkdir()
    (tmp_path / "outside").mkdir()
    (layout.datasets / "inside").symlink_to("demo")
    (layout.datasets / "leaving").symlink_to(tmp_path / "outside")
    return layout


@pytest.fixture
def configs(layout: Layout) -> ConfigStore:
    store = ConfigStore(layout, max_bytes=10_000)
    store.create("demo.yaml", text=TEXT)
    return store


@pytest.fixture
def options(layout: Layout) -> Options:
    return Options(shared_root=str(layout.root), host_shared_root=str(layout.root), image="opeva:1")


@pytest.fixture
def parse(configs: ConfigStore, layout: Layout, options: Options) -> Any:
    return lambda body, **changes: parse_request(
        body, configs, layout, Options.from_dict({**options.to_dict(), **changes})
    )


def test_what_a_client_that_only_names_a_config_gets(parse: Any) -> None:
    body = {"config_path": "configs/demo.yaml", "target_host": "node-1", "something": "else", "image": "", "env": None}
    request = parse(body, default_cpus=2.0, default_timeout_s=60.0)
    assert request == JobRequest(
        config_text=TEXT,
        config_path="demo.yaml",
        save_as=None,
        job_name="e-r",
        experiment_name="e",
        run_name="r",
        image="opeva:1",
        cpus=2.0,
        gpus=0,
        memory=None,
        timeout_s=60.0,
        stop_grace_s=10.0,
        env={},
        target_host="node-1",
        submitted_by=None,
        idempotency_key=None,
        body_hash=body_hash(body),
    )


def test_every_field_is_taken_and_survives_the_way_as_plain_data(parse: Any) -> None:
    body = {
        "config": {"experiment": {"name": "older", "run_name": 7}, "lr": 1e-05},
        "save_as": "mine.yaml",
        "job_name": " Édifício 1/β ",
        "image": "registry.example:5000/opeva/sim@sha256:" + "0" * 64,
        "resources": {"cpus": 0.5, "gpus": 1, "memory": "2GiB"},
        "timeout_s": 3600,
        "stop_grace_s": 0,
        "env": {"MLFLOW_TRACKING_URI": "http://m:5000", "_x": ""},
        "target_host": "gpu_node",
        "submitted_by": "ana",
        "idempotency_key": "k-1",
    }
    request = parse(body)
    assert request.config_text == "experiment:\n  name: older\n  run_name: 7\nlr: 1.0e-05\n"
    assert (request.config_path, request.save_as) == ("mine.yaml", "mine.yaml")
    assert (request.job_name, request.experiment_name, request.run_name) == ("Édifício 1/β", "older", "7")
    assert (request.cpus, request.gpus, request.memory) == (0.5, 1, 2 << 30)
    assert (request.timeout_s, request.stop_grace_s) == (3600.0, 0.0)
    assert (request.env, request.submitted_by, request.idempotency_key) == (body["env"], "ana", "k-1")
    assert JobRequest.from_dict({**request.to_dict(), "of a later version": 1}) == request


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"metadata": {"experiment_name": "e", "run_name": "r"}, "experiment": {"name": "x"}}, "e-r"),
        ({"metadata": {"run_name": "r"}, "experiment": {"name": "x"}}, "x-r"),
        ({"metadata": {"experiment_name": "e"}}, "e"),
        ({"experiment": {"run_name": "a\nb"}}, "a b"),
        ({"experiment": "text", "metadata": ["list"]}, "simulation"),
        ({"experiment": {"name": {"a": 1}, "run_name": None}}, "simulation"),
        ({"experiment": {"name": "n" * 500}}, "n" * 200),
    ],
)
def test_a_jobs_name_comes_from_either_family_of_configs(parse: Any, config: dict[str, Any], name: str) -> None:
    assert parse({"config": config}).job_name == name


def test_a_job_without_any_name_is_called_after_its_file(parse: Any, configs: ConfigStore) -> None:
    configs.create("plain run.yaml", text="a: 1\n")
    assert parse({"config_path": "plain run.yaml"}).job_name == "plain run"
    assert parse({"config": {"a": 1}, "save_as": "kept.yml"}).job_name == "kept"


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("512m", 512 << 20),
        ("1.5 GB", 3 << 29),
        ("2Gi", 2 << 30),
        ("2 boxes", None),
        ("1tib", 1 << 40),
        (8_000_000.0, 8_000_000),
        ("6291456", 6 << 20),
    ],
)
def test_memory_is_read_as_docker_reads_it(parse: Any, memory: Any, size: int | None) -> None:
    if size is None:
        with pytest.raises(InvalidInput, match="memory"):
            parse({"config": {}, "resources": {"memory": memory}})
    else:
        assert parse({"config": {}, "resources": {"memory": memory}}).memory == size


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "config"),
    ({"config": None, "config_path": ""}, "config"),
    ({"config": {}, "config_path": "demo.yaml"}, "config"),
    ({"config": "a: 1"}, "config"),
    ({"config": {"a": ["\ud800"]}}, "config.a[0]"),
    ({"config_path": 5}, "config_path"),
    ({"config_path": "../demo.yaml"}, "file name"),
    ({"config": {}, "save_as": "../x.yaml"}, "file name"),
    ({"config": {}, "save_as": "x"}, "must end in .yaml"),
    ({"config": {}, "target_host": "a b"}, "host"),
    ({"config": {}, "job_name": 5}, "job_name"),
    ({"config": {}, "job_name": "a\nb"}, "job_name"),
    ({"config": {}, "job_name": "a\ud800"}, "job_name"),
    ({"config": {}, "job_name": "n" * 201}, "job_name"),
    ({"config": {}, "idempotency_key": ["k"]}, "idempotency_key"),
    ({"config": {}, "submitted_by": {}}, "submitted_by"),
    ({"config": {}, "image": "has space"}, "image"),
    ({"config": {}, "image": "-v"}, "image"),
    ({"config": {}, "resources": 4}, "resources"),
    ({"config": {}, "resources": {"cpus": 0}}, "resources.cpus"),
    ({"config": {}, "resources": {"cpus": float("nan")}}, "resources.cpus"),
    ({"config": {}, "resources": {"cpus": True}}, "resources.cpus"),
    ({"config": {}, "resources": {"cpus": "2"}}, "resources.cpus"),
    ({"config": {}, "resources": {"cpus": 10**400}}, "resources.cpus"),
    ({"config": {}, "resources": {"gpus": -1}}, "resources.gpus"),
    ({"config": {}, "resources": {"gpus": 0.5}}, "resources.gpus"),
    ({"config": {}, "resources": {"memory": 1000}}, "resources.memory"),
    ({"config": {}, "resources": {"memory": "lots"}}, "resources.memory"),
    ({"config": {}, "resources": {"memory": True}}, "resources.memory"),
    ({"config": {}, "timeout_s": 0}, "timeout_s"),
    ({"config": {}, "timeout_s": float("inf")}, "timeout_s"),
    ({"config": {}, "stop_grace_s": -1}, "stop_grace_s"),
    ({"config": {}, "env": []}, "env"),
    ({"config": {}, "env": {"A=B": "x"}}, "env"),
    ({"config": {}, "env": {"": "x"}}, "env"),
    ({"config": {}, "env": {"OPEVA_JOB_NAME": "x"}}, "OPEVA_JOB_NAME"),
    ({"config": {}, "env": {"A": 1}}, "env.A"),
    ({"config": {}, "env": {"A": "\0"}}, "env.A"),
    ({"config": {}, "env": {f"V{n}": "" for n in range(201)}}, "env"),
]


@pytest.mark.parametrize(("body", "named"), REFUSED, ids=range(len(REFUSED)))
def test_a_malformed_field_is_named_and_nothing_is_changed(parse: Any, layout: Layout, body: Any, named: str) -> None:
    before, tree = copy.deepcopy(body), sorted(layout.root.rglob("*"))
    with pytest.raises(InvalidInput) as refused:
        parse(body)
    assert named in refused.value.detail
    assert repr(body) == repr(before)
    assert sorted(layout.root.rglob("*")) == tree


def test_only_allowed_images_run(parse: Any) -> None:
    allowed = ("opeva/", "calof/opeva_simulator:")
    for image in ("opeva/sim:2", "calof/opeva_simulator:latest"):
        assert parse({"config": {}, "image": image}, allowed_images=allowed).image == image
    with pytest.raises(InvalidInput, match=r"`image`.*opeva/, calof"):
        parse({"config": {}, "image": "evil/opeva/sim"}, allowed_images=allowed)
    assert parse({"config": {}}, allowed_images=allowed).image == "opeva:1"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"config_path": "none.yaml"}, NotFound),
        ({"config_path": "broken.yaml"}, Unprocessable),
        ({"config": {"a": "x" * 10_000}}, TooLarge),
    ],
)
def test_a_config_that_cannot_run_is_refused(parse: Any, layout: Layout, body: Any, error: type[OpevaError]) -> None:
    (layout.configs / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(error):
        parse(body)


FOUND = [
    {"dataset_path": "/data/datasets/demo/schema.json"},
    {"simulator": [{"Dataset_Path": "/data/datasets/demo"}]},
    {"dataset": {"path": "//data/datasets/demo"}},
    {"schema": "/data/datasets/inside/schema.json"},
    {"schema": "citylearn_challenge_2022_phase_all"},
    {"dataset": "demo", "dataset_name": "a/b"},
    {"dataset_path": "/opt/in/the/image/schema.json"},
    {"dataset_path": "s3://bucket/schema.json", "schema": ""},
    {"schema": {"dataset_path": None, "log_dir": "./logs"}},
]


@pytest.mark.parametrize("config", FOUND, ids=range(len(FOUND)))
def test_a_config_whose_dataset_is_there_or_not_ours_to_judge_is_taken(parse: Any, config: dict[str, Any]) -> None:
    assert parse({"config": config}).config_text


NOT_FOUND = [
    ({"simulator": {"dataset_path": "./datasets/demo/schema.json"}}, "simulator.dataset_path", "dataset_path_relative"),
    ({"dataset_path": "demo"}, "dataset_path", "dataset_path_relative"),
    ({"a": [{"schema": "schema.json"}]}, "a[0].schema", "dataset_path_relative"),
    ({"dataset": "datasets\\demo"}, "dataset", "dataset_path_relative"),
    ({"dataset": {"dir": "demo"}}, "dataset.dir", "dataset_path_relative"),
    ({"dataset": ["data/datasets/demo"]}, "dataset[0]", "dataset_path_relative"),
    ({"dataset_path": "/data/datasets/none/schema.json"}, "dataset_path", "dataset_not_found"),
    ({"dataset_dir": "/data/datasets/demo\0"}, "dataset_dir", "dataset_not_found"),
    ({"dataset_path": "/data/datasets/../../etc/hostname"}, "dataset_path", "dataset_path_invalid"),
    ({"dataset_path": "/data/.opeva"}, "dataset_path", "dataset_not_found"),
    ({"dataset_path": "/data/jobs/x"}, "dataset_path", "dataset_not_found"),
    ({"dataset_path": "/data/datasets/leaving"}, "dataset_path", "dataset_not_found"),
]


@pytest.mark.parametrize(("config", "field", "code"), NOT_FOUND, ids=range(len(NOT_FOUND)))
def test_a_config_whose_dataset_the_container_would_not_find_is_refused_by_field(
    parse: Any, config: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse({"config": config})
    assert refused.value.detail.startswith(f"`{field}` of config ")
    assert refused.value.code == code


def test_the_hash_tells_bodies_apart_and_ignores_order_and_the_key() -> None:
    body = {"config": {"a": 1, "b": ["é", "\ud800"]}, "env": {}}
    same = {"env": {}, "idempotency_key": "k", "config": {"b": ["é", "\ud800"], "a": 1}}
    assert body_hash(body) == body_hash(same)
    assert body_hash(body) != body_hash({**body, "env": {"A": ""}})
    assert len(body_hash(body)) == 64
