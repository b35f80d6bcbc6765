"""The hosts: which Ray nodes there are, what they are called, and what their agents say of their Docker engines."""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers.common import names
from workers.common.clock import Deadline, Stopwatch, now
from workers.common.nodes import HEAD, PACKAGE
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.host.agent_answers import HostInfo
from workers.host.remote import agent_class

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Deadline of one question to Ray's control service.
RAY_TIMEOUT_S = 10.0
#: A probe asks a host's agent again after so long.
PROBE_EVERY_S = 2.0
#: A node whose agent can't be made at all is tried again after so long.
AGENT_RETRY_S = 30.0
#: The label by which an operator names a host.
NAME_LABEL = "opeva.host"
#: Resources that Ray itself gives a node, or that say what it carries; the others are names and tags.
_NO_TAGS = {"CPU", "GPU", "memory", "object_store_memory", PACKAGE}


@dataclass(frozen=True)
class Host:
    """A Ray node as it was last seen. `resources` are Ray's totals, memory in bytes; `last_seen` is epoch seconds."""

    name: str
    address: str
    node_id: str
    hostname: str
    resources: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    #: The node of Ray's head.
    head: bool = False
    #: Ray counts the node as alive, and its agent answered lately.
    online: bool = False
    #: The Docker engine answers; None while nobody has asked yet.
    docker: bool | None = None
    docker_error: str | None = None
    #: Why it does not have the installation's shared folder; None if it has.
    folder_error: str | None = None
    #: Why Ray's node there can have no agent at all.
    lacking: str | None = None
    gpu: tuple[str, ...] = ()
    #: What its agent says; None while nobody has asked yet.
    info: HostInfo | None = None
    last_seen: float | None = None

    @property
    def problem(self) -> str | None:
        """Why no job can run here now, in a sentence; None if one can."""
        if self.lacking is not None:
            return self.lacking
        if not self.online:
            return f"The host {self.name} is not reachable"
        if self.docker is None:
            return f"The host {self.name} was not asked yet"
        if not self.docker:
            return self.docker_error or f"Docker on host {self.name} does not answer"
        return self.folder_error

    @property
    def tags(self) -> frozenset[str]:
        """What an operator gave the node beside its name: resources such as `gpu_node`, and labels with any value."""
        return self.resource_tags | {
            name for name in self.labels if name not in (NAME_LABEL, PACKAGE) and "/" not in name
        }

    @property
    def resource_tags(self) -> frozenset[str]:
        """The tags that are resources, by which Ray's scheduler can find a node."""
        return frozenset(
            name for name, amount in self.resources.items() if amount > 0 and name not in _NO_TAGS and ":" not in name
        )

    def named(self, detail: str | None) -> str | None:
        """A sentence that was made on this host, with the host's name in place of its machine's.

        The code on a machine knows only the machine's own name. If that is `vm-17` and the host is called `big`, then
        "Docker on host vm-17 does not answer" becomes "Docker on host big does not answer"
        (`test_a_sentence_from_a_host_names_it_as_people_know_it`).
        """
        return detail and detail.replace(f"host {self.hostname}", f"host {self.name}")

    def amount(self, resource: str) -> float:
        """How much of a resource the node has in all."""
        return self.resources.get(resource, 0.0)


