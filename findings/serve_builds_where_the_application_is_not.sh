#!/usr/bin/env bash
# Ray Serve 2.60.0: `serve deploy` fails to import an application that the head has, while the head is busy.
#
# Seen: Serve imports and builds the application of a config in a task that takes no CPU, placed by Ray's usual rules. On an
# idle cluster that is the head. Once tasks hold the head's CPUs it is another node, and where that node lacks the
# application's module (a plain worker does), the deployment ends as DEPLOY_FAILED with "No module named ...", though
# every replica is bound to the head by its resource `node:__internal_head__`. A `label_selector` in the config's
# `deployments[].ray_actor_options` is what Serve also places its build by.
#
# Exits 1 if that changes. Needs Python 3.11 and free ports; installs ray[serve] into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
clean_up() {
  pkill -f "$folder" || true
  sleep 2
  pkill -9 -f "$folder" || true
  rm -rf "$folder"
}
trap clean_up EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'ray[serve]==2.60.0'
mkdir "$folder/application" "$folder/empty"
cat >"$folder/application/hello.py" <<'PY'
from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}})
class Hello:
    def __call__(self, request):
        return "hello"


def build(args):
    return Hello.bind()
PY
cat >"$folder/try.py" <<'PY'
import sys, time
import ray, requests

dashboard, api, selector = sys.argv[1], int(sys.argv[2]), {}
ray.init(address=sys.argv[3], log_to_driver=False)
nodes = {"node:__internal_head__" in n["Resources"]: n["NodeID"] for n in ray.nodes()}


@ray.remote(num_cpus=1)
class Holder:
    def ready(self):
        return True


def deploy(name, deployments=()):
    application = {"name": "hello", "import_path": "hello:build", "args": {"try": name}, "deployments": list(deployments)}
    config = {"proxy_location": "HeadOnly", "http_options": {"port": api}, "applications": [application]}
    requests.put(f"{dashboard}/api/serve/applications/", json=config, timeout=60).raise_for_status()
    for _ in range(240):
        time.sleep(0.5)
        found = requests.get(f"{dashboard}/api/serve/applications/", timeout=60).json()["applications"].get("hello", {})
        if found.get("status") in ("RUNNING", "DEPLOY_FAILED"):
            missing = "No module named 'hello'" in found["message"]
            return found["status"] + (", No module named 'hello'" if missing else "")
    return "neither"


print("head idle:", deploy("idle"))
holder = Holder.options(label_selector={"ray.io/node-id": nodes[True]}).remote()
ray.get(holder.ready.remote())
print("head busy:", deploy("busy"))
options = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
options["label_selector"] = {"ray.io/node-id": f"!in({nodes[False]})"}
print("head busy, with a selector:", deploy("pinned", [{"name": "Hello", "ray_actor_options": options}]))
PY
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
# Both in an empty folder: Ray puts the one that the head was started in on every worker's path.
start() { # arguments of ray start...
  (cd "$folder/empty" && "$folder/venv/bin/ray" start --num-cpus 1 --temp-dir "$folder/ray" "$@" >/dev/null 2>&1)
}
PYTHONPATH=$folder/application start --head --node-ip-address 127.0.0.1 --port 7461 --dashboard-port 8461 --ray-client-server-port 7462
start --address 127.0.0.1:7461 --node-ip-address 127.0.0.2
cat >"$folder/expected" <<'TEXT'
head idle: RUNNING
head busy: DEPLOY_FAILED, No module named 'hello'
head busy, with a selector: RUNNING
TEXT
"$folder/venv/bin/python" "$folder/try.py" http://127.0.0.1:8461 8462 127.0.0.1:7461 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
