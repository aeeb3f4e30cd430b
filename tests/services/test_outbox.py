"""What goes out: once where it can be known, with the same bytes where it cannot, and never without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.errors import TemporaryError
from mailbox_service.services import outbox as outbox_module
from mailbox_service.services.outbox import LEASE, Claimed, SendingPolicy
from mailbox_service.services.ports import Delivery, DeliveryOutcome, Envelope, OutboundClaim
from mailbox_service.services.processing import Processing
from tests.services.bench import BOX, SENT, Bench, PostOffice, changed, letter, read

EVE = "eve@research.example"
TEMPORARY = Delivery(DeliveryOutcome.TEMPORARY, "451 later")
PERMANENT = Delivery(DeliveryOutcome.PERMANENT, "550 no such user")
TOO_LARGE = Delivery(DeliveryOutcome.TOO_LARGE, "552 too large")
UNKNOWN = Delivery(DeliveryOutcome.UNKNOWN, "connection lost")


def answers(to: str, delivery: Delivery) -> Callable[[Envelope, bytes], Delivery]:
    return lambda envelope, data: delivery if envelope.rcpt_to == to else SENT


async def test_a_sent_mail_is_not_sent_again(bench: Bench) -> None:
    await bench.post(letter("report"))
    assert len(await bench.deliver()) == 3
    bench.now += timedelta(days=10)
    assert await bench.deliver() == [] and {m["state"] for m in bench.mails()} == {"sent"}


async def test_a_refused_notice_is_an_event_of_the_case_and_the_others_hear_of_it(bench: Bench) -> None:
    await bench.post(letter("report"))
    bench.office.replies = answers("ada@example.org", PERMANENT)
    await bench.deliver()
    assert bench.events("SEC-2026-0001") == ["opened", "delivery_failed"]
    assert [m["recipient"] for m in bench.mails("notice_failure")] == ["grace@example.org"]


async def test_a_refused_acknowledgement_is_told_to_all_maintainers_once(bench: Bench) -> None:
    await bench.post(letter("report"))
    bench.office.replies = answers(EVE, PERMANENT)
    await bench.deliver()
    assert len(bench.mails("notice_failure")) == 2 and len(bench.to(EVE)) == 1


async def test_failing_failure_notices_breed_no_more_of_their_kind(bench: Bench) -> None:
    await bench.post(letter("report"))
    bench.office.replies = lambda envelope, data: PERMANENT
    await bench.deliver()
    assert {m["state"] for m in bench.mails()} == {"failed"}
    # Of the acknowledgement to both, of each maintainer's notice to the other one.
    assert len(bench.mails("notice_failure")) == 4


async def test_a_notice_refused_for_its_size_follows_without_the_attachment(bench: Bench) -> None:
    report = letter("report", body="proof\r\n" * 20)
    await bench.post(report)
    whole = report.partition(b"\r\n\r\n")[2]
    bench.office.replies = lambda envelope, data: TOO_LARGE if whole in data else SENT
    await bench.deliver()
    (second,) = [m for m in bench.to("ada@example.org") if m["kind"] == "notice_case_without_attachment"]
    assert second["state"] == "sent" and not bench.mails("notice_failure")
    (mail,) = [data for to, data in bench.office.taken if to == "ada@example.org"]
    assert "message export 1" in read(mail).get_content()


async def test_an_unknown_outcome_is_tried_again_with_the_same_bytes_three_times_at_most(bench: Bench) -> None:
    await bench.post(letter("report"))
    bench.office.replies = answers(EVE, UNKNOWN)
    for _ in range(6):
        await bench.deliver()
        bench.now += timedelta(hours=5)
    attempts = [data for to, data in bench.office.handed if to == EVE]
    assert len(attempts) == 3 and len(set(attempts)) == 1
    assert bench.to(EVE)[0]["state"] == "failed" and len(bench.mails("notice_failure")) == 2
    assert bench.events("SEC-2026-0001") == ["opened", *["delivery_unknown"] * 3, "delivery_failed"]


async def test_a_mail_is_composed_once_whatever_changes_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.post(letter("support"))
    bench.office.replies = lambda envelope, data: TEMPORARY
    await bench.deliver()

    def anew(self: Processing, row: OutboundClaim, attachment: bytes | None) -> bytes:
        return b"Subject: something else\r\n\r\n"

    monkeypatch.setattr(Processing, "compose_one", anew)
    bench.office.replies = lambda envelope, data: SENT
    bench.now += timedelta(minutes=1)
    await bench.deliver()
    (_, first), (_, second) = bench.office.handed
    assert first == second


async def test_a_temporary_failure_is_tried_with_growing_pauses_and_given_up_after_its_lifetime(bench: Bench) -> None:
    await bench.post(letter("support"))
    bench.office.replies = lambda envelope, data: TEMPORARY
    started, pauses = bench.now, []
    while bench.mails()[0]["state"] == "waiting":
        before = bench.now
        await bench.deliver()
        bench.now = max(bench.mails()[0]["due_at"], bench.now)
        pauses.append(bench.now - before)
    assert timedelta(days=4, hours=20) < bench.now - started <= timedelta(days=5)
    assert pauses[:3] == [timedelta(minutes=n) for n in (1, 2, 4)]
    assert len(bench.mails("notice_failure")) == 2
    assert len({data for to, data in bench.office.handed if to == EVE}) == 1


async def test_a_paused_outbox_sends_nothing_and_resumes(bench: Bench) -> None:
    await bench.post(letter("report"))
    bench.database.run(lambda tx: tx.pause_outbox(True))
    assert (await bench.deliver(), bench.office.handed) == ([], [])
    bench.database.run(lambda tx: tx.pause_outbox(False))
    assert len(await bench.deliver()) == 3


async def test_the_global_cap_holds_and_opens_in_the_next_hour(database: Database) -> None:
    bench = Bench(database, policy=SendingPolicy(max_per_hour=4))
    await bench.post(*(letter(f"report {n}", f"p@d{n}.example") for n in range(3)))
    assert len(await bench.deliver()) == 4
    bench.now += timedelta(hours=1)
    assert len(await bench.deliver()) == 4
    bench.now += timedelta(hours=1)
    assert len(await bench.deliver()) == 1


async def test_what_matters_most_goes_first(bench: Bench) -> None:
    await bench.post(letter("support"), letter("report"))
    bench.outbox._policy = SendingPolicy(max_per_hour=1)
    assert [(to, "SEC-" in m["Subject"]) for to, m in await bench.deliver()] == [(EVE, True)]


async def test_the_conversation_of_a_case_goes_before_acknowledgements(bench: Bench) -> None:
    await bench.post(letter("report", message_id="<1@x>"))
    await bench.deliver()
    await bench.post(letter("report another"), letter("forgot the attachment", references="<1@x>"))
    order = [to for to, _ in await bench.deliver()]
    assert order == ["ada@example.org", "grace@example.org", EVE, "ada@example.org", "grace@example.org"]


async def test_one_mail_that_cannot_be_composed_never_holds_up_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.post(letter("support", "one@x.example"), letter("support", "two@x.example"))
    compose = Processing.compose_one

    def broken(self: Processing, row: OutboundClaim, attachment: bytes | None) -> bytes:
        if row.recipient == "one@x.example":
            raise KeyError("a fault of ours")
        return compose(self, row, attachment)

    monkeypatch.setattr(Processing, "compose_one", broken)
    assert [to for to, _ in await bench.deliver()] == ["two@x.example"]
    assert bench.to("one@x.example")[0]["state"] == "waiting"
    monkeypatch.undo()
    bench.now += timedelta(minutes=1)
    assert [to for to, _ in await bench.deliver()] == ["one@x.example"]


async def test_a_transport_that_raises_leaves_the_outcome_unknown(bench: Bench) -> None:
    await bench.post(letter("support"))

    def fail(envelope: Envelope, data: bytes) -> Delivery:
        raise RuntimeError("no")

    bench.office.replies = fail
    await bench.deliver()
    assert (bench.mails()[0]["state"], bench.mails()[0]["unknown_outcomes"]) == ("waiting", 1)


async def test_a_worker_whose_lease_lapsed_cannot_settle_what_another_sent(database: Database) -> None:
    slow, quick = Bench(database), Bench(database)
    await slow.post(letter("support"))
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(PostOffice):
        async def send(self, envelope: Envelope, data: bytes) -> Delivery:
            reached.set()
            await go_on.wait()
            self.handed.append((envelope.rcpt_to, data))
            return PERMANENT

    office = Slow()
    slow.outbox._transports = {"security": office}
    sending = asyncio.create_task(slow.outbox.deliver_waiting())
    await reached.wait()
    quick.now += LEASE + timedelta(seconds=1)
    assert len(await quick.deliver()) == 1
    go_on.set()
    await sending
    assert [m["state"] for m in slow.mails()] == ["sent"] and not slow.mails("notice_failure")
    assert office.handed == quick.office.handed  # the same bytes: the one duplicate that nobody can exclude


async def test_two_outboxes_at_once_send_every_mail_once(database: Database) -> None:
    one, two = Bench(database), Bench(database)
    await one.post(*(letter(f"report {n}", f"p@d{n}.example") for n in range(40)))
    await asyncio.gather(*(bench.outbox.deliver_waiting() for bench in (one, two) * 4))
    handed = [read(data)["Message-ID"] for data in [d for b in (one, two) for _, d in b.office.handed]]
    assert len(handed) == len(set(handed)) == len(one.mails()) == 80


@asynccontextmanager
async def sending(bench: Bench) -> AsyncIterator[None]:
    """The lanes at work, with nothing to do yet."""
    lanes = asyncio.create_task(bench.outbox.run())
    await until(lambda: bench.outbox.send_along() is not None)
    try:
        yield
    finally:
        bench.outbox.stop()
        await lanes


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the database rings no bell here
            await asyncio.sleep(0.005)


async def until_sent(bench: Bench, count: int) -> None:
    await until(lambda: [m["state"] for m in bench.mails()] == ["sent"] * count)


def frozen_kinds(bench: Bench) -> set[str]:
    query = sa.text("select kind from outbound where frozen_at is not null")
    return set(bench.database.run(lambda tx: tx.connection.scalars(query).all()))


async def test_the_answer_to_one_report_is_claimed_and_frozen_by_the_transaction_that_makes_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed_kinds: list[list[str]] = []
    claim = outbox_module.claim

    def spy(tx: SqlTransaction, *arguments: Any, **named: Any) -> Claimed:
        claimed = claim(tx, *arguments, **named)
        if claimed.rows:
            claimed_kinds.append([row.kind for row in claimed.rows])
        return claimed

    monkeypatch.setattr(outbox_module, "claim", spy)
    async with sending(bench):
        await bench.intake.work(await bench.intake.store([bench.raw(letter("report"))]))
        # Before any lane has run: nothing but the transaction that finished the message can have done it.
        assert claimed_kinds == [["acknowledgement"]] and not bench.office.handed
        assert frozen_kinds(bench) == {"acknowledgement"}
        await until_sent(bench, 3)
    assert claimed_kinds == [["acknowledgement"], ["notice_case", "notice_case"]] and len(bench.office.handed) == 3


async def test_mails_of_a_transaction_that_failed_are_not_sent_along(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fails = bench.database.transact, ["once"]

    async def transact(work: Callable[[SqlTransaction], object]) -> object:
        def failing(tx: SqlTransaction) -> object:
            result = work(tx)
            if fails and tx.connection.scalar(sa.text("select count(*) from outbound")):
                fails.clear()
                raise TemporaryError("database: away at the commit")
            return result

        return await real(failing)

    monkeypatch.setattr(bench.database, "transact", transact)
    async with sending(bench):
        await bench.intake.work(await bench.intake.store([bench.raw(letter("report"))]))
        await until_sent(bench, 3)
    assert len({recipient for recipient, _ in bench.office.handed}) == len(bench.office.handed) == 3


async def test_what_was_claimed_along_when_the_outbox_stops_waits_for_the_next_run(bench: Bench) -> None:
    async with sending(bench):
        await bench.intake.work(await bench.intake.store([bench.raw(letter("report"))]))
        bench.outbox.stop()
    assert not bench.office.handed
    assert [m["state"] for m in bench.mails()] == ["waiting"] * 3
    assert len(await Bench(bench.database).deliver()) == 3


async def test_an_answer_that_cannot_be_composed_fails_nothing_but_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    composing = Processing.compose_one

    def compose(self: Processing, row: OutboundClaim, attachment: bytes | None) -> bytes:
        if row.kind == "acknowledgement":
            raise ValueError("a template that an operator broke")
        return composing(self, row, attachment)

    monkeypatch.setattr(Processing, "compose_one", compose)
    async with sending(bench):
        await bench.intake.work(await bench.intake.store([bench.raw(letter("report"))]))
        await until(lambda: sorted(mail["state"] for mail in bench.mails()) == ["sent", "sent", "waiting"])
    (waiting,) = [mail for mail in bench.mails() if mail["state"] == "waiting"]
    assert waiting["kind"] == "acknowledgement" and waiting["attempts"] == 1
    assert frozen_kinds(bench) == {"notice_case"}
    assert "could not be composed" in waiting["last_reply"]


async def test_a_paused_outbox_sends_nothing_along(bench: Bench) -> None:
    bench.database.run(lambda tx: tx.pause_outbox(True))
    async with sending(bench):
        await bench.intake.work(await bench.intake.store([bench.raw(letter("report"))]))
        await asyncio.sleep(0.05)
    assert not bench.office.handed and [m["state"] for m in bench.mails()] == ["waiting"] * 3


async def test_a_database_that_is_away_at_the_settling_is_insisted_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.post(letter("support"))
    real, timeout, tries = outbox_module.settle, asyncio.timeout, []

    def settle(*arguments: object) -> object:
        tries.append(1)
        if len(tries) < 3:
            raise TemporaryError("database: away")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox_module, "settle", settle)
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: timeout(min(seconds, 0.01)))
    await bench.deliver()
    assert len(bench.office.handed) == 1 and bench.mails()[0]["state"] == "sent"


# --- clocks ------------------------------------------------------------------------------------------------


async def test_two_daemons_that_collect_at_once_tell_everything_once(database: Database) -> None:
    one, two = Bench(database), Bench(database)
    await one.post(*(letter(f"support {n}", f"p@d{n}.example") for n in range(20)))
    for bench in (one, two):
        bench.now += timedelta(days=1)
    await asyncio.gather(*(bench.clocks.fall_due() for bench in (one, two) * 3))
    told = [one.context(m)["redirect"] for m in one.to("ada@example.org")]
    assert sorted(line["number"] for lines in told for line in lines) == list(range(1, 21))


# --- facing each other -------------------------------------------------------------------------------------


async def test_two_services_facing_each_other_come_to_rest(database: Database) -> None:
    their_box = changed(
        name="theirs", address="security@other.example", team_address="team@other.example", authserv_id=None
    )
    ours, theirs = Bench(database), Bench(database, mailbox=their_box)
    await ours.post(letter("report to you too", "security@other.example", message_id="<0@other.example>"))
    rounds = 0
    while rounds < 20:
        rounds += 1
        to_them = [data for to, data in _sent(ours, await ours.deliver()) if to == their_box.address]
        await theirs.post(*to_them)
        to_us = [data for to, data in _sent(theirs, await theirs.deliver()) if to == BOX.address]
        await ours.post(*to_us)
        if not to_them and not to_us:
            break
    assert rounds <= 3
    assert len(ours.to(their_box.address)) == 1 and len(theirs.to(BOX.address)) == 0


def _sent(bench: Bench, delivered: Sequence[object]) -> list[tuple[str, bytes]]:
    return bench.office.taken[len(bench.office.taken) - len(delivered) :]


@pytest.mark.parametrize("threads", [True, False])
async def test_an_autoresponder_without_any_automatic_header_is_bounded_by_the_caps(
    bench: Bench, threads: bool
) -> None:
    robot = "robot@corp.example"
    await bench.post(letter("report", robot))
    for number in range(100):
        mine = [m for to, m in await bench.deliver() if to == robot]
        if not mine:
            break
        for each in mine:
            references = each["Message-ID"] if threads else ""
            await bench.post(letter(f"report received {number}", robot, references=references))
    answers_in_all = len(bench.to(robot))
    assert answers_in_all == (1 if threads else 10)
    await bench.later(days=1)
    assert len(bench.to(robot)) <= answers_in_all + 1
