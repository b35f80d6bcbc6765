"""Accounts for jobs: each that was acknowledged, its true end, every byte of its log, and nothing left behind."""

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import docker
import requests
from docker.errors import DockerException

from scripts.harness.api import PATIENCE, Api, eventually
from scripts.harness.jobs import ENDED, request, wait_for
from tests.faults.events import ContainerEvents
from tests.faults.kinds import Kind
from workers.common import identity, names
from workers.common.clock import Deadline
from workers.common.layout import Layout

#: Reasons of a job whose container died with its engine.
_ENGINE_DEATH: Final = ("killed", "nonzero_exit", "container_lost")


@dataclass
class Follower:
    """A client that follows a job's log, and starts over when its stream is broken off."""

    api: Api
    job: str
    #: The whole of the stream that ended in an orderly way.
    text: bytes | None = None
    status: str | None = None
    broken: int = 0
    _thread: threading.Thread = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._follow, name=f"follow {self.job}", daemon=True)
        self._thread.start()

    def join(self, deadline: float) -> None:
        self._thread.join(deadline)
        assert not self._thread.is_alive(), f"following job {self.job} does not end"

    def _follow(self) -> None:
        limit = Deadline(4 * PATIENCE)
        with Api(self.api.base) as api:
            while not limit.passed():
                try:
                    with api.get(f"/logs/{self.job}", params={"follow": "true"}, stream=True, timeout=120) as answer:
                        answer.raise_for_status()
                        text = b"".join(answer.iter_content(1 << 16))
                    self.text, self.status = text, api.json(f"/status/{self.job}")["status"]
                    return
                except (requests.RequestException, AssertionError):
                    self.broken += 1
                    threading.Event().wait(0.5)


@dataclass
class Entry:
    """A job that was acknowledged."""

    job: str
    kind: Kind
    stopped: bool = False
    #: Its engine may have died under it, which ends containers.
    may_be_killed: bool = False
    followers: list[Follower] = field(default_factory=list)