class HostDirectory:
    """Watches Ray's nodes, keeps an agent on each, and knows the hosts by name.

    A host that leaves Ray stays listed as offline, since its jobs may still run. One that returns has a new node id and
    its old name. `wait` returns when the picture changed.
    """

    def __init__(self, options: Options, version: str) -> None:
        self._options = options
        self._version = version
        self._hosts: dict[str, Host] = {}
        self._agents: dict[str, Any] = {}
        self._heard: dict[str, Stopwatch] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}
        #: Nodes whose agent could not be made, until when that is not tried again.
        self._no_agent: dict[str, Deadline] = {}
        #: The installation's id, once it is known: hosts that have another one's shared folder run no jobs.
        self.cluster_id: str | None = None
        #: Nodes whose host came back as another: for a while Ray may still count both as alive.
        self._replaced: set[str] = set()
        self._watched = Stopwatch()
        self._changed = asyncio.Event()
        #: Called when the picture changed.
        self.on_change: Callable[[], None] = lambda: None
        #: Counts the changes of the picture.
        self.number = 0
        #: Every live node of the first look has answered, or had `agent_timeout_s` to do so.
        self.settled = asyncio.Event()

    def all(self) -> list[Host]:
        """Every known host, those that left included."""
        return list(self._hosts.values())

    def by_name(self, name: str) -> Host | None:
        """The host of that name."""
        return self._hosts.get(name)

    def by_node(self, node_id: str) -> Host | None:
        """The host whose node has this id now."""
        return next((host for host in self._hosts.values() if host.node_id == node_id), None)

    async def met(self, node_id: str, timeout_s: float) -> Host | None:
        """The host of a node, waited for if the node has only just joined; None if it is not met in time."""
        deadline = Deadline(timeout_s)
        while (host := self.by_node(node_id)) is None and not deadline.passed():
            await self.wait(self.number, deadline.left())
        return host

    async def wait(self, number: int, timeout_s: float) -> None:
        """Wait until the picture changed after `number`, at most `timeout_s`."""
        deadline = Deadline(timeout_s)
        while self.number <= number and not deadline.passed():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline.left())
            except TimeoutError:
                return

    async def watch(self) -> None:
        """Look at the nodes for ever."""
        while True:
            try:
                await self._look()
            except Exception as error:
                # The control service may be away for a while; what is known of the hosts then ages by itself.
                logger.warning("Ray's nodes could not be listed: %s", error)
                self._age()
            await asyncio.sleep(self._options.host_poll_s)

    async def call(
        self,
        host: Host,
        timeout_s: float,
        method: Callable[Concatenate[HostAgent, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a method of a host's agent, e.g. `call(host, 20.0, HostAgent.listing, cluster_id)`.

        Raises:
            TimeoutError: no answer in time.
            ray.exceptions.RayError: the agent or its node is gone.
        """
        agent = self._agents.get(host.node_id)
        if agent is None:
            raise TimeoutError(f"The host {host.name} has no agent yet")
        called = getattr(agent, method.__name__).remote(*args, **kwargs)
        answer: T = await asyncio.wait_for(_result(called), timeout_s)
        return answer

    def engine_failed(self, node_id: str, detail: str) -> None:
        """Note at once that a node's Docker engine does not answer; the next probe has the last word."""
        host = self.by_node(node_id)
        if host is not None and host.docker:
            self._put(replace(host, docker=False, docker_error=detail))

    async def _look(self) -> None:
        nodes = await asyncio.wait_for(asyncio.to_thread(ray.nodes), RAY_TIMEOUT_S)
        alive = [node for node in nodes if node.get("Alive")]
        ids = {node["NodeID"] for node in alive}
        # The head keeps the plain name where machines share a hostname.
        for node in sorted(alive, key=lambda node: (HEAD not in (node.get("Resources") or {}), str(node["NodeID"]))):
            await self._meet(node, ids)
        self._age(ids)
        for host in self.all():
            if host.node_id in self._agents and host.node_id not in self._probes:
                self._probes[host.node_id] = asyncio.create_task(self._probe(host.node_id))
        answered = bool(alive) and all(host.docker is not None for host in self.all())
        if answered or self._watched.elapsed() > self._options.agent_timeout_s:
            self.settled.set()

    async def _meet(self, node: dict[str, Any], alive: set[str]) -> None:
        node_id = node["NodeID"]
        if node_id in self._replaced:
            return
        known = self.by_node(node_id)
        resources = dict(node.get("Resources") or {})
        if known is None:
            name = self._name_for(node, resources, alive)
            host = Host(
                name=name,
                address=node["NodeManagerAddress"],
                node_id=node_id,
                hostname=node.get("NodeManagerHostname") or name,
                resources=resources,
                labels=dict(node.get("Labels") or {}),
                head=HEAD in resources,
            )
            former = self._hosts.get(name)
            if former is not None and former.online:
                # Its former node still answers; the other is met when that one is silent or gone.
                return
            if former is not None:
                logger.info("The host %s is back as node %s", name, node_id)
                self._replaced.add(former.node_id)
                self._forget(former.node_id)
            self._put(host)
        refused = self._no_agent.get(node_id)
        if node_id not in self._agents and (refused is None or refused.passed()):
            # Making a named actor asks Ray's control service, which may be away: not in the event loop.
            making = asyncio.to_thread(self._agent_on, node_id)
            self._agents[node_id] = await asyncio.wait_for(making, RAY_TIMEOUT_S)

    def _name_for(self, node: dict[str, Any], resources: dict[str, float], alive: set[str]) -> str:
        given = sorted(name for name in resources if name.startswith(names.RESOURCE_HOST_PREFIX))
        if given:
            name = given[0].removeprefix(names.RESOURCE_HOST_PREFIX)
        else:
            name = (node.get("Labels") or {}).get(NAME_LABEL) or node.get("NodeManagerHostname") or node["NodeID"]
        taken = self._hosts.get(name)
        # One that was not heard yet, but is alive, is another machine, not an earlier life of this one.
        there = taken is not None and (taken.online or (taken.last_seen is None and taken.node_id in alive))
        if taken is not None and there and taken.address != node["NodeManagerAddress"]:
            return f"{name}-{node['NodeManagerAddress']}"
        return str(name)

    def _agent_on(self, node_id: str) -> Any:
        """The node's agent. It is detached and bears the code's version, so that a new version brings new agents."""
        return (
            agent_class()
            .options(
                name=f"{names.agent_name(node_id)}-{self._version}",
                namespace=names.NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            )
            .remote(self._version, self._options.shared_root)
        )

    async def _probe(self, node_id: str) -> None:
        """Ask an agent for its host's state until the node is gone."""
        agent = self._agents[node_id]
        while self._agents.get(node_id) == agent:
            try:
                info = await asyncio.wait_for(_result(agent.info.remote()), self._options.agent_timeout_s)
            except Exception as error:
                # Whatever kept it from answering, the host was not heard; age decides what that means.
                logger.info("The agent of node %s did not answer: %s", node_id, error)
                if isinstance(error, ray.exceptions.ActorDiedError):
                    self._agents.pop(node_id, None)
                    if lacking := _lacking(error):
                        self._no_agent[node_id] = Deadline(AGENT_RETRY_S)
                        self._without_agent(node_id, lacking)
                    break
            else:
                self._heard[node_id] = Stopwatch()
                self._learn(node_id, info)
            self._age()
            await asyncio.sleep(PROBE_EVERY_S)
        self._probes.pop(node_id, None)

    def _learn(self, node_id: str, info: HostInfo) -> None:
        host = self.by_node(node_id)
        if host is None:
            return
        self._put(
            replace(
                host,
                online=True,
                docker=bool(info.get("docker")),
                docker_error=host.named(info.get("docker_error")),
                folder_error=host.named(self._folder_error(info)),
                gpu=tuple(str(gpu) for gpu in info.get("gpus") or ()),
                info=info,
                last_seen=now(),
            )
        )

    def _folder_error(self, info: HostInfo) -> str | None:
        error = info.get("folder_error")
        if error is None and self.cluster_id is not None and info.get("cluster_id") != self.cluster_id:
            root = self._options.shared_root
            error = f"{root} on host {info['hostname']} is the shared folder of another installation than the head's"
        return error

    def _without_agent(self, node_id: str, lacking: str) -> None:
        """Note why a node that Ray counts as alive has no agent: it is no host for jobs until that is mended."""
        host = self.by_node(node_id)
        if host is not None:
            sentence = f"Ray's Python on host {host.name} lacks the package {lacking!r}: pip install {lacking}"
            self._put(replace(host, docker=False, docker_error=sentence, lacking=sentence))

    def _age(self, alive: set[str] | None = None) -> None:
        """Hosts whose node left, or whose agent is silent for too long, are offline."""
        for host in self.all():
            heard = self._heard.get(host.node_id)
            silent = heard is None or heard.elapsed() > self._options.host_silent_s
            gone = alive is not None and host.node_id not in alive
            if gone:
                self._forget(host.node_id)
            if host.online and (gone or silent):
                logger.warning("The host %s (%s) is not reachable", host.name, host.address)
                self._put(replace(host, online=False))

    def _forget(self, node_id: str) -> None:
        self._agents.pop(node_id, None)
        self._heard.pop(node_id, None)
        probe = self._probes.pop(node_id, None)
        if probe is not None:
            probe.cancel()

    def _put(self, host: Host) -> None:
        former = self._hosts.get(host.name)
        self._hosts[host.name] = host
        if former is None or _picture(former) != _picture(host):
            self.number += 1
            self._changed.set()
            self.on_change()


def _picture(host: Host) -> tuple[object, ...]:
    """What makes a difference to where jobs may go."""
    return host.node_id, host.problem, host.online, host.docker, tuple(sorted(host.resources.items()))


def _lacking(error: Exception) -> str | None:
    """The module that a node lacks, if its agent died of that when it was made."""
    found = re.search(r"No module named '([\w.]+)'", str(error))
    return found[1] if found else None


async def _result(ref: Any) -> Any:
    """The value of an object reference. A wait that is given up leaves the call itself alone."""
    return await asyncio.shield(asyncio.wrap_future(ref.future()))
