"""Keeps house: sweeps what nobody owns, and deletes ended jobs as the retention settings say.

What it did, or with `sweep_dry_run` would do, is written to `.opeva/sweep.log`, a JSON object a line.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from workers.common import names
from workers.common.clock import iso, now
from workers.common.errors import InvalidInput, OpevaError
from workers.common.options import Options
from workers.host.agent import HostAgent
from workers.jobs.records import JobRecord
from workers.outputs import job_folder
from workers.supervision.book import JobBook
from workers.supervision.decisions import ALIVE
from workers.supervision.hosts import Host, HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.removal import Removal
from workers.supervision.runners import Runners
from workers.supervision.sweeper import Grace, Orphan, ownerless_containers

logger = logging.getLogger(__name__)

_DAY_S = 86_400.0
#: How often the log of an ended job's container is tried to be completed before the container is removed without.
_TRIES = 5
#: Beyond this size the log of sweeps makes way for a new one; the former is kept beside it.
_LOG_BYTES = 1 << 20


class Housekeeping:
    """Runs beside the supervision, every `sweep_every_s`. While the storage fails nothing is swept or deleted."""

    def __init__(
        self,
        book: JobBook,
        hosts: HostDirectory,
        listings: Listings,
        runners: Runners,
        removal: Removal,
        storage_fault: Callable[[], OpevaError | None],
        options: Options,
        cluster_id: str,
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._listings = listings
        self._runners = runners
        self._removal = removal
        self._storage_fault = storage_fault
        self._options = options
        self._cluster_id = cluster_id
        self._grace = Grace(options.sweep_grace_s)
        #: What a dry run has logged already.
        self._logged: set[str] = set()

    async def run(self) -> None:
        """Keep house for ever."""
        while True:
            await asyncio.sleep(self._options.sweep_every_s)
            await self.round()

    async def round(self) -> bool:
        """Keep house once; whether it was done."""
        fault = self._storage_fault()
        if fault is not None:
            logger.warning("Nothing is swept: %s", fault)
            return False
        try:
            await self.sweep()
            await self.retire_old_jobs()
        except (OpevaError, OSError) as error:
            logger.warning("Housekeeping was broken off and is tried again later: %s", error)
            return False
        except Exception:
            # A fault here must not end the housekeeping for good.
            logger.exception("Housekeeping failed and is tried again later")
            return False
        return True

    async def sweep(self) -> None:
        """Remove containers and folders that have been nobody's for the grace period."""
        for host in self._hosts.all():
            containers = await self._listings.of(host, fresh=True) if host.online else None
            if containers is None:
                continue
            states = {container["id"]: container["state"] for container in containers}
            orphans = ownerless_containers(containers, host.name, self._book.find)
            for orphan in self._grace.due(host.name, orphans):
                await self._remove_container(host, orphan, ended=states[orphan.key] not in ALIVE)
        folders = await asyncio.to_thread(self._ownerless_folders)
        for orphan in self._grace.due("folders", folders):
            await self._remove_folder(orphan)
        if not self._options.sweep_dry_run:
            await asyncio.to_thread(job_folder.finish_deletions, self._book.layout)

    async def _remove_container(self, host: Host, orphan: Orphan, *, ended: bool) -> None:
        record = self._book.find(orphan.job_id)
        if record is not None and self._book.journal.unwritten(orphan.job_id):
            # Should this process end now, only the container shows how the job ended.
            return
        if self._options.sweep_dry_run:
            await self._log("would remove", "container", orphan, host=host.name)
            return
        if ended and record is not None and record.host == host.name and self._grace.tries(host.name, orphan) < _TRIES:
            # Its runner did not live to remove it, or could not complete its log.
            if await self._runners.complete(record, host):
                await self._log("completed and removed", "container", orphan, host=host.name)
            return
        timeout_s = self._options.default_stop_grace_s + self._options.kill_deadline_s + self._options.docker_timeout_s
        try:
            answer = await self._hosts.call(
                host,
                timeout_s,
                HostAgent.sweep,
                self._cluster_id,
                [orphan.key],
                self._options.default_stop_grace_s,
            )
        except Exception as error:
            # It is still there, and found again at the next round.
            logger.warning("Container %s on %s could not be removed: %s", orphan.key, host.name, error)
            return
        if answer["error"]:
            logger.warning("Container %s on %s could not be removed: %s", orphan.key, host.name, answer["error"])
        if answer["removed"]:
            await self._log("removed", "container", orphan, host=host.name)

    def _ownerless_folders(self) -> list[Orphan]:
        orphans = []
        for parent in (self._book.layout.jobs, self._book.layout.records):
            for entry in parent.iterdir() if parent.is_dir() else ():
                try:
                    job_id = names.job_id(entry.name)
                except InvalidInput:
                    continue
                if self._book.find(job_id) is None:
                    orphans.append(Orphan(job_id, "there is no such job", job_id))
        return orphans

    async def _remove_folder(self, orphan: Orphan) -> None:
        if self._book.find(orphan.key) is not None:
            return
        if self._options.sweep_dry_run:
            await self._log("would remove", "folders", orphan)
            return
        await asyncio.to_thread(job_folder.delete, self._book.layout, orphan.key)
        await self._log("removed", "folders", orphan)

    async def _log(self, what: str, kind: str, orphan: Orphan, **more: Any) -> None:
        """Log once what was done, or would be, to a thing that nobody owns."""
        if self._options.sweep_dry_run and orphan.key in self._logged:
            return
        self._logged.add(orphan.key)
        entry = {"at": iso(now()), "did": what, "kind": kind, "id": orphan.key, "job_id": orphan.job_id}
        line = json.dumps({**entry, "why": orphan.why, **more})
        logger.info("Sweep: %s", line)
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            logger.warning("%s could not be written: %s", self._book.layout.sweep_log, error)

    def _append(self, line: str) -> None:
        path = self._book.layout.sweep_log
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

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
            known = {record.job_id for record in old}
            old += [record for record in ended[: max(0, surplus)] if record.job_id not in known]
        for record in old:
            logger.info("Deleting job %s, which ended long enough ago", record.job_id)
            await self._removal.forget(record)
