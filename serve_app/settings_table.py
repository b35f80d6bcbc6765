"""Every `OPEVA_*` variable as tables for people, by who needs it: `python -m serve_app.settings_table`."""

import json
from collections.abc import Iterator
from typing import Any, Final

from serve_app.other_variables import OTHERS
from serve_app.setting_checks import PREFIX
from serve_app.settings import DECLARED_BY
from workers.common.setting import Form, Part, factory_of, facts_of, settings_of

#: What stands before the variables of a part that is no part of the application.
_ABOUT: Final = {
    Part.STACK: "Read by `make up`, `down`, `status`, `deploy`, and by the container of the head.",
    Part.COMPOSE: "Read by Docker Compose from the environment or a file `.env`, beside some of the settings above, "
    "which it hands on with defaults of its own (compose.yaml).",
    Part.JOIN: "Read by `join-ray-worker.sh` on a worker machine, where each is the option that is named; "
    "`OPEVA_SHARED_ROOT` (`--shared-root`) too.",
    Part.INSIDE: "Not for the installation to set. Jobs may not set variables that begin with `OPEVA_`.",
}


def table() -> str:
    """A Markdown table for each part, of its variables with their defaults."""
    return "\n\n".join(_of_part(part) for part in Part)


def names() -> list[str]:
    """The variables in the table."""
    return [name for part in Part for name, _, _ in _variables(part)]


def _of_part(part: Part) -> str:
    rows = [f"| `{name}` | {default} | {_escaped(description)} |" for name, default, description in _variables(part)]
    about = [_ABOUT[part], ""] if part in _ABOUT else []
    return "\n".join([f"### {part}", "", *about, "| Variable | Default | |", "|---|---|---|", *rows])


def _variables(part: Part) -> Iterator[tuple[str, str, str]]:
    """Name, default (as Markdown) and description of each variable of a part."""
    for kind in DECLARED_BY:
        for option in settings_of(kind):
            facts = facts_of(option)
            if facts.part is part:
                default = option.default if factory_of(option) is None else facts.shown
                yield f"{PREFIX}{option.name.upper()}", _shown(default, facts.form), facts.description
    for variable in OTHERS:
        if variable.part is part:
            yield variable.name, variable.default, variable.description


def _shown(default: Any, form: Form) -> str:
    if default in (None, "", ()):
        return ""
    if isinstance(default, tuple):
        default = (" " if form is Form.WORDS else ",").join(default)
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(table())
