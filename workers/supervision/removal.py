"""Removing ended jobs: record, folders, container."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec

from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.jobs.records import JobRecord
from workers.outputs import job_folder
from workers.supervision.book import JobBook
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.root_watch import RootWatch

P = ParamSpec("P")

logger = logging.getLogger(__name__)


class Removal:
    """Removes what there is of an ended job."""

    def __init__(self, book: JobBook, hosts: HostDirectory, root: RootWatch, options: Options, cluster_id: str) -> None:
        self._book = book
        self._hosts = hosts
        self._root = root
        self._options = options
        self._cluster_id = cluster_id

    async def forget(self, record: JobRecord) -> None:
        """Remove a job. A container on a host that is away is swept when the host is back.

        Raises:
            StorageFull, Unavailable: the storage failed; the job may still be there.
        """
        await self._root.checked()
        host = self._hosts.by_name(record.host or "")
        reachable = host if host is not None and host.online else None
        if record.may_have_container and reachable is not None:
            await self._on_host(reachable, record.job_id, HostAgent.remove, self._cluster_id, record.job_id)
        self._book.remove(record.job_id)
        # A write of the record that is under way would make its folder again.
        await self._book.flush(record.job_id)
        for folder in await asyncio.to_thread(job_folder.delete, self._book.layout, record.job_id):
            # A container wrote there as another user; one of its kind may remove it.
            away = str(folder.relative_to(self._book.layout.root))
            if reachable is not None:
                engine_path = f"{self._options.host_shared_root}/{away}"
                await self._on_host(
                    reachable, record.image, HostAgent.delete_tree, str(folder), record.image, engine_path
                )

    async def _on_host(
        self,
        host: Host,
        what: str,
        method: Callable[Concatenate[HostAgent, P], Coroutine[Any, Any, object]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Ask a host to tidy up; what it can't do now is left to the sweeper."""
        try:
            await self._hosts.call(host, self._options.docker_timeout_s, method, *args, **kwargs)
        except Exception as error:
            # It belongs to no job from here on, which is how the sweeper finds it.
            logger.warning("%s of %s is left to the sweeper on %s: %s", method.__name__, what, host.name, error)
