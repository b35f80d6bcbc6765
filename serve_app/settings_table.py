"""The settings as a table for people: `python -m serve_app.settings_table`."""

import json
from collections.abc import Iterator

from serve_app.settings import PREFIX, Settings


def table() -> str:
    """A Markdown table of all settings with their defaults."""
    return "\n".join(["| Variable | Default | |", "|---|---|---|", *_rows()])


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        default = field.default
        if default is None or default in ((), {}):
            shown = ""
        elif isinstance(default, str):
            shown = f"`{default}`"
        elif isinstance(default, tuple):
            shown = f"`{','.join(default)}`" if name != "default_command" else f"`{' '.join(default)}`"
        else:
            shown = f"`{json.dumps(default)}`"
        description = (field.description or "").replace("|", "\\|")
        yield f"| `{PREFIX}{name.upper()}` | {shown} | {description} |"


if __name__ == "__main__":
    print(table())
