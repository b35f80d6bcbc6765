"""Keeps house: sweeps what nobody owns, and deletes ended jobs as the retention settings say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from workers import job_files, names
from workers.book import JobBook
from workers.clock import now
from workers.errors import InvalidInput, OpevaError
from workers.hosts import Host, HostDirectory
from workers.listings import Listings
from workers.options import Options
from workers.records import JobRecord
from workers.sweeper import Grace, Orphan, ownerless_containers

logger = logging.getLogger(__name__)

_DAY_S = 86_400.0


class Housekeeping:
    """Runs beside the supervision, every `sweep_every_s`."""

    def __init__(
        self,
        book: JobBook,
        hosts: HostDirectory,
        listings: Listings,
        options: Options,
        cluster_id: str,
        forget: Callable[[JobRecord], Awaitable[None]],
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._listings = listings
        self._options = options
        self._cluster_id = cluster_id
        self._forget = forget
        self._grace = Grace(options.sweep_grace_s)

    async def run(self) -> None:
        """Keep house for ever."""
        while True:
            await asyncio.sleep(self._options.sweep_every_s)
            try:
                await self.sweep()
                await self.retire_old_jobs()
            except (OpevaError, OSError) as error:
                logger.warning("Housekeeping was broken off and is tried again later: %s", error)

    async def sweep(self) -> None:
        """Remove containers and folders that have been nobody's for the grace period."""
        for host in self._hosts.all():
            containers = await self._listings.of(host, fresh=True) if host.online else None
            if containers is None:
                continue
            orphans = ownerless_containers(containers, host.name, self._book.find)
            for orphan in self._grace.due(host.name, orphans):
                await self._remove_container(host, orphan)
        folders = await asyncio.to_thread(self._ownerless_folders)
        for orphan in self._grace.due("folders", folders):
            await self._remove_folder(orphan)
        if not self._options.sweep_dry_run:
            await asyncio.to_thread(job_files.finish_deletions, self._book.layout)

    async def _remove_container(self, host: Host, orphan: Orphan) -> None:
        if self._options.sweep_dry_run:
            logger.info("Would remove container %s on %s: %s", orphan.key, host.name, orphan.why)
            return
        timeout_s = self._options.default_stop_grace_s + self._options.kill_deadline_s + self._options.docker_timeout_s
        try:
            answer = await self._hosts.call(
                host, "sweep", self._cluster_id, [orphan.key], self._options.default_stop_grace_s, timeout_s=timeout_s
            )
        except Exception as error:
            # It is still there, and found again at the next round.
            logger.warning("Container %s on %s could not be removed: %s", orphan.key, host.name, error)
            return
        logger.info("Removed container %s on %s (%s): %s", orphan.key, host.name, orphan.why, answer)

    def _ownerless_folders(self) -> list[Orphan]:
        orphans = []
        for parent in (self._book.layout.jobs, self._book.layout.records):
            for entry in parent.iterdir() if parent.is_dir() else ():
                try:
                    job_id = names.job_id(entry.name)
                except InvalidInput:
                    continue
                if self._book.find(job_id) is None:
                    orphans.append(Orphan(job_id, "there is no such job"))
        return orphans

    async def _remove_folder(self, orphan: Orphan) -> None:
        if self._book.find(orphan.key) is not None:
            return
        if self._options.sweep_dry_run:
            logger.info("Would remove the folders of %s: %s", orphan.key, orphan.why)
            return
        await asyncio.to_thread(job_files.delete, self._book.layout, orphan.key)
        logger.info("Removed the folders of %s: %s", orphan.key, orphan.why)

    async def retire_old_jobs(self) -> None:
        """Delete ended jobs that are older, or more, than the settings keep; off unless they say so."""
        ended = [record for record in self._book.all() if record.terminal]
        ended.sort(key=lambda record: record.finished_at or record.submitted_at)
        old: list[JobRecord] = []
        if self._options.retention_days is not None:
            limit = now() - self._options.retention_days * _DAY_S
            old += [record for record in ended if (record.finished_at or record.submitted_at) < limit]
        if self._options.retention_jobs is not None:
            surplus = len(ended) - self._options.retention_jobs
            old += [record for record in ended[: max(0, surplus)] if record not in old]
        for record in old:
            logger.info("Deleting job %s, which ended long enough ago", record.job_id)
            await self._forget(record)
