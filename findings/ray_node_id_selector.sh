#!/usr/bin/env bash
# Ray 2.60.0: a label selector that nothing matches waits, but one on `ray.io/node-id` fails the task at once.
#
# Seen: `label_selector={"ray.io/node-id": X}` and `in(X,Y)` behave as hard node affinity does. Where no node of these can
# ever hold the request (too few CPUs, or no such node), `ray.get` raises TaskUnschedulableError immediately. The same
# request by any other label, or by `!in(X)` on the node id, stays pending, which is what an autoscaler needs to see.
#
# Exits 1 if that changes. Needs Python 3.11; installs ray into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ray==2.60.0
cat >"$folder/try.py" <<'PY'
import ray

ray.init(num_cpus=1, include_dashboard=False, labels={"rack": "7"}, log_to_driver=False)
here = ray.nodes()[0]["NodeID"]
nowhere = "a" * len(here)


@ray.remote(max_retries=0)
def work():
    return "ran"


def outcome(cpus, selector):
    reference = work.options(num_cpus=cpus, label_selector=selector).remote()
    try:
        return ray.get(reference, timeout=5)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(reference)
        return "waits"
    except ray.exceptions.TaskUnschedulableError:
        return "TaskUnschedulableError"


NODE = "ray.io/node-id"
print("node id, fits:", outcome(1, {NODE: here}))
print("node id, too large:", outcome(2, {NODE: here}))
print("node id in(...), too large:", outcome(2, {NODE: f"in({here},{nowhere})"}))
print("node id that nobody has:", outcome(1, {NODE: nowhere}))
print("node id !in(...):", outcome(1, {NODE: f"!in({here})"}))
print("other label, too large:", outcome(2, {"rack": "7"}))
print("other label that nobody has:", outcome(1, {"rack": "8"}))
PY
cat >"$folder/expected" <<'TEXT'
node id, fits: ran
node id, too large: TaskUnschedulableError
node id in(...), too large: TaskUnschedulableError
node id that nobody has: TaskUnschedulableError
node id !in(...): waits
other label, too large: waits
other label that nobody has: waits
TEXT
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" "$folder/try.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
