"""Cases, journal, outbox, budgets and collected lines in the database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import outbound
from mailbox_service.core.case import Event
from mailbox_service.errors import TemporaryError
from mailbox_service.services.ports import (
    CaseId,
    CollectedItem,
    JournalEntry,
    Lease,
    OpenCase,
    OutboundClaim,
    Settled,
    Settlement,
)
from tests.database.setting import LEASE, NOW, SOON, mail, new

BOX = ["security"]
EXPIRES = NOW + timedelta(days=5)
PATTERN = "SEC-{year}-{number:04d}"


@contextmanager
def several(url: str, number: int = 4) -> Iterator[list[Database]]:
    databases = [Database.open(url) for _ in range(number)]
    try:
        yield databases
    finally:
        for each in databases:
            each.close()


def case(mailbox: str = "security", pattern: str = PATTERN) -> OpenCase:
    return OpenCase(mailbox, "r@x.example", "A bug", False, False, False, reference_pattern=pattern)


def entry(id_: CaseId | None) -> JournalEntry:
    assert id_ is not None
    return JournalEntry(id_, Event.MESSAGE_ADDED, "r@x.example", {"message": 1})


def claimed(database: Database, limit: int = 50, later: timedelta = timedelta()) -> list[OutboundClaim]:
    lease = Lease("worker-0", NOW + later + timedelta(minutes=10))
    return database.run(lambda tx: tx.claim_outbound(limit, NOW + later, lease, BOX))


# --- cases -------------------------------------------------------------------------------------------------


def test_concurrent_writers_and_two_mailboxes_share_one_sequence_without_gaps(database_url: str) -> None:
    def work(one: tuple[Database, str]) -> list[str]:
        database, mailbox = one
        refs = []
        for number in range(6):
            batch = [case(mailbox) for _ in range(number % 3 + 1)]
            database.run(lambda tx: tx.open_cases(batch, NOW))  # noqa: B023
            refs += [each.ref for each in batch]
        return refs

    with several(database_url) as databases, ThreadPoolExecutor(4) as pool:
        each_of = zip(databases, ["security", "other", "security", "other"], strict=True)
        refs = [ref for some in pool.map(work, each_of) for ref in some]
    assert sorted(refs) == [f"SEC-2026-{n:04d}" for n in range(1, 49)]


def test_a_number_that_was_rolled_back_is_given_again(database: Database) -> None:
    def fails(tx: object) -> None:
        tx.open_cases([case()], NOW)  # type: ignore[attr-defined]
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        database.run(fails)
    opened = case()
    database.run(lambda tx: tx.open_cases([opened], NOW))
    assert opened.ref == "SEC-2026-0001"


def test_each_year_counts_anew_and_a_pattern_without_the_year_does_not(database: Database) -> None:
    batches = [[case(), case(pattern="VUL-{number}")] for _ in range(2)]
    for batch, now in zip(batches, (NOW, NOW + timedelta(days=365)), strict=True):
        database.run(lambda tx: tx.open_cases(batch, now))  # noqa: B023
    assert [c.ref for batch in batches for c in batch] == ["SEC-2026-0001", "VUL-1", "SEC-2027-0001", "VUL-2"]


def test_the_journal_numbers_its_entries_for_each_case_also_under_concurrent_writers(database_url: str) -> None:
    with several(database_url) as databases:
        one, two = case(), case()
        databases[0].run(lambda tx: tx.open_cases([one, two], NOW))

        def work(database: Database) -> None:
            for _ in range(5):
                database.run(lambda tx: tx.add_journal([entry(two.id), entry(one.id), entry(two.id)], NOW))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, databases))
        for each, expected in ((one, 20), (two, 40)):
            row = databases[0].run(lambda tx: tx.case_row(each.ref))  # noqa: B023
            rows = databases[0].run(lambda tx: tx.journal_of(row["id"]))  # noqa: B023
            assert [entry["seq"] for entry in rows] == list(range(1, expected + 1))
            assert row["version"] == expected


# --- outbox ------------------------------------------------------------------------------------------------


def test_a_mail_with_the_same_cause_kind_and_recipient_exists_once(database: Database) -> None:
    for _ in range(3):
        mails = [mail(), mail(recipient="b@x.example"), mail(kind="digest")]
        database.run(lambda tx: tx.add_mails(mails, NOW, EXPIRES))  # noqa: B023
    assert len(database.run(lambda tx: tx.list_outbound())) == 3


def test_what_matters_most_is_claimed_first(database: Database) -> None:
    mails = [mail(cause=f"c{n}", priority=n) for n in (50, 0, 30)]
    database.run(lambda tx: tx.add_mails(mails, NOW, EXPIRES))
    assert [c.cause for c in claimed(database, 2)] == ["c0", "c30"]


def test_bytes_are_frozen_once_and_never_change(database: Database) -> None:
    database.run(lambda tx: tx.add_mails([mail()], NOW, EXPIRES))
    (first,) = claimed(database)
    big = b"one\0\xff" * 500_000
    assert database.run(lambda tx: tx.freeze([(first, big)], NOW)) == {first.id}
    with pytest.raises(TemporaryError):
        database.run(lambda tx: tx.freeze([(first, b"two")], NOW))
    (again,) = claimed(database, later=timedelta(minutes=11))
    assert (again.frozen, again.attempt, again.message_id) == (big, 2, first.message_id)
    assert database.run(lambda tx: tx.freeze([(first, b"three")], NOW)) == set()


def test_settling_with_a_stale_token_does_nothing(database: Database) -> None:
    database.run(lambda tx: tx.add_mails([mail()], NOW, EXPIRES))
    (old,) = claimed(database)
    (fresh,) = claimed(database, later=timedelta(minutes=11))
    assert database.run(lambda tx: tx.settle([Settled(old, Settlement.FAILED, "550", NOW)], NOW)) == set()
    assert [r["state"] for r in database.run(lambda tx: tx.list_outbound())] == ["waiting"]
    assert database.run(lambda tx: tx.settle([Settled(fresh, Settlement.SENT, "250", NOW)], NOW)) == {fresh.id}
    assert database.run(lambda tx: tx.settle([Settled(fresh, Settlement.FAILED, "550", NOW)], NOW)) == set()
    assert [r["state"] for r in database.run(lambda tx: tx.list_outbound())] == ["sent"]


def test_four_workers_at_once_claim_every_mail_once(database_url: str) -> None:
    with several(database_url) as databases:
        databases[0].run(lambda tx: tx.add_mails([mail(cause=f"c{n}") for n in range(100)], NOW, EXPIRES))

        def work(database: Database) -> list[OutboundClaim]:
            claims: list[OutboundClaim] = []
            while batch := claimed(database, 7):
                claims += batch
            return claims

        with ThreadPoolExecutor(4) as pool:
            ids = [c.id for claims in pool.map(work, databases) for c in claims]
    assert len(ids) == len(set(ids)) == 100


def test_a_retry_by_hand_makes_a_failed_mail_due_with_a_new_time_to_live(database: Database) -> None:
    database.run(lambda tx: tx.add_mails([mail()], NOW, EXPIRES))
    (claim,) = claimed(database)
    database.run(lambda tx: tx.settle([Settled(claim, Settlement.FAILED, "550", NOW)], NOW))
    assert database.run(lambda tx: tx.retry_outbound(claim.id, NOW + SOON, EXPIRES + SOON))
    (again,) = claimed(database, later=SOON)
    assert (again.id, again.expires_at, again.unknown_outcomes) == (claim.id, EXPIRES + SOON, 0)
    database.run(lambda tx: tx.settle([Settled(again, Settlement.SENT, "250", NOW)], NOW))
    assert not database.run(lambda tx: tx.retry_outbound(claim.id, NOW, EXPIRES))


def test_pausing_is_kept(database: Database) -> None:
    seen = []
    for paused in (True, False, True):
        database.run(lambda tx: tx.pause_outbox(paused))  # noqa: B023
        seen.append(database.run(lambda tx: tx.outbox_paused()))
    assert seen == [True, False, True]


# --- budgets and collected lines ---------------------------------------------------------------------------


def test_budgets_add_up_under_concurrent_writers(database_url: str) -> None:
    keys = {("a\0b", NOW): 1, ("b", NOW): 2, ("b", NOW + timedelta(hours=1)): 3}
    with several(database_url) as databases:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda d: [d.run(lambda tx: tx.spend(keys)) for _ in range(5)], databases))
        read = databases[0].run(lambda tx: tx.budgets([("b", NOW), ("c", NOW)]))
        assert read == {("b", NOW): 40}
        databases[0].run(lambda tx: tx.forget_budgets(NOW + SOON))
        assert databases[0].run(lambda tx: tx.budgets(list(keys))) == {("b", NOW + timedelta(hours=1)): 60}


def item(line: str, recipient: str = "", channel: str = "digest") -> CollectedItem:
    return CollectedItem("security", channel, "redirect", line, recipient)


def test_a_line_is_collected_once_oldest_first_with_its_own_channel_and_recipient(database: Database) -> None:
    items = [item("1"), item("2"), item("3"), item("x", "r@x.example"), item("y", channel="cases")]
    database.run(lambda tx: tx.add_collected(items, NOW))
    assert len(database.run(lambda tx: tx.due_channels())) == 3
    causes, lines = [], []
    for _ in range(3):
        cause, some = database.run(lambda tx: tx.collect("security", "digest", "", 2))
        causes.append(cause)
        lines.append([line.line for line in some])
    assert lines == [["1", "2"], ["3"], []]
    assert causes[0] != causes[1]


def test_workers_that_collect_at_once_share_the_lines_and_name_their_mails_differently(database_url: str) -> None:
    with several(database_url) as databases:
        databases[0].run(lambda tx: tx.add_collected([item(str(n)) for n in range(40)], NOW))
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda d: d.run(lambda tx: tx.collect("security", "digest", "", 15)), databases))
        rest = databases[0].run(lambda tx: tx.collect("security", "digest", "", 99))
    told = [(cause, [line.line for line in lines]) for cause, lines in [*taken, rest] if lines]
    assert sorted(line for _, lines in told for line in lines) == sorted(map(str, range(40)))
    assert len({cause for cause, _ in told}) == len(told)


def test_odd_text_from_mail_is_storable(database: Database) -> None:
    odd = replace(item("line\0 \ud800"), recipient="\udc80\0@x")
    database.run(lambda tx: tx.add_collected([odd], NOW))
    opened = replace(case(), subject="\0\ud83d", reporter="\udcff@x")
    database.run(lambda tx: tx.open_cases([opened], NOW))
    database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    hostile = replace(mail(), recipient="\0@x", context={"text": "NUL \0, surrogate \ud800", "\0": ["\0"]})
    database.run(lambda tx: tx.add_mails([hostile], NOW, EXPIRES))
    odd_entry = JournalEntry(opened.id or CaseId(0), Event.OPENED, "\0", {"reply": "\0\udfff"})
    database.run(lambda tx: tx.add_journal([odd_entry], NOW))
    assert int(database.run(lambda tx: tx.connection.scalar(sa.select(sa.func.count(outbound.c.id)))) or 0) == 1


def test_a_database_keeps_its_name(database: Database) -> None:
    assert database.run(lambda tx: tx.instance("first")) == "first"
    assert database.run(lambda tx: tx.instance("second")) == "first"
