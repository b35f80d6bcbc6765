"""The clients of the deployments: each method calls the replica's of the same name, with the same arguments."""

import inspect
from typing import Any

import pytest

from deployments.datasets_client import DatasetsClient
from deployments.interfaces import DatasetBuilds, SiteReads
from deployments.pipe import Ticket
from deployments.sites_client import SitesClient
from workers.datasets.builds.options import DatasetOptions
from workers.sites.options import SitesOptions

#: What every replica here answers: a ticket, which is an answer of any other method too.
TICKET: Ticket = {"host": "replica", "port": 1, "token": b"token"}


class Handle:
    """A Serve handle of any deployment. It keeps the name and the arguments of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> "Method":
        return Method(self, name)


class Method:
    def __init__(self, handle: Handle, name: str) -> None:
        self._handle = handle
        self._name = name

    async def remote(self, *args: Any) -> Ticket:
        self._handle.calls.append((self._name, args))
        return TICKET


def methods(interface: type[Any]) -> list[str]:
    return [name for name, _ in inspect.getmembers(interface, inspect.iscoroutinefunction)]


def client_of(interface: type[Any], handle: Handle) -> Any:
    if interface is SiteReads:
        return SitesClient(handle, SitesOptions())
    return DatasetsClient(handle, DatasetOptions("/shared", SitesOptions()))


@pytest.mark.parametrize(
    ("interface", "name"),
    [(interface, name) for interface in (SiteReads, DatasetBuilds) for name in methods(interface)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_a_method_calls_the_one_of_its_name_with_its_arguments(interface: type[Any], name: str) -> None:
    _, *parameters = inspect.signature(getattr(interface, name)).parameters
    # Each argument is another one, so that two that are exchanged are seen; `seconds` is a number.
    given = [2.5 if parameter == "seconds" else f"the {parameter}" for parameter in parameters]
    handle = Handle()
    answer = await getattr(client_of(interface, handle), name)(*given)
    assert handle.calls == [(name, tuple(given))]
    assert answer == TICKET


@pytest.mark.parametrize("interface", [SiteReads, DatasetBuilds])
def test_the_interfaces_have_methods(interface: type[Any]) -> None:
    assert len(methods(interface)) >= 5
