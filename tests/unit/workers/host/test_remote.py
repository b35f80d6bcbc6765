"""The runner and the host agent work on a machine that has Ray and Docker's library and nothing of this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ray.cloudpickle

import workers
from tests.harness.attempts import spec_of
from workers.host.agent import HostAgent
from workers.host.remote import HostAgentOnRay, run_on_ray
from workers.host.runner import run_attempt

#: What a worker machine's environment lacks; importing any of it is an error there.
_ABSENT = ["workers", "serve_app", "deployments", "yaml", "pandas", "pyarrow", "pymongo", "fastapi", "starlette"]

_PROGRAM = """
import asyncio, importlib.abc, json, pathlib, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)

import ray.cloudpickle
ABSENT = json.loads(sys.argv[1])
sys.meta_path.insert(0, Absent())
folder = pathlib.Path(sys.argv[2])
run, agent, _, _ = (ray.cloudpickle.loads((folder / str(number)).read_bytes()) for number in range(4))
place = {"node_id": "n", "hostname": "h", "address": "a", "gpus": [], "node_gpus": 0}
events = list(run(json.loads((folder / "spec").read_text()), lambda: True, place))
async def ask():
    here = agent("v1")
    return [await here.info(), await here.listing("c"), await here.stop("c", "j", 1, 1), await here.pull("i")]
print(json.dumps({"events": events, "answers": asyncio.run(ask())}))
"""


def test_they_travel_by_value_with_all_that_they_use(tmp_path: Path) -> None:
    ray.cloudpickle.register_pickle_by_value(workers)
    try:
        for number, what in enumerate([run_attempt, HostAgent, run_on_ray, HostAgentOnRay]):
            (tmp_path / str(number)).write_bytes(ray.cloudpickle.dumps(what))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(workers)
    (tmp_path / "spec").write_text(json.dumps(spec_of(tmp_path, "cluster", "true")))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(_ABSENT), str(tmp_path)],
        cwd="/",
        env={**environment, "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [event["event"] for event in said["events"]] == ["placed", "failed"]
    assert said["events"][1]["reason"] == "docker_unavailable"
    info, listing, stop, pull = said["answers"]
    assert (info["docker"], listing["ok"], stop["outcome"], pull["ok"]) == (False, False, "docker_unavailable", False)
