"""After a start: takes up every job that had not ended, before anybody asks."""

import asyncio
import logging

from workers.common.clock import Deadline
from workers.jobs.records import JobRecord, State
from workers.supervision.book import JobBook
from workers.supervision.driver import JobDriver
from workers.supervision.hosts import HostDirectory
from workers.supervision.listings import Listings
from workers.supervision.runners import Runners
from workers.supervision.stopper import Stopper

logger = logging.getLogger(__name__)

#: How long the hosts have to answer for the first time.
SETTLE_S = 15.0
#: How long adoptions may keep queued jobs from being submitted.
ADOPTIONS_FIRST_S = 20.0


async def take_up(
    book: JobBook, hosts: HostDirectory, listings: Listings, driver: JobDriver, runners: Runners, stopper: Stopper
) -> None:
    """Take up the jobs: states from one list per host, runners for what runs, then the queue in its order.

    Adoptions come first, so that a queued job does not take the room that a running one already uses: launches, those
    of jobs that come meanwhile too, wait for `driver.may_launch`.
    """
    active = book.active()
    with_container = [record for record in active if record.may_have_container]
    try:
        await _adopt_first(active, with_container, book, hosts, listings, driver, runners, stopper)
    finally:
        # Whatever became of the adoptions, what waits must not wait for ever.
        driver.may_launch.set()
    logger.info("Took up %d jobs, %d of them with a container", len(active), len(with_container))


async def _adopt_first(
    active: list[JobRecord],
    with_container: list[JobRecord],
    book: JobBook,
    hosts: HostDirectory,
    listings: Listings,
    driver: JobDriver,
    runners: Runners,
    stopper: Stopper,
) -> None:
    if with_container:
        try:
            await asyncio.wait_for(hosts.settled.wait(), SETTLE_S)
        except TimeoutError:
            logger.warning("Not every host answered within %g s; their jobs are taken up when they do", SETTLE_S)
    await asyncio.gather(*(listings.of(host) for host in hosts.all() if host.online))
    for record in active:
        driver.drive(record.job_id)
        if record.state is State.STOP_REQUESTED:
            stopper.ensure(record.job_id)
    deadline = Deadline(ADOPTIONS_FIRST_S)
    while not deadline.passed() and any(_undecided(book, runners, record.job_id) for record in with_container):
        await book.feed.wait(book.feed.number, 0.05)


def _undecided(book: JobBook, runners: Runners, job_id: str) -> bool:
    """Whether a job's adoption is neither submitted nor known to be impossible for now."""
    record = book.find(job_id)
    if record is None or record.terminal or record.unknown_since is not None:
        return False
    return record.may_have_container and not runners.has(job_id)
