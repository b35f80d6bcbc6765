"""Brings an installation up on one machine and takes it down again: Ray head, Serve application, development database.

`python -m scripts.stack up|down|status|deploy`; `Stack` does the same for tests, any number side by side.
"""

from scripts.stack.mongo import EmbeddedMongo
from scripts.stack.plan import Plan
from scripts.stack.ports import Ports
from scripts.stack.stack import Stack, StackError

__all__ = ["EmbeddedMongo", "Plan", "Ports", "Stack", "StackError"]
