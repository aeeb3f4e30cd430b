"""Pushed mail: shared commits, answers of each for itself, and a worker that cannot keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.errors import StorageFull, TemporaryError
from mailbox_service.services.deliveries import Deliveries
from mailbox_service.services.intake import BATCH_BYTES, BATCH_MESSAGES, HANDED_OVER_BATCHES
from mailbox_service.services.ports import Origin, RawMessage, SourceKind
from tests.database.setting import NOW
from tests.services.bench import Bench, letter


def pushed(number: int, size: int = 0, subject: str = "report") -> RawMessage:
    data = letter(subject, f"r{number}@d{number}.example", message_id=f"<{number}@x>", body="x" * size)
    return RawMessage(data, Origin(SourceKind.LMTP, "security"), NOW, "eve@example.com", "security@example.org")


class Ledger:
    """Takes batches while the gate is open, and remembers them."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.taken: list[RawMessage] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.refuse: dict[bytes, Exception] = {}

    async def take(self, batch: Sequence[RawMessage]) -> None:
        self.batches.append(len(batch))
        self.begun.set()
        await self.gate.wait()
        for raw in batch:
            if raw.data in self.refuse:
                raise self.refuse[raw.data]
        self.taken += batch


async def test_what_arrives_during_a_commit_shares_the_next_one_and_nobody_waits_for_company() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    deliveries = Deliveries(ledger)
    first = asyncio.create_task(deliveries.deliver(pushed(0)))
    await ledger.begun.wait()
    others = [asyncio.create_task(deliveries.deliver(pushed(n))) for n in range(1, 121)]
    await asyncio.sleep(0)
    assert ledger.batches == [1]  # the first one did not wait
    assert not first.done()
    ledger.gate.set()
    await asyncio.gather(first, *others)
    assert ledger.batches == [1, BATCH_MESSAGES, 120 - BATCH_MESSAGES]
    assert [raw.data for raw in ledger.taken] == [pushed(n).data for n in range(121)]


async def test_a_commit_holds_so_many_bytes_and_no_more() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    deliveries = Deliveries(ledger)
    sizes = [10, BATCH_BYTES // 2, BATCH_BYTES // 2, BATCH_BYTES * 2, 10]
    tasks = []
    for number, size in enumerate(sizes):
        tasks.append(asyncio.create_task(deliveries.deliver(pushed(number, size))))
        await asyncio.sleep(0)
    ledger.gate.set()
    await asyncio.gather(*tasks)
    assert ledger.batches == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("error", [TemporaryError("away"), StorageFull("full")])
async def test_a_database_that_is_away_is_told_to_everybody(error: Exception) -> None:
    ledger = Ledger()
    ledger.refuse[pushed(1).data] = error
    deliveries = Deliveries(ledger)
    found = await asyncio.gather(*(deliveries.deliver(pushed(n)) for n in range(3)), return_exceptions=True)
    assert found == [error] * 3  # gathered before the first commit began
    assert ledger.batches == [3]  # and not tried one by one: it is away for all of them
    await deliveries.deliver(pushed(5))
    assert [raw.data for raw in ledger.taken] == [pushed(5).data]


async def test_one_message_that_cannot_be_stored_does_not_cost_the_others_their_answer() -> None:
    ledger = Ledger()
    ledger.refuse[pushed(1).data] = ValueError("odd")
    deliveries = Deliveries(ledger)
    found = await asyncio.gather(*(deliveries.deliver(pushed(n)) for n in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [type(None), ValueError, type(None)]
    assert ledger.batches == [3, 1, 1, 1]


async def test_a_client_that_goes_away_stops_no_commit_and_one_that_still_waits_its_turn_is_forgotten() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    deliveries = Deliveries(ledger)
    committing = asyncio.create_task(deliveries.deliver(pushed(0)))
    await ledger.begun.wait()
    waiting = asyncio.create_task(deliveries.deliver(pushed(1)))
    twin = asyncio.create_task(deliveries.deliver(pushed(1)))
    await asyncio.sleep(0)
    committing.cancel()
    waiting.cancel()
    await asyncio.gather(committing, waiting, return_exceptions=True)
    ledger.gate.set()
    await twin
    assert [raw.data for raw in ledger.taken] == [pushed(0).data, pushed(1).data]


# --- with a database and a worker --------------------------------------------------------------------------


async def test_the_same_message_pushed_again_is_one_message(database: Database) -> None:
    bench = Bench(database)
    deliveries = Deliveries(bench.intake)
    for _ in range(2):
        await asyncio.gather(deliveries.deliver(pushed(1)), deliveries.deliver(pushed(1)))
    assert len(bench.messages()) == 1


async def test_a_delivery_never_waits_for_the_worker_and_everything_is_worked(database: Database) -> None:
    bench = Bench(database)
    deliveries = Deliveries(bench.intake)
    for number in range(3 * HANDED_OVER_BATCHES):
        await deliveries.deliver(pushed(number))  # nobody works: this would wait for ever
    assert bench.intake._handed_over.qsize() == HANDED_OVER_BATCHES
    assert len(bench.messages()) == 3 * HANDED_OVER_BATCHES
    worker = asyncio.create_task(bench.intake.run())
    async with asyncio.timeout(30):
        while [m["state"] for m in bench.messages()] != ["done"] * 3 * HANDED_OVER_BATCHES:  # noqa: ASYNC110 - no bell
            await asyncio.sleep(0.01)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    attempts = database.run(lambda tx: list(tx.connection.exec_driver_sql("select attempts from message").scalars()))
    assert attempts == [1] * 3 * HANDED_OVER_BATCHES
    assert not bench.intake._room.locked()


async def test_a_large_message_is_held_in_memory_only_when_nothing_else_waits(database: Database) -> None:
    bench = Bench(database)
    bench.intake._room = asyncio.Semaphore(2)
    deliveries = Deliveries(bench.intake)
    await deliveries.deliver(pushed(1, BATCH_BYTES))
    await deliveries.deliver(pushed(2, BATCH_BYTES))
    assert bench.intake._handed_over.qsize() == 1
    await deliveries.deliver(pushed(3))
    assert bench.intake._handed_over.qsize() == 2


async def test_a_failed_commit_gives_its_room_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(database)
    deliveries = Deliveries(bench.intake)

    async def away(work: object) -> None:
        raise TemporaryError("away")

    with monkeypatch.context() as patched:
        patched.setattr(bench.intake, "_storage", type("Away", (), {"transact": staticmethod(away)})())
        for number in range(5):
            with pytest.raises(TemporaryError):
                await deliveries.deliver(pushed(number))
    assert bench.intake._room._value == HANDED_OVER_BATCHES
