"""A mail that kills its worker, by a fault in C code or the out-of-memory killer, is held after five deaths."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import resource
import signal
import traceback
from collections.abc import Callable

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.intake import MAX_ATTEMPTS
from mailbox_service.sorting import Sortable, Verdict
from mailbox_service.sorting.learned.sorter import TrainedSorter
from tests.attacks.house import ADA, House, Sent, mail, prose

KILLING = "kill the worker"
Death = Callable[[], object]


def out_of_memory() -> None:
    """As the kernel does when the memory of a machine is used up."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGKILL)


def fault_in_c() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


class Deadly:
    """A sorter that dies of one subject."""

    version = "Deadly"

    def __init__(self, death: Death) -> None:
        self._death, self._sorter = death, TrainedSorter()

    def sort(self, mail: Sortable) -> Verdict:
        if KILLING in mail.subject:
            self._death()
        return self._sorter.sort(mail)


def in_a_process_of_its_own(work: Callable[[], None]) -> int:
    """The status with which a fork ended that did `work`: negative for a signal."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def worker(url: str, death: Death, *fresh: bytes) -> Callable[[], None]:
    """One run of a worker: what came is stored and worked with its batch, then all that a dead one left behind."""

    async def run() -> None:
        database = Database.open(url)
        house = House(database, sorter=Deadly(death))
        await database.transact(lambda tx: tx.release_leases(database.identity, house.now))
        if fresh:
            await house.intake.work(await house.intake.store([house.raw(data) for data in fresh]))
        await house.intake.work_off()

    return lambda: asyncio.run(run())


@pytest.mark.parametrize("death", [out_of_memory, fault_in_c])
def test_five_deaths_and_it_is_held_and_told_and_the_mail_beside_it_is_worked(death: Death, database_url: str) -> None:
    killed = {-signal.SIGKILL, -signal.SIGSEGV}
    mails = (mail(sender="a@a.example"), mail(subject=KILLING), mail(sender="c@c.example"))
    deaths = 0
    worked_after = []
    for attempt in range(MAX_ATTEMPTS + 3):
        status = in_a_process_of_its_own(worker(database_url, death, *(mails if attempt == 0 else ())))
        deaths += status in killed
        worked_after.append(states(database_url))
        if status == 0:
            break
    assert status == 0 and deaths == MAX_ATTEMPTS
    # Its neighbours went first as soon as it had died more often than they.
    assert worked_after[2] == ["done", "waiting", "done"]
    assert worked_after[-1] == ["done", "held", "done"]
    sent = asyncio.run(told(database_url))
    assert [s.to for s in sent if "could not be worked in five attempts" in prose(s)] == [ADA]


def states(url: str) -> list[str]:
    database = Database.open(url)
    try:
        return [row[0] for row in asyncio.run(House(database).rows("select state from message order by id"))]
    finally:
        database.close()


async def told(url: str) -> list[Sent]:
    database = Database.open(url)
    try:
        return await House(database).settled()
    finally:
        database.close()


async def test_memory_that_runs_out_costs_the_mail_its_view_and_nobody_else_anything(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted() -> None:
        raise MemoryError

    house = House(database, sorter=Deadly(exhausted))
    beside = mail(sender="a@a.example")
    await house.intake.work(await house.intake.store([house.raw(mail(subject=KILLING)), house.raw(beside)]))
    assert await house.rows("select state from message order by id") == [("waiting",), ("done",)]
