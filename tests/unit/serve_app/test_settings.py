"""The settings: where they come from, what they refuse, and that everything of the jobs' side is among them."""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from serve_app.setting_checks import model_of
from serve_app.settings import DECLARED_BY, Settings
from workers.common.options import Options
from workers.common.setting import facts_of, settings_of
from workers.common.shared_root import default_shared_root
from workers.datasets.builds.options import default_readers


def test_arguments_win_over_the_environment_and_the_environment_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPEVA_IMAGE", "from-environment:1")
    monkeypatch.setenv("OPEVA_HOST_POLL_S", "3")
    settings = Settings.load({"image": "from-arguments:1"})
    assert (settings.jobs.image, settings.jobs.host_poll_s) == ("from-arguments:1", 3)
    assert settings.jobs.docker_timeout_s == Options.docker_timeout_s


def test_every_option_of_the_jobs_side_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "shared_root": "/a", "host_shared_root": "/b", "image": "i:1", "allowed_images": "i,j", "image_commands":
        '{"i": ["x", "{job_id}"]}', "default_command": "--config {config}", "container_env": '{"A": "1"}',
        "container_network": "net", "container_user": "1000", "writable_paths": "mlflow,models", "open_root": "true",
        "pull_policy": "never", "default_gpus": "2", "default_memory": "1000000", "default_timeout_s": "61",
        "mlflow_tracking_uri": "http://m:1", "mlflow_ui_base_url": "http://u:1",
        "max_env": "7", "retention_days": "30", "retention_jobs": "1000", "sweep_dry_run": "true",
    }  # fmt: skip
    wanted = Options(shared_root="", host_shared_root="")
    for option in fields(Options):
        name = option.name
        if name not in values:
            values[name] = str(float(getattr(wanted, option.name)) + 1).removesuffix(".0")
        monkeypatch.setenv(f"OPEVA_{name.upper()}", values[name])
    options = Settings.load().jobs
    for option in fields(Options):
        assert getattr(options, option.name) != getattr(wanted, option.name), option.name
    assert options.allowed_images == ("i", "j")
    assert options.command_for("i:1") == ("x", "{job_id}")
    assert options.writable_paths == ("mlflow", "models")
    assert Options.from_dict(options.to_dict()) == options


def test_the_docker_engines_see_the_shared_root_where_we_do_unless_told_otherwise() -> None:
    assert Settings.load({"shared_root": "/mnt/x/"}).jobs.host_shared_root == "/mnt/x"


def test_replicas_get_the_same_settings_whatever_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load({"mongo_uri": "mongodb://u:secret@h", "cors_origins": "http://a, http://b"})
    plain = settings.to_dict()
    monkeypatch.setenv("OPEVA_IMAGE", "another:1")
    assert Settings.from_dict(plain) == settings
    assert settings.api.cors_origins == ("http://a", "http://b")


def test_a_secret_shows_neither_in_the_settings_nor_in_what_is_said_of_bad_ones() -> None:
    settings = Settings.load({"mongo_uri": "mongodb://u:secret@h"})
    assert "secret" not in repr(settings)
    with pytest.raises(ValueError, match="HOST_POLL_S") as error:
        Settings.load({"mongo_uri": "mongodb://u:secret@h", "host_poll_s": "-1"})
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"host_poll_s": "0"}, "OPEVA_HOST_POLL_S"),
        ({"pull_timeout_s": "inf"}, "OPEVA_PULL_TIMEOUT_S"),
        ({"shared_root": "relative"}, "OPEVA_SHARED_ROOT"),
        ({"writable_paths": "../etc"}, "OPEVA_WRITABLE_PATHS"),
        ({"image_commands": "{"}, "OPEVA_IMAGE_COMMANDS"),
        ({"pull_policy": "sometimes"}, "OPEVA_PULL_POLICY"),
        ({"allowed_images": "other/", "image": "mine:1"}, "allowed_images"),
        ({"stop_retry_s": "100"}, "stop_retry_max_s"),
        ({"mongouri": "x"}, "did you mean mongo_uri"),
    ],
)
def test_what_is_not_acceptable_is_refused_at_start_and_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings.load(given)


