"""`python -m tests.faults.soak --seconds 600 --seed 1`: faults at random under jobs at random, on a stack of its own.

Ends with a table, and with 0 only if every job that was acknowledged is accounted for (its true end, its log byte for
byte, what its followers got), no container was started twice and nothing is left.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.harness.api import Api, eventually
from scripts.harness.images import busybox_image
from scripts.harness.session import SessionStack
from scripts.stack.worker_node import WorkerNode
from tests.faults import faults, kinds
from tests.faults.ledger import Account, Ledger
from tests.faults.storage import own_storage
from workers.common.clock import Deadline

logger = logging.getLogger("soak")

#: A head that is restarted takes minutes on a busy machine.
_PATIENCE_S: Final = 600.0
#: Of the shared storage; jobs in all print some tens of megabytes.
_ROOM: Final = "1g"
#: Seconds between two submissions, and between two faults.
_BETWEEN_JOBS: Final = (0.5, 3.0)
_BETWEEN_FAULTS: Final = (3.0, 15.0)


class Workload(threading.Thread):
    """Submits jobs of all kinds, follows some, stops those that do not end, and some that would."""

    def __init__(self, ledger: Ledger, host: str, seed: int) -> None:
        super().__init__(name="workload", daemon=True)
        self._ledger = ledger
        self._host = host
        self._random = random.Random(f"jobs {seed}")
        self._ended = threading.Event()
        self._to_stop: list[tuple[Deadline, str]] = []
        self.error: BaseException | None = None

    def end(self) -> None:
        """Submit no more."""
        self._ended.set()
        self.join(2 * _PATIENCE_S)

    def run(self) -> None:
        try:
            while not self._ended.wait(self._random.uniform(*_BETWEEN_JOBS)):
                self._submit()
                for deadline, job in [one for one in self._to_stop if one[0].passed()]:
                    self._to_stop.remove((deadline, job))
                    self._ledger.stop(job)
        except BaseException as error:
            # Told by the main thread, which must not take a dead workload for a quiet one.
            self.error = error
            raise

    def _submit(self) -> None:
        choose = self._random
        kind = choose.choice(kinds.ALL)
        target = choose.choice([{}, {}, {"target_host": "local"}, {"target_host": self._host}])
        cpus = choose.choice([0.1, 0.2, 0.5, 1.0])
        job = self._ledger.submit(kind, followers=choose.choice([0, 0, 1]), resources={"cpus": cpus}, **target)
        if kind.endless:
            self._to_stop.append((Deadline(choose.uniform(0.0, 15.0)), job))


class Soak:
    """One run."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._seed = seed
        self.injected: Counter[str] = Counter()
        self.problems: list[str] = []
        self.account = Account()
        self.submitted = 0
        self.duplicates = 0

    def run(self) -> None:
        """Bring a stack up, run the soak on it, take it down."""
        busybox_image()
        with tempfile.TemporaryDirectory(prefix="soak-") as folder, _storage(Path(folder)):
            session = SessionStack(Path(folder), owner=os.getpid())
            try:
                with session, WorkerNode(session.stack, session.number, owner=os.getpid()) as host:
                    host.load(busybox_image())
                    self._on(session, host)
            except AssertionError as error:
                # What the session's end found left of it.
                self.account.leaks += 1
                self.problems.append(str(error))

    def _on(self, session: SessionStack, host: WorkerNode) -> None:
        stack = session.stack
        with Api(stack.api_url) as api:
            eventually(lambda: len([1 for one in api.json("/hosts")["available_hosts"] if one["docker"]]) == 2)
            with Ledger(api, stack.layout, [host.docker_url], patience=_PATIENCE_S) as ledger:
                workload = Workload(ledger, host.name, self._seed)
                workload.start()
                self._inject(session, host, ledger)
                workload.end()
                if workload.error is not None:
                    self.problems.append(f"the workload ended early: {workload.error!r}")
                self.account = ledger.settle()
                self.submitted = len(ledger.entries)
                self.duplicates = ledger.duplicates()
                self._check_strangers(api, ledger)
        self.problems += self.account.problems

    def _inject(self, session: SessionStack, host: WorkerNode, ledger: Ledger) -> None:
        choose = random.Random(f"faults {self._seed}")
        deadline = Deadline(self._seconds)
        weighted, weights = zip(*faults.ALL, strict=True)
        # Each kind once, in a random order, before any comes again.
        first = list(weighted)
        choose.shuffle(first)
        while True:
            time.sleep(choose.uniform(*_BETWEEN_FAULTS))
            if deadline.passed():
                return
            fault = first.pop() if first else choose.choices(weighted, weights)[0]
            logger.info("%s", fault.name)
            if fault.kills:
                ledger.killed(*list(ledger.entries))
            fault.happen(session.stack, host)
            if fault.kills:
                # Those too that were submitted meanwhile.
                ledger.killed(*list(ledger.entries))
            self.injected[fault.name] += 1

    def _check_strangers(self, api: Api, ledger: Ledger) -> None:
        strangers = {job["job_id"] for job in api.json("/jobs")} - set(ledger.entries)
        if strangers:
            self.problems.append(f"{len(strangers)} jobs that nobody was told of: {sorted(strangers)}")

    @property
    def good(self) -> bool:
        """Whether all is accounted for and nothing was doubled or left."""
        return not (self.problems or self.duplicates or self.account.leaks) and (
            self.submitted == self.account.accounted > 0
        )

    def table(self) -> str:
        """What was done and found."""
        rows: list[tuple[str, object]] = [(f"fault: {name}", count) for name, count in sorted(self.injected.items())]
        rows.append(("faults injected", self.injected.total()))
        rows += [(f"jobs {status}", count) for status, count in sorted(self.account.statuses.items())]
        rows += [
            ("jobs submitted", self.submitted),
            ("jobs accounted for", self.account.accounted),
            ("follows compared", self.account.follows),
            ("log bytes compared", self.account.log_bytes),
            ("duplicates", self.duplicates),
            ("leaks", self.account.leaks),
        ]
        lines = [f"{name:<38}{value:>12}" for name, value in rows]
        return "\n".join([*lines, *(f"PROBLEM: {problem}" for problem in self.problems)])


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    """The session's shared root as a mount, which can be filled."""
    root = folder / "shared"
    root.mkdir()
    with own_storage(root, _ROOM):
        yield


def main() -> int:
    """Run and print the table; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="chooses jobs and faults")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    soak = Soak(options.seconds, options.seed)
    soak.run()
    print(soak.table())
    return 0 if soak.good else 1


if __name__ == "__main__":
    sys.exit(main())
