"""What the supervisor answers: plain data, made by it and read in `client` and `launch`.

They may be of different versions while a new one is deployed, so a key that is here stays.
"""

from typing import Any, TypedDict

from workers.supervision.host_answers import HostsAnswer


class Given(TypedDict):
    """What a supervisor was made with: its options (`Options.to_dict`) and the version of its code."""

    options: dict[str, Any]
    version: str


class Changes(TypedDict):
    """What changed among the jobs after `number` of an earlier answer.

    `records` are records as JSON data (`JobRecord.to_dict`) with `change`, the epoch and number of what made each what
    it is; `removed` are job ids. With `reset`, `records` is everything there is.
    """

    epoch: str
    number: int
    reset: bool
    records: list[dict[str, Any]]
    removed: list[str]


class News(Changes):
    """What an API process's copy of the jobs is kept by; `storage` is what is wrong there, or None."""

    hosts: HostsAnswer
    hosts_settled: bool  # every host had the time to answer: until then an earlier picture is the better one
    cluster_id: str
    storage: str | None
