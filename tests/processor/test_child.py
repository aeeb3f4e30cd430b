"""Heavy work in a process of its own: what it does is the same, and what kills it kills nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.processor import parent as processor
from mailbox_service.adapters.processor.parent import PROCESS_DIED, WORTH_ITEMS, ChildProcessor
from mailbox_service.services.intake import MAX_ATTEMPTS
from mailbox_service.services.ports import Claim, MessageId, SourceKind
from mailbox_service.services.processing import Loaded, Processing
from mailbox_service.services.processor import ThreadProcessor
from mailbox_service.sorting import Sortable, Verdict
from tests.database.setting import NOW
from tests.services.bench import BOX, KEY, TEMPLATES, Bench, WordSorter, letter

HERE = os.getpid()


class DeadlySorter(WordSorter):
    """Ends or stops the interpreter it runs in, where that is not the one of the tests."""

    def sort(self, mail: Sortable) -> Verdict:
        if os.getpid() != HERE and "deadly" in mail.subject:
            os.kill(os.getpid(), signal.SIGKILL)
        if os.getpid() != HERE and "endless" in mail.subject:
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().sort(mail)

    def __reduce__(self) -> tuple[object, ...]:
        # HERE is another number in a process that imports this module anew.
        return _deadly, (HERE,)


def _deadly(here: int) -> DeadlySorter:
    globals()["HERE"] = here
    return DeadlySorter()


def loaded(number: int, data: bytes, *, attempt: int = 1) -> Loaded:
    claim = Claim(
        id=MessageId(number),
        token=1,
        attempt=attempt,
        mailbox=BOX.name,
        source=SourceKind.IMAP,
        received_at=NOW,
        junk=False,
        quiet=False,
        partial=False,
        size_bytes=len(data),
        envelope_from=None,
        envelope_to=None,
        decided=None,
        case_id=None,
        data=None,
    )
    return claim, data


def batch(*subjects: str, attempt: int = 1) -> list[Loaded]:
    return [loaded(n, letter(subject, f"p{n}@x.example"), attempt=attempt) for n, subject in enumerate(subjects, 1)]


MANY = batch(*["report of a fault"] * WORTH_ITEMS)


@pytest.fixture
async def child() -> AsyncIterator[ChildProcessor]:
    made = ChildProcessor(Processing({BOX.name: BOX}, DeadlySorter(), TEMPLATES, KEY))
    yield made
    await made.close()


async def running(child: ChildProcessor) -> int:
    """The number of its process, started by something that failed before."""
    understood, _ = await child.understand(batch("report again", attempt=2))
    assert len(understood) == 1 and child.pid is not None
    return child.pid


async def test_a_process_understands_what_a_thread_understands(child: ChildProcessor) -> None:
    await running(child)
    mails = [loaded(n, path.read_bytes()) for n, path in enumerate(sorted(ROOT.rglob("*.eml")), 1)]
    thread = ThreadProcessor(Processing({BOX.name: BOX}, DeadlySorter(), TEMPLATES, KEY))
    for work in (MANY, [*mails, *MANY]):
        assert await child.understand(work) == await thread.understand(work)


ROOT = Path(__file__).resolve().parents[1]


async def test_a_process_composes_what_a_thread_composes(child: ChildProcessor, database: Database) -> None:
    bench = Bench(database)
    await bench.post(letter("report"), letter("support"), *(letter(f"report {n}", f"p{n}@x.example") for n in range(6)))
    ids = [mail["id"] for mail in bench.mails()]
    rows = [(row, b"Subject: attached\r\n\r\n") for row in database.run(lambda tx: tx.outbound_rows(ids))]
    assert len(rows) >= WORTH_ITEMS
    await running(child)
    thread = ThreadProcessor(Processing({BOX.name: BOX}, WordSorter(), TEMPLATES, KEY))
    composed, broken = await child.compose(rows)
    assert (composed, broken) == await thread.compose(rows) and not broken


async def test_a_single_report_starts_no_process(child: ChildProcessor) -> None:
    understood, _ = await child.understand(batch("report"))
    assert len(understood) == 1 and child.pid is None


async def test_a_backlog_starts_a_process_and_does_not_wait_for_it(child: ChildProcessor) -> None:
    understood, _ = await child.understand(MANY)
    assert len(understood) == len(MANY) and child.pid is None
    await child.ready()
    assert child.pid is not None


async def test_a_message_that_kills_its_process_has_failed_and_the_next_one_gets_a_new_process(
    child: ChildProcessor,
) -> None:
    first = await running(child)
    understood, failed = await child.understand(batch("report deadly", attempt=2))
    assert (understood, [reason for _, reason in failed]) == ([], [PROCESS_DIED])
    assert await running(child) != first


async def test_what_waits_behind_a_message_that_kills_the_process_has_not_failed(child: ChildProcessor) -> None:
    await running(child)
    deadly = asyncio.create_task(child.understand(batch("report deadly", attempt=2)))
    behind = asyncio.create_task(child.understand(batch("report again", attempt=2)))
    fresh = asyncio.create_task(child.understand(MANY))
    assert [reason for _, reason in (await deadly)[1]] == [PROCESS_DIED]
    assert [len(understood) for understood, _ in (await behind, await fresh)] == [1, len(MANY)]


async def test_a_process_that_does_not_answer_is_ended(child: ChildProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await running(child)
    monkeypatch.setattr(processor, "DEADLINE_SECONDS", 0.5)
    _, failed = await child.understand(batch("report endless", attempt=2))
    assert [reason for _, reason in failed] == [PROCESS_DIED]
    monkeypatch.undo()
    assert await running(child) != first


async def test_a_cancelled_request_leaves_no_answer_for_the_next_one(child: ChildProcessor) -> None:
    first = await running(child)
    asking = asyncio.create_task(child.understand(batch("report endless", attempt=2)))
    while not child.busy:  # noqa: ASYNC110 - it watches a lock
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled() and await running(child) != first


async def test_a_process_that_cannot_be_started_is_replaced_by_a_thread(
    child: ChildProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    understood, failed = await child.understand(batch("report", attempt=2))
    assert (len(understood), failed) == (1, [])


async def test_a_mail_is_composed_by_a_thread_when_the_process_dies(child: ChildProcessor, database: Database) -> None:
    bench = Bench(database)
    await bench.post(*(letter(f"report {n}", f"p{n}@x.example") for n in range(WORTH_ITEMS)))
    ids = [mail["id"] for mail in bench.mails()]
    rows = [(row, None) for row in database.run(lambda tx: tx.outbound_rows(ids))]
    os.kill(await running(child), signal.SIGKILL)
    composed, broken = await child.compose(rows)
    assert (len(composed), broken) == (len(rows), [])


async def test_without_work_the_process_is_ended(child: ChildProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "IDLE_SECONDS", 0.0)
    await running(child)
    await asyncio.sleep(0.01)
    assert child.pid is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_message_that_kills_every_process_is_held_and_its_neighbours_are_worked(
    database: Database, child: ChildProcessor
) -> None:
    bench = Bench(database, processor=child)
    await running(child)
    subjects = [f"report {n}" for n in range(WORTH_ITEMS)]
    await bench.post(*(letter(s, f"p{n}@x.example") for n, s in enumerate([*subjects, "report deadly"])))
    assert {str(m["state"]) for m in bench.messages()} == {"waiting"}  # one batch, one process, one attempt
    for _ in range(MAX_ATTEMPTS):
        bench.now += timedelta(hours=1)
        await bench.intake.work_off()
    assert sorted(bench.dispositions()) == ["case"] * WORTH_ITEMS + ["hold"]
    assert len(bench.mails("held")) == len(BOX.maintainers)
    deadly = next(m for m in bench.messages() if m["disposition"] == "hold")
    raw = bench.database.run(lambda tx: tx.raw(deadly["id"]))
    assert b"deadly" in raw


async def test_the_process_ends_with_its_parent(child: ChildProcessor) -> None:
    """Its input ends, whatever way the parent died."""
    pid = await running(child)
    await child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_packed_comes_back_as_it_was() -> None:
    from mailbox_service.adapters.processor.frames import HEADER, packed, unpacked

    understood, failed = Processing({BOX.name: BOX}, WordSorter(), TEMPLATES, KEY).understand(MANY)
    assert not failed
    frame = packed(understood)
    assert HEADER.unpack(frame[: HEADER.size])[0] == len(frame) - HEADER.size
    assert unpacked(frame[HEADER.size :]) == understood


def test_a_mailbox_may_have_a_sorter_of_its_own() -> None:
    class Other(WordSorter):
        version = "Other"

    processing = Processing({BOX.name: BOX}, WordSorter(), TEMPLATES, KEY, {BOX.name: Other()})
    understood, _ = processing.understand([loaded(1, letter("Question"))])
    assert [one.model for one in understood] == ["Other"]
