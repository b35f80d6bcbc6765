"""`setting` declares, once, all that is known of an option.

The options that the processes are given (`workers.common.options` and its siblings) are frozen dataclasses. A field of
theirs that an installation may decide is declared with `setting`: its default, what a value must be, what it means and
who needs it. `serve_app.settings` makes the `OPEVA_*` variables, their checks and their table from that, so that a
figure has one name everywhere: the field `docker_timeout_s` is the variable `OPEVA_DOCKER_TIMEOUT_S`. A field without
it is no setting. Standard library only, since options are made wherever this system runs.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum, StrEnum
from typing import Any, Final

_KEY: Final = "setting"


class Part(StrEnum):
    """Who needs a variable: the parts of the table in docs/settings.md, in its order."""

    STORAGE = "Shared storage"
    API = "API and sign-in"
    JOBS = "Jobs"
    CONTAINERS = "Containers of jobs"
    HOSTS = "Hosts and Docker"
    MLFLOW = "MLflow"
    SITES = "Sites"
    DATASETS = "Datasets"
    STACK = "The stack of a machine, and the container of the head"
    COMPOSE = "Compose files"
    JOIN = "Join script"
    INSIDE = "Given to containers of jobs"
    TESTS = "Tests"


class Form(Enum):
    """What a text must look like, beside its type."""

    #: Any text.
    PLAIN = "plain"
    #: Arguments of a command: words between spaces, or a JSON list.
    WORDS = "words"
    #: An absolute path.
    ABSOLUTE_PATH = "absolute path"
    #: A path below the shared root.
    PATH_BELOW_ROOT = "path below the root"


@dataclass(frozen=True)
class Facts:
    """What is known of a setting beside its name, type and default."""

    part: Part
    description: str
    #: A number must be above this.
    above: float | None = None
    #: A number must be at least this, a text so long.
    at_least: float | None = None
    form: Form = Form.PLAIN
    #: What the table shows as the default where that depends on the machine.
    shown: str | None = None


def setting(
    part: Part,
    default: Any,
    description: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    form: Form = Form.PLAIN,
    shown: str | None = None,
    secret: bool = False,
) -> Any:
    """A dataclass field that an installation may decide; a `default` that can be called is called for each object.

    The `repr` of what holds a `secret` does not show it.
    """
    facts = Facts(part, description, above, at_least, form, shown)
    if callable(default):
        return field(default_factory=default, repr=not secret, metadata={_KEY: facts})
    return field(default=default, repr=not secret, metadata={_KEY: facts})


def facts_of(option: "Field[Any]") -> Facts:
    """What `setting` was told of a field."""
    facts: Facts = option.metadata[_KEY]
    return facts


def settings_of(kind: type[Any]) -> "list[Field[Any]]":
    """The fields of a class of options that are settings, in their order."""
    return [option for option in fields(kind) if _KEY in option.metadata]


def factory_of(option: "Field[Any]") -> Callable[[], Any] | None:
    """What makes a field's default, where it is made for each object."""
    return None if option.default_factory is MISSING else option.default_factory
