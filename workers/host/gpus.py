"""Which GPUs a container gets: Ray counts them, the labels of the engine's containers say which ones are taken.

After a runner's death Ray may give a GPU away that the container it left still uses; so the ids are chosen among those
that no live container of any installation holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypedDict

from workers.common.names import LABEL_GPUS

#: Containers in these states have their devices, or will have them.
_LIVE: Final = ("created", "running", "paused", "restarting")


class Holder(TypedDict):
    """A live container that holds GPUs; `gpus` are device ids."""

    id: str
    gpus: list[str]


def split(label: str) -> list[str]:
    """The device ids in a container's GPU label."""
    return [device for device in label.split(",") if device]


def held(client: Any) -> list[Holder]:
    """The live containers of this engine that hold GPUs, oldest first."""
    listed = client.containers(all=True, filters={"label": [LABEL_GPUS], "status": list(_LIVE)})
    listed.sort(key=lambda one: (one["Created"], one["Id"]))
    return [{"id": one["Id"], "gpus": split(one["Labels"][LABEL_GPUS])} for one in listed]


def choose(wanted: int, allotted: Sequence[str], node_gpus: int, taken: Iterable[str]) -> list[str] | None:
    """`wanted` device ids that are not `taken`, those that Ray allotted first; None if there are not as many."""
    busy = set(taken)
    known = dict.fromkeys([*allotted, *(str(number) for number in range(node_gpus))])
    free = [device for device in known if device not in busy]
    return free[:wanted] if len(free) >= wanted else None


def lost(container_id: str, holders: Sequence[Holder]) -> bool:
    """Whether `container_id` was given a GPU that an older container holds: two runners chose at the same time."""
    older: set[str] = set()
    for holder in holders:
        if holder["id"] == container_id:
            return bool(older & set(holder["gpus"]))
        older.update(holder["gpus"])
    return False
