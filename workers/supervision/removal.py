"""Removing ended jobs: record, folders, container."""

import asyncio
import logging

from workers.common.options import Options
from workers.jobs.records import JobRecord
from workers.outputs import job_folder
from workers.supervision.book import JobBook
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.root_watch import RootWatch

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
        if record.placed and reachable is not None:
            await self._on_host(reachable, "remove", self._cluster_id, record.job_id)
        self._book.remove(record.job_id)
        # A write of the record that is under way would make its folder again.
        await self._book.flush(record.job_id)
        for folder in await asyncio.to_thread(job_folder.delete, self._book.layout, record.job_id):
            # A container wrote there as another user; one of its kind may remove it.
            away = str(folder.relative_to(self._book.layout.root))
            if reachable is not None:
                await self._on_host(
                    reachable, "delete_tree", str(folder), record.image, f"{self._options.host_shared_root}/{away}"
                )

    async def _on_host(self, host: Host, method: str, *args: object) -> None:
        """Ask a host to tidy up; what it can't do now is left to the sweeper."""
        try:
            await self._hosts.call(host, method, *args, timeout_s=self._options.docker_timeout_s)
        except Exception as error:
            # It belongs to no job from here on, which is how the sweeper finds it.
            logger.warning("%s of %s is left to the sweeper on %s: %s", method, args[1], host.name, error)
