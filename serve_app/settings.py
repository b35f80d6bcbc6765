"""The settings: `OPEVA_*` variables and the `args` of serve_config.yaml, validated once, at start.

Values come, in this order, from the `args` of the application in serve_config.yaml (the names of the options), from
the environment (`OPEVA_` and the name in capitals), and from the defaults. Lists are comma-separated or JSON, maps are
JSON. Replicas are given the validated values as plain data: the environment of their processes plays no part.

What settings there are is declared where they are used, in the classes of options below (`workers.common.setting`).
"""

import difflib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from serve_app.api_options import ApiOptions
from serve_app.other_variables import OTHERS
from serve_app.setting_checks import PREFIX, Values, model_of
from workers.common.options import Options
from workers.common.setting import settings_of
from workers.datasets.builds.options import DatasetOptions
from workers.sites.options import SitesOptions

logger = logging.getLogger(__name__)

#: The classes that declare settings.
DECLARED_BY: Final = (Options, ApiOptions, SitesOptions, DatasetOptions)
_MODEL: Final = model_of(*DECLARED_BY)
_OTHERS: Final = {variable.name for variable in OTHERS}


@dataclass(frozen=True)
class Settings:
    """Everything that an installation may decide, by who needs it."""

    jobs: Options
    sites: SitesOptions
    datasets: DatasetOptions
    api: ApiOptions

    @classmethod
    def load(cls, args: Mapping[str, Any] | None = None) -> Self:
        """The settings from `args` and the environment.

        Raises:
            ValueError: a value is not acceptable, or an argument unknown; the message names each and shows no value.
        """
        given = dict(args or {})
        unknown = sorted(set(given) - set(_MODEL.model_fields))
        if unknown:
            raise ValueError(f"serve_config.yaml: no setting is called {', '.join(unknown)}{_hint(unknown[0])}")
        for name in sorted(os.environ):
            field = name.removeprefix(PREFIX).lower()
            if name.startswith(PREFIX) and field not in _MODEL.model_fields and name not in _OTHERS:
                logger.warning("The variable %s is not a setting and is ignored%s", name, _hint(field, PREFIX))
        try:
            settings = cls._of(_MODEL(**given))
        except ValidationError as error:
            problems = (
                f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False, include_context=False)
            )
            # The cause would show the values, secrets among them.
            raise ValueError(f"The settings are not acceptable: {'; '.join(problems)}") from None
        _check_together(settings.jobs)
        return settings

    @classmethod
    def _of(cls, values: Values) -> Self:
        flat = values.model_dump()
        jobs = Options(**_part(Options, flat))
        sites = SitesOptions(**_part(SitesOptions, flat))
        datasets = DatasetOptions(shared_root=jobs.shared_root, sites=sites, **_part(DatasetOptions, flat))
        return cls(jobs, sites, datasets, ApiOptions(**_part(ApiOptions, flat)))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for another process, the secrets in clear."""
        return {
            "jobs": self.jobs.to_dict(),
            "sites": self.sites.to_dict(),
            "datasets": self.datasets.to_dict(),
            "api": self.api.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From `to_dict`, without another look at the environment."""
        return cls(
            Options.from_dict(data["jobs"]),
            SitesOptions.from_dict(data["sites"]),
            DatasetOptions.from_dict(data["datasets"]),
            ApiOptions.from_dict(data["api"]),
        )

    @property
    def tokens_path(self) -> Path:
        """The file of bearer tokens."""
        return Path(self.api.tokens_file or f"{self.jobs.shared_root}/.opeva/tokens")


def _part(kind: type[Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    return {option.name: flat[option.name] for option in settings_of(kind)}


def _check_together(jobs: Options) -> None:
    """Raises ValueError for settings that are acceptable each by itself, but not together."""
    problem = None
    if jobs.stop_retry_max_s < jobs.stop_retry_s:
        problem = f"{PREFIX}STOP_RETRY_MAX_S: stop_retry_max_s must not be under stop_retry_s"
    elif jobs.allowed_images and not jobs.image.startswith(jobs.allowed_images):
        problem = f"{PREFIX}IMAGE: image {jobs.image!r} is not among allowed_images"
    if problem is not None:
        raise ValueError(f"The settings are not acceptable: {problem}")


def _hint(name: str, prefix: str = "") -> str:
    """The setting that `name` may have been meant for, as an end of a sentence."""
    close = difflib.get_close_matches(name, _MODEL.model_fields, n=1)
    if not close:
        return ""
    return f" (did you mean {prefix}{close[0].upper() if prefix else close[0]}?)"
