"""Each curl example of the README does what it says, run as a reader would run it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import demo
from scripts.harness.api import Api
from scripts.harness.jobs import stop_all
from scripts.stack import Stack
from scripts.stack.plan import PROJECT

_SITE = "living_lab"


def examples() -> list[str]:
    """The README's shell blocks that hold curl commands, in their order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "curl " in block]


@pytest.fixture
def system(stack: Stack, api: Api) -> Iterator[Stack]:
    """What `make demo` leaves: the example configs, their dataset and a sample site."""
    demo.lay_out_examples(demo.Client(api.base), stack.plan)
    command = [sys.executable, "-m", "scripts.sample_sites", "--uri", stack.mongo_uri, "--site", _SITE, "--days", "3"]
    command += ["--cache", str(stack.plan.run_dir / "cache")]
    subprocess.run(command, check=True, cwd=PROJECT, timeout=300)
    yield stack
    stop_all(api)


def test_every_curl_example_of_the_readme_passes(system: Stack, tmp_path: Path) -> None:
    blocks = examples()
    assert sum(block.count("curl ") for block in blocks) > 15
    variables: dict[str, str] = {}
    outputs = []
    for block in blocks:
        script = 'curl() { command curl --fail-with-body --max-time 300 "$@"; }\n' + block
        script = script.replace("localhost:8000", system.api_url.removeprefix("http://"))
        ran = subprocess.run(
            ["bash", "-eu", "-c", script],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"
        outputs.append(ran.stdout)
        if "JOB" not in variables:
            variables["JOB"] = json.loads(ran.stdout)["job_id"]
    assert '"finished"' in outputs[1], "a stop of a job that has finished says so"
    assert '"living_lab"' in outputs[2]