@dataclass
class Account:
    """What `Ledger.settle` found."""

    jobs: int = 0
    #: Jobs whose end, log and followers are as they must be.
    accounted: int = 0
    #: Containers that are left.
    leaks: int = 0
    log_bytes: int = 0
    follows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Ledger:
    """Submits jobs and keeps the books of them. `engines` are the URLs of further engines than the default one."""

    def __init__(
        self,
        api: Api,
        layout: Layout,
        engines: Sequence[str] = (),
        *,
        target_host: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`target_host` is that of jobs that name none; `patience` is how long, in seconds, an answer or an end may
        take."""
        self.api = api
        self.patience = patience
        self._target = {} if target_host is None else {"target_host": target_host}
        self._layout = layout
        self.entries: dict[str, Entry] = {}
        cluster_id = identity.read(layout)
        assert cluster_id is not None, f"{layout.root} holds no installation"
        self._cluster_id = cluster_id
        self._engines = [None, *engines]
        self._events = [ContainerEvents(cluster_id, url) for url in self._engines]
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as started:
            for events in self._events:
                started.enter_context(events)
            self._exit = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()
        for entry in self._endless():
            # A test failed on its way: its jobs would hold the hosts' room from all tests after it.
            with suppress(requests.RequestException):
                self.api.post(f"/stop/{entry.job}")

    def submit(self, kind: Kind, *, followers: int = 0, **fields: Any) -> str:
        """Submit a job until it is acknowledged, as a client does: the same request again after any failure."""
        body = request(kind.script, **{**self._target, **kind.fields, **fields}, idempotency_key=str(uuid.uuid4()))

        def post() -> requests.Response:
            return self.api.post("/run-simulation", json=body)

        what = f"the submission of a {kind.name} job"
        answer = eventually(post, _decided, what=what, deadline=self.patience)
        assert answer.status_code == 200, answer.text
        job = str(answer.json()["job_id"])
        assert job not in self.entries, f"two submissions became one job {job}"
        self.entries[job] = Entry(job, kind)
        for _ in range(followers):
            self.entries[job].followers.append(Follower(self.api, job))
        return job

    def running(self, *jobs: str) -> None:
        """Wait until jobs run. One that ends by itself may have done so already, on a machine that is busy."""
        for job in jobs:
            wait_for(self.api, job, "running" if self.entries[job].kind.endless else ("running", *ENDED))

    def stop(self, job: str) -> None:
        """Ask for a job's end until that is acknowledged."""
        self.entries[job].stopped = True
        answer = eventually(
            lambda: self.api.post(f"/stop/{job}"),
            _decided,
            what=f"the stop of job {job}",
            deadline=self.patience,
        )
        assert answer.status_code == 200, answer.text

    def _endless(self) -> list[Entry]:
        """The jobs that run on, since nobody has asked for their end."""
        return [entry for entry in self.entries.values() if entry.kind.endless and not entry.stopped]

    def killed(self, *jobs: str) -> None:
        """Say that the engine of these jobs dies, and their containers with it."""
        for job in jobs:
            self.entries[job].may_be_killed = True

    def settle(self) -> Account:
        """Let every job end, and compare all there is with what must be. Problems are in the account, not raised."""
        account = Account()
        for entry in self._endless():
            self.stop(entry.job)
        for entry in self.entries.values():
            before = len(account.problems)
            try:
                self._compare(entry, wait_for(self.api, entry.job, deadline=self.patience), account)
            except AssertionError as error:
                account.problems.append(str(error))
            account.accounted += len(account.problems) == before
        self._check_listing(account)
        self._check_containers(account)
        return account

    def _compare(self, entry: Entry, status: dict[str, Any], account: Account) -> None:
        account.jobs += 1
        account.statuses[status["status"]] += 1
        told = f"{entry.kind.name} job {entry.job} ({status['status']}, {status['reason']}, {status['detail']})"
        path = self._layout.container_log(entry.job)
        log = path.read_bytes() if path.exists() else b""
        account.log_bytes += len(log)
        problems = account.problems
        # The API gives text: what is no UTF-8 is replaced.
        shown = log.decode("utf-8", "replace").encode()
        if self.api.get(f"/logs/{entry.job}").content != shown:
            problems.append(f"{told}: the API does not give the log's {len(log)} bytes")
        if status["status"] == "canceled":
            if not entry.stopped or log:
                problems.append(f"{told} was canceled: stop asked: {entry.stopped}, log {log[:80]!r}")
        elif entry.may_be_killed and _engine_died(status):
            if log != entry.kind.cut(log):
                problems.append(f"{told}: the log is no beginning of what it prints: ...{log[-200:]!r}")
        else:
            if status["exit_code"] != entry.kind.exit_code or status["status"] != entry.kind.status:
                problems.append(f"{told} ended with exit code {status['exit_code']}, not {entry.kind.exit_code}")
            wanted = entry.kind.expected(log)
            if log != wanted:
                problems.append(f"{told}: its log of {len(log)} bytes is not the {len(wanted)} bytes that it prints")
        for follower in entry.followers:
            follower.join(PATIENCE)
            account.follows += 1
            if follower.text != shown or follower.status not in ENDED:
                size = None if follower.text is None else len(follower.text)
                problems.append(f"{told}: a follower got {size} of {len(log)} bytes and {follower.status}")

    def _check_listing(self, account: Account) -> None:
        listed = Counter(job["job_id"] for job in self.api.json("/jobs"))
        for job in self.entries:
            if listed[job] != 1:
                account.problems.append(f"job {job} is listed {listed[job]} times")

    def _check_containers(self, account: Account) -> None:
        starts = sum((events.starts() for events in self._events), Counter[str]())
        for job in self.entries:
            if starts[job] > 1:
                account.problems.append(f"job {job} was started {starts[job]} times")
        try:
            eventually(self.containers, lambda left: not left, what="the end of all containers")
        except AssertionError as error:
            account.problems.append(str(error))
            account.leaks = len(self.containers())

    def duplicates(self) -> int:
        """How many starts of containers were one too many."""
        starts = sum((events.starts() for events in self._events), Counter[str]())
        return sum(count - 1 for count in starts.values() if count > 1)

    def containers(self) -> list[str]:
        """The names of the installation's containers on all engines."""
        left = []
        for url in self._engines:
            client = docker.DockerClient(base_url=url, timeout=60) if url else docker.from_env(timeout=60)
            try:
                label = f"{names.LABEL_CLUSTER}={self._cluster_id}"
                found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
                left += [str(container.name) for container in found]
            except (DockerException, requests.RequestException) as error:
                left.append(f"(unknown: {error})")
            finally:
                client.close()
        return left


def _engine_died(status: dict[str, Any]) -> bool:
    """Whether a job ended as one does whose engine dies: by a signal, or with 255 where the engine can't know."""
    if status["status"] == "stopped":
        return status["exit_code"] in (None, 137, 255)
    return status["status"] == "failed" and status["reason"] in _ENGINE_DEATH


def _decided(answer: requests.Response) -> bool:
    """Whether the application accepted or refused for good. While it starts the proxy says 404 by itself, and a host
    that has not joined again yet is not found."""
    if answer.status_code >= 500 or not answer.headers.get("Content-Type", "").startswith("application/json"):
        return False
    return answer.status_code == 200 or answer.json().get("code") != "host_not_found"
