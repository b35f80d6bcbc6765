"""What holds for every test."""

import os
from pathlib import Path

from hypothesis import settings

pytest_plugins = ["tests.harness.fixtures"]

# Settings of whoever runs the tests must not reach them: a test shall never write to a database that is somebody's.
for _name in [name for name in os.environ if name.startswith("OPEVA_")]:
    del os.environ[_name]

# Once a user has a token, every process of Ray needs to be told so, drivers in tests included.
if (Path.home() / ".ray" / "auth_token").exists():
    os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# The same examples in every run, and none judged by its duration: a test says the same on any machine.
settings.register_profile("opeva", deadline=None, derandomize=True)
settings.load_profile("opeva")
