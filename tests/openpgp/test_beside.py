"""What is for gpg keeps nobody waiting who writes in clear."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.openpgp import GpgDoor
from mailbox_service.core.budget import hour_of
from mailbox_service.core.openpgp import Encrypted, read
from mailbox_service.errors import TemporaryError
from mailbox_service.services import intake, sealing
from mailbox_service.services.ports.openpgp import NotOpened, Opened, OpenPgp, PublicKey
from tests.openpgp.keys import People, Person
from tests.openpgp.test_opening import BOB
from tests.openpgp.test_reading import sealed
from tests.openpgp.test_sealing import ADA, door, frozen, house, ours, pinned
from tests.services.bench import BOX, Bench, changed, letter

__all__ = ["door", "house"]
INSIDE = b"Content-Type: text/plain\r\n\r\nA flaw.\r\n"


class Slow:
    """A door at which opening takes as long as a test wants."""

    def __init__(self, door: GpgDoor) -> None:
        self._door, self.go, self.opened, self.breaks = door, threading.Event(), 0, False

    def __getattr__(self, name: str) -> object:
        return getattr(self._door, name)

    def open(self, ciphertext: bytes, signers: Sequence[PublicKey] = ()) -> Opened | NotOpened:
        assert self.go.wait(30)
        if self.breaks:
            raise TemporaryError("gpg cannot be run")
        self.opened += 1
        return self._door.open(ciphertext, signers)


@pytest.fixture(scope="module")
def ada(people: People) -> Person:
    return people.join(f"Ada <{ADA}>")


@pytest.fixture
def slow(door: GpgDoor) -> Slow:
    return Slow(door)


@pytest.fixture
def busy(database: Database, slow: Slow) -> Bench:
    return Bench(database, mailbox=changed(openpgp=True), doors={BOX.name: cast(OpenPgp, slow)})


@asynccontextmanager
async def at_work(bench: Bench) -> AsyncIterator[None]:
    running = asyncio.create_task(bench.intake.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def until(found: Callable[[], bool]) -> None:
    for _ in range(2000):
        if found():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in 20 s")


def worked(bench: Bench) -> list[str]:
    """The subjects of what has been concluded."""
    return [str(m["subject"]) for m in bench.messages() if m["disposition"] is not None]


def taken(bench: Bench, *letters: bytes) -> Awaitable[None]:
    return bench.intake.accept([bench.raw(data) for data in letters])


async def test_who_writes_in_clear_does_not_wait_for_gpg(busy: Bench, slow: Slow, bob: Person) -> None:
    async with at_work(busy):
        await taken(busy, *(sealed(cast(GpgDoor, slow), bob, n, INSIDE) for n in range(3)), letter("report: one"))
        await until(lambda: worked(busy) == ["report: one"])
        await taken(busy, letter("report: two", "mallory@research.example"))
        await until(lambda: len(worked(busy)) == 2)
        slow.go.set()
        await until(lambda: len(worked(busy)) == 5)
        async with asyncio.timeout(20):
            await busy.intake.drained()
    assert busy.dispositions() == ["case"] * 5


async def test_what_somebody_writes_after_something_sealed_comes_after_it(busy: Bench, slow: Slow, bob: Person) -> None:
    async with at_work(busy):
        await taken(busy, sealed(cast(GpgDoor, slow), bob, 1, INSIDE))
        await asyncio.sleep(0)
        await taken(busy, letter("report: more of it", BOB, references="<m1@y.example>"))
        await taken(busy, letter("report: another"))
        await until(lambda: worked(busy) == ["report: another"])
        slow.go.set()
        await until(lambda: len(worked(busy)) == 3)
        # Nothing of theirs waits any more.
        slow.go.clear()
        await taken(busy, letter("report: later", BOB))
        await until(lambda: len(worked(busy)) == 4)
    assert len(busy.cases()) == 3  # the second mail is in the case of the first


async def test_more_than_may_wait_is_worked_all_the_same(
    busy: Bench, slow: Slow, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "SEALED_MESSAGES", 1)
    busy.intake._sealed = asyncio.Queue(1)
    slow.go.set()
    async with at_work(busy):
        for at in range(0, 6, 2):
            await taken(busy, *(sealed(cast(GpgDoor, slow), bob, n, INSIDE) for n in (at, at + 1)))
        await until(lambda: len(worked(busy)) == 6)
        await busy.intake.drained()
    assert slow.opened == 6


async def test_what_gpg_fails_at_is_left_for_later_and_stops_nobody(busy: Bench, slow: Slow, bob: Person) -> None:
    slow.breaks = True
    slow.go.set()
    async with at_work(busy):
        await taken(busy, sealed(cast(GpgDoor, slow), bob, 1, INSIDE), letter("report: one"))
        await until(lambda: len(worked(busy)) == 1)
        await busy.intake.drained()
    assert worked(busy) == ["report: one"]
    slow.breaks = False
    busy.now = busy.now.replace(year=busy.now.year + 1)
    await busy.intake.work_off()
    assert len(worked(busy)) == 2


async def test_a_message_is_opened_once_for_all_who_are_told_of_it(
    busy: Bench, slow: Slow, bob: Person, ada: Person
) -> None:
    slow.go.set()
    for address in (ADA, "grace@example.org"):
        pinned(busy, address, ada.public)
    await busy.post(sealed(cast(GpgDoor, slow), bob, 1, INSIDE))
    assert slow.opened == 1
    await busy.deliver()
    assert slow.opened == 2
    ada.know(ours(cast(GpgDoor, slow)))
    told = dict(frozen(busy))
    for who in (ADA, "grace@example.org"):
        found = read(told[who])
        assert isinstance(found, Encrypted)
        assert b"A flaw." in ada.gpg("--decrypt", data=found.message.octets)


async def test_an_acknowledgement_does_not_wait_behind_everybodys_copies(house: Bench, ada: Person) -> None:
    pinned(house, ADA, ada.public)
    number = sealing.BATCH_MAILS
    await house.post(*(letter(f"report: {n}", f"eve{n}@research.example") for n in range(number)))
    await house.outbox.deliver_waiting()
    first = [recipient for recipient, _ in frozen(house)]
    assert len(first) == number and all(recipient.startswith("eve") for recipient in first)
    while await house.outbox.deliver_waiting():
        pass
    assert len(frozen(house)) == 3 * number
    # Nor with a single copy; and what was given back counts once.
    await house.post(letter("report: one more", "late@research.example"))
    assert [await house.outbox.deliver_waiting() for _ in range(3)] == [1, 2, 0]
    spent = ("outbox/sent", hour_of(house.now))
    assert house.database.run(lambda tx: tx.budgets([spent])) == {spent: 3 * number + 3}
