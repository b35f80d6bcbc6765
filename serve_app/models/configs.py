"""Experiment configs in requests and answers."""

from typing import Any

from pydantic import Field

from serve_app.models.common import Body, Message

_CONFIG = {"metadata": {"experiment_name": "baseline", "run_name": "seed-1"}}


class ConfigContent(Body):
    """An experiment config, as an object or as a YAML text: exactly one of both."""

    config: dict[str, Any] | None = Field(None, description="The config as an object.", examples=[_CONFIG])
    yaml_content: str | None = Field(
        None,
        description="The config as a YAML text, which is kept as it is.",
        examples=["metadata:\n  experiment_name: baseline\n  run_name: seed-1\n"],
    )


class NewConfig(ConfigContent):
    """A new experiment config."""

    file_name: str = Field(description="Its file name, ending in .yaml or .yml.", examples=["baseline.yaml"])
    overwrite: bool = Field(False, description="Replace a config that bears the name already.")


class SavedConfig(Message):
    """A config that was written."""

    file: str = Field(description="Its file name.", examples=["baseline.yaml"])


class ConfigView(Body):
    """A config as an object."""

    file: str = Field(description="Its file name.", examples=["baseline.yaml"])
    config: dict[str, Any] = Field(description="Its content.", examples=[_CONFIG])
