"""Ray's nodes: which of them is the head, and which carry this package."""

from collections.abc import Iterable
from typing import Any, Final

#: Every node's id as a label, which schedulers can be told to look for or to avoid.
NODE_LABEL: Final = "ray.io/node-id"
#: Enough of a resource to be sent only to nodes that have it, too little to use it up.
TRACE: Final = 0.001
#: Ray's own resource of its head.
HEAD: Final = "node:__internal_head__"
#: To be placed on the head, which carries this package wherever it can be deployed from.
HEAD_TRACE: Final = {HEAD: TRACE}
#: A resource or a label by which an operator says that a node carries this package too.
PACKAGE: Final = "opeva_data"


def with_package(nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of Ray's nodes (`ray.nodes()`) that carry this package: the head, and those that say so."""
    return [
        node
        for node in nodes
        if HEAD in (node.get("Resources") or {})
        or PACKAGE in (node.get("Resources") or {})
        or PACKAGE in (node.get("Labels") or {})
    ]
