"""A whole stack: development database, Ray head, application; up, down, and what tests do to it."""

import contextlib
import fcntl
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from scripts.stack.mongo import EmbeddedMongo
from scripts.stack.plan import Plan
from scripts.stack.processes import end_strays
from scripts.stack.ray_head import RayHead
from scripts.stack.serve import ServeDeployment
from workers.common import identity, names
from workers.common.clock import Deadline
from workers.common.files import write_atomic
from workers.common.layout import Layout

#: How long another `up` or `down` of the same run folder may take before this one gives up, seconds.
_LOCK_DEADLINE = 600.0


class StackError(RuntimeError):
    """The stack can't be brought up or down; the message says why, for people."""


class Stack:
    """The stack of one plan. Methods may be called from several processes: a lock in the run folder orders them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ray = RayHead(plan)
        self.mongo = EmbeddedMongo(plan.ports.mongo, plan.mongo_folder, f"{plan.mark}-mongo", plan.owner)
        self.serve = ServeDeployment(plan, self.ray.dashboard)

    # --- where it is -------------------------------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.plan.ports.api}"

    @property
    def dashboard_url(self) -> str:
        return self.ray.dashboard

    @property
    def mongo_uri(self) -> str:
        return self.plan.mongo_uri or self.mongo.uri

    @property
    def ray_address(self) -> str:
        """For `ray.init(address=...)`, and for the nodes that join."""
        return f"{self.plan.node_ip}:{self.plan.ports.gcs}"

    @property
    def layout(self) -> Layout:
        return Layout(self.plan.shared_root)

    @property
    def cluster_id(self) -> str | None:
        """The installation's id, None before there is one."""
        return identity.read(self.layout)

    def environment(self) -> dict[str, str]:
        """The environment of this stack's processes, for a driver or a worker that joins."""
        return self.plan.environment(self.mongo_uri)

    # --- up and down -------------------------------------------------------------------------------------------------

    def up(self, say: Any = print, *, redeploy: bool = False) -> None:
        """Bring up what does not run, and redeploy the application if its code or settings changed (or `redeploy`).

        Raises StackError; what this call started is ended then.
        """
        with self._locked():
            was_up = self.ray.alive()
            try:
                self._up(say, redeploy=redeploy)
            except (RuntimeError, OSError) as error:
                if not was_up:
                    self._down()
                raise StackError(str(error)) from error
            except BaseException:
                # Interrupted: a half-started stack helps nobody.
                if not was_up:
                    self._down()
                raise

    def down(self, say: Any = print, *, containers: bool = True) -> None:
        """End the application, Ray, the development database and (unless told not to) the jobs' containers."""
        with self._locked():
            # Ray first: it would make new containers meanwhile, and call those that vanish a failure.
            self.ray.stop()
            if containers:
                self._end_containers(say)
            self._down()

    def _up(self, say: Any, *, redeploy: bool) -> None:
        plan, uri = self.plan, self.mongo_uri
        state = self._state()
        head = plan.head_fingerprint(uri)
        if self.ray.alive() and state.get("head") != head:
            say("Ray is restarted, since its settings changed; the containers of jobs go on and are found again.")
            self.ray.stop()
        self._check_ports()
        self._make_root(say)
        if plan.mongo_uri is None and not self.mongo.alive():
            say(f"OPEVA_MONGO_URI isn't set: a database for development runs at {self.mongo.uri}")
            self.mongo.start(self.environment())
        if not self.ray.alive():
            self.ray.stop()
            say("Ray starts; the first time takes half a minute.")
            self.ray.start(self.environment())
            self._remember(head=head, application=None)
            state = {}
        config = self.serve.rendered(uri)
        application = json.dumps(config, sort_keys=True)
        runs = state.get("application") == application and self._runs()
        if redeploy or not runs:
            if redeploy and runs:
                # Serve does nothing for a config that it has already.
                for entry in config["applications"]:
                    entry["runtime_env"]["env_vars"]["APP_DEPLOYMENT"] = uuid.uuid4().hex
            say("The application is deployed.")
            self._remember(head=head, application=None)
            self.serve.deploy(config)
            self._remember(head=head, application=application)
            if problem := self.serve.ailing():
                say(f"The application runs, but something that it needs does not: {problem}")

    def _down(self) -> None:
        self.ray.stop()
        self.mongo.stop()
        end_strays(f"{self.plan.mark}-mongo", self.plan.mongo_folder)
        self.plan.state_file.unlink(missing_ok=True)

    def _runs(self) -> bool:
        states = [details["status"] for details in self.serve.applications().values()]
        return bool(states) and set(states) == {"RUNNING"} and self.serve.answers()

    def _check_ports(self) -> None:
        busy = self.plan.ports.busy()
        if self.ray.alive():
            busy = {name: port for name, port in busy.items() if name == "mongo"}
        if self.plan.mongo_uri is not None or self.mongo.alive():
            busy.pop("mongo", None)
        if busy:
            listed = ", ".join(f"{port} ({name})" for name, port in busy.items())
            raise StackError(f"In use by something else: port {listed}. Set OPEVA_PORT_BASE to a free block of ports.")

    def _make_root(self, say: Any) -> None:
        """A shared root that we create is a new installation; one that exists is left as it is."""
        root = self.plan.shared_root
        if root.exists():
            return
        identity.create(self.layout)
        say(f"The shared folder {root} is created.")

    def _end_containers(self, say: Any) -> None:
        """Stop and remove the containers that bear this installation's id."""
        cluster = self.cluster_id
        if cluster is None:
            return
        try:
            client = docker.from_env(timeout=60)
        except DockerException:
            return  # no engine, no containers
        try:
            label = f"{names.LABEL_CLUSTER}={cluster}"
            found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
            if any(container.status == "running" for container in found):
                say("Jobs run; their containers are ended.")
            for container in found:
                with contextlib.suppress(NotFound):  # it went by itself
                    container.remove(force=True)
        except DockerException as error:
            say(f"Docker does not answer ({error}): containers with the label {label} may be left.")
        finally:
            client.close()

    # --- what tests do -----------------------------------------------------------------------------------------------

    def restart_ray(self, say: Any = print, *, kill: bool = False) -> None:
        """End Ray (with `kill` at once, as a power cut would) and bring everything up again."""
        if kill:
            self.ray.kill()
        else:
            self.ray.stop()
        self.up(say)

    def pids(self, text: str) -> list[int]:
        """The pids of this stack's Ray processes whose command line or title holds `text`."""
        return [pid for pid, line in self.ray.processes().items() if text in line]

    # --- state -------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What runs: for people and for `make status`."""
        applications = {name: details["status"] for name, details in self.serve.applications().items()}
        return {
            "ray": self.ray.alive(),
            "applications": applications,
            "api": self.serve.answers(),
            "database": self.plan.mongo_uri is not None or self.mongo.alive(),
        }

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self.plan.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _remember(self, **state: Any) -> None:
        # Readable by its owner only: it holds digests of secrets.
        write_atomic(self.plan.state_file, json.dumps({**state, "cluster": self.cluster_id}).encode(), mode=0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.plan.logs.mkdir(parents=True, exist_ok=True)
        with (self.plan.run_dir / "lock").open("w") as file:
            deadline = Deadline(_LOCK_DEADLINE)
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if deadline.passed():
                        raise StackError(f"Another up or down of {self.plan.run_dir} does not end") from None
                    time.sleep(0.2)
            yield