def test_a_variable_that_is_no_setting_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPEVA_MONGO_URL", "x")
    with caplog.at_level(logging.WARNING):
        Settings.load()
    assert "OPEVA_MONGO_URL is not a setting and is ignored (did you mean OPEVA_MONGO_URI?)" in caplog.text


def test_every_setting_says_what_it_is() -> None:
    declared = [option for kind in DECLARED_BY for option in settings_of(kind)]
    assert len(declared) > 50
    assert [option.name for option in declared if not facts_of(option).description] == []


def test_the_tokens_file_lies_in_the_private_folder_by_default() -> None:
    assert Settings.load({"shared_root": "/s"}).tokens_path == Path("/s/.opeva/tokens")


def test_a_setting_is_declared_once() -> None:
    with pytest.raises(TypeError, match="shared_root is declared twice"):
        model_of(Options, Options)


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHARED_ROOT", "HOST_SHARED_ROOT", "DATASET_READERS", "MONGO_URI", "TOKENS_FILE", "CONTAINER_ENV"):
        monkeypatch.setenv(f"OPEVA_{name}", " ")
    settings = Settings.load()
    assert settings.jobs.shared_root == settings.jobs.host_shared_root == default_shared_root()
    assert settings.datasets.dataset_readers == default_readers()
    assert (settings.sites.mongo_uri, settings.api.tokens_file, settings.jobs.container_env) == (None, None, {})


def _figures() -> Iterator[tuple[str, type[Any], float | None, float | None]]:
    """Each setting that is a number: its name, its type, what it must be above, and what it must be at least."""
    for kind in DECLARED_BY:
        hints = get_type_hints(kind)
        for option in settings_of(kind):
            hint = next((part for part in (int, float) if hints[option.name] is part), None) or next(
                (part for part in (int, float) if part in get_args(hints[option.name])), None
            )
            if hint is not None:
                yield option.name, hint, facts_of(option).above, facts_of(option).at_least


def _next(kind: type[Any], bound: float, step: int) -> float:
    """The value of a type beside a bound."""
    return int(bound) + step if kind is int else math.nextafter(bound, step * math.inf)


@pytest.mark.parametrize(("name", "kind", "above", "at_least"), list(_figures()))
def test_the_value_just_outside_is_refused_and_the_variable_named(
    name: str, kind: type[Any], above: float | None, at_least: float | None
) -> None:
    assert (above is None) != (at_least is None), "a number says what it must be above, or at least"
    if above is not None:
        outside: float = kind(above)
        inside = _next(kind, above, 1)
    else:
        assert at_least is not None
        outside, inside = _next(kind, at_least, -1), kind(at_least)
    with pytest.raises(ValueError, match=f"OPEVA_{name.upper()}: "):
        Settings.load({name: outside})
    # `stop_retry_max_s` must not be under `stop_retry_s`, so that one goes along.
    beside = {"stop_retry_s": inside} if name == "stop_retry_max_s" else {}
    settings = Settings.load({name: inside, **beside})
    assert inside in (
        getattr(part, name, None) for part in (settings.jobs, settings.api, settings.sites, settings.datasets)
    )


def test_the_image_of_jobs_that_name_none_has_a_name() -> None:
    with pytest.raises(ValueError, match="OPEVA_IMAGE: "):
        Settings.load({"image": ""})
    assert Settings.load({"image": "i"}).jobs.image == "i"


def test_of_the_prefixes_of_an_image_the_longest_wins_in_whatever_order_they_stand() -> None:
    long: tuple[str, ...] = ("--long",)
    short: tuple[str, ...] = ("--short",)
    for commands in ({"calof/": short, "calof/sim:": long}, {"calof/sim:": long, "calof/": short}):
        options = Options(image_commands=commands, default_command=("--default",))
        assert options.command_for("calof/sim:1") == long
        assert options.command_for("calof/other:1") == short
        assert options.command_for("else:1") == ("--default",)


def test_options_from_json_have_tuples_where_they_are_declared() -> None:
    options = Options(allowed_images=("i",), image_commands={"i": ("x",)}, writable_paths=("mlflow", "models"))
    again = Options.from_dict(json.loads(json.dumps(options.to_dict())))
    assert again == options
    assert again.writable_paths == ("mlflow", "models")
    assert again.image_commands == {"i": ("x",)}
