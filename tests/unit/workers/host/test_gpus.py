"""GPU ids: those that Ray allotted, unless a live container holds them."""

import pytest

from workers.host.gpus import Holder, choose, lost


@pytest.mark.parametrize(
    ("wanted", "allotted", "node_gpus", "taken", "chosen"),
    [
        (1, ["1"], 2, [], ["1"]),
        (1, ["1"], 2, ["1"], ["0"]),
        (2, ["0", "1"], 4, ["1"], ["0", "2"]),
        (1, [], 2, ["0"], ["1"]),
        (1, ["0"], 1, ["0"], None),
        (2, ["0"], 1, [], None),
        (1, ["GPU-8f14"], 1, [], ["GPU-8f14"]),
    ],
)
def test_a_gpu_is_given_to_one_container(
    wanted: int, allotted: list[str], node_gpus: int, taken: list[str], chosen: list[str] | None
) -> None:
    assert choose(wanted, allotted, node_gpus, taken) == chosen


def test_of_two_that_chose_the_same_gpu_the_older_keeps_it() -> None:
    holders: list[Holder] = [
        {"id": "old", "gpus": ["0", "1"]},
        {"id": "new", "gpus": ["1"]},
        {"id": "other", "gpus": ["2"]},
    ]
    assert [lost(name, holders) for name in ("old", "new", "other")] == [False, True, False]
