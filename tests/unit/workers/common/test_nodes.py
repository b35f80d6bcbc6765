"""Which nodes of Ray carry this package."""

from typing import Any

from workers.common.nodes import with_package


def node(name: str, **values: Any) -> dict[str, Any]:
    return {"NodeID": name, **values}


def test_the_head_carries_the_package_and_whoever_says_so() -> None:
    nodes = [
        node("head", Resources={"CPU": 1.0, "node:__internal_head__": 1.0}, Labels={}),
        node("by resource", Resources={"opeva_data": 1.0}, Labels=None),
        node("by label", Resources=None, Labels={"opeva_data": "yes"}),
        node("worker", Resources={"CPU": 8.0, "node:10.0.0.2": 1.0}, Labels={"rack": "7"}),
        node("dead"),
    ]
    assert [one["NodeID"] for one in with_package(nodes)] == ["head", "by resource", "by label"]
