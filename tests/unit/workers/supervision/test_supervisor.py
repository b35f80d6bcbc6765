"""What the supervisor answers while it can't start."""

import asyncio

import pytest

from workers.common.errors import ErrorCode, OpevaError, StorageFull, Unavailable
from workers.supervision import supervisor
from workers.supervision.supervisor import JobSupervisor


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (StorageFull("No room"), StorageFull, ErrorCode.STORAGE_FULL),
        (Unavailable("No room", ErrorCode.SHARED_ROOT_MISSING), Unavailable, ErrorCode.SHARED_ROOT_MISSING),
        (OSError("No room"), Unavailable, ErrorCode.SUPERVISOR_STARTING),
    ],
)
async def test_what_keeps_it_from_starting_is_answered_as_the_kind_of_error_that_it_is(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[OpevaError], code: ErrorCode
) -> None:
    failed = asyncio.Event()

    async def _open(self: JobSupervisor) -> None:
        failed.set()
        raise fault

    monkeypatch.setattr(supervisor, "START_WAIT_S", 0.0)
    monkeypatch.setattr(JobSupervisor, "_open", _open)
    # Without its constructor, which begins to look for hosts.
    starting = object.__new__(JobSupervisor)
    starting._ready, starting._retired = asyncio.Event(), False
    task = asyncio.create_task(starting._start())
    await failed.wait()
    with pytest.raises(OpevaError) as caught:
        await starting.started()
    task.cancel()
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.detail == "The job supervisor can't work: No room"
