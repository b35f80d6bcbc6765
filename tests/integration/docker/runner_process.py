"""Runs the attempt whose spec comes on standard input; its events go to standard output, a line each."""

import json
import sys

from tests.harness.attempts import PLACE
from workers.host.runner import run_attempt

for event in run_attempt(json.load(sys.stdin), lambda: True, PLACE):
    print(json.dumps(event), flush=True)
