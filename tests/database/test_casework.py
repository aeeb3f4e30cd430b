"""Working a case in the database: its state, its threads, its notes, the questions that wait, what falls due."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.case import (
    Actor,
    Ask,
    CaseState,
    Entry,
    Event,
    Facts,
    Move,
    Party,
    Policy,
    Resolution,
    Stage,
    apply,
)
from mailbox_service.core.routing import Disposition
from mailbox_service.errors import CaseChanged, NotFound, TemporaryError
from mailbox_service.services.ports import (
    MARK_OF,
    CaseId,
    CaseRecord,
    Confirmation,
    Finished,
    JournalEntry,
    MessageId,
    NewMail,
    OpenCase,
    OutboundId,
    ThreadIds,
)
from tests.database.setting import LEASE, NOW, SOON, mail, new

BOX = ["security"]
EXPIRES = NOW + timedelta(days=5)
REPORTER, SECOND, INVITED = "r@x.example", "other@y.example", "expert@z.example"


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def opened(database: Database, mailbox: str = "security", *, quiet: bool = False, now: datetime = NOW) -> CaseId:
    case = OpenCase(mailbox, REPORTER, "A bug", False, False, quiet, reference_pattern="SEC-{year}-{number:04d}")
    database.run(lambda tx: tx.open_cases([case], now))
    assert case.id is not None
    return case.id


def never_looked_at(database: Database, mailbox: str = "security") -> CaseId:
    """As a case of before there were deadlines, or one that was closed by hand."""
    case = opened(database, mailbox)
    database.run(lambda tx: tx.close_case(case, Resolution.REDIRECTED, NOW))
    return case


def record(database: Database, case: CaseId) -> CaseRecord:
    return database.run(lambda tx: tx.case_for_update(case))


def save(database: Database, one: CaseRecord, expected: int = 0, due: datetime | None = None) -> None:
    database.run(lambda tx: tx.save_case(one, expected, due))


def changed(database: Database, case: CaseId, **changes: object) -> CaseState:
    """The state that is read after it was stored with `changes`."""
    found = record(database, case)
    state = replace(found.state, **changes)  # type: ignore[arg-type]
    save(database, replace(found, state=state), found.state.version)
    return record(database, case).state


def entered(database: Database, case: CaseId, event: Event, actor: str, now: datetime = NOW, **data: object) -> None:
    database.run(lambda tx: tx.add_journal([JournalEntry(case, event, actor, data)], now))


def received(
    database: Database,
    case: CaseId,
    sender: str,
    name: str | None,
    now: datetime = NOW,
    disposition: Disposition = Disposition.ATTACHED,
) -> MessageId:
    """A message of `sender` that joined the case."""
    (claim,) = database.run(lambda tx: tx.store([new(f"{sender} {name} {now}".encode())], now, LEASE))
    done = Finished(
        claim, False, disposition, MARK_OF[disposition], "test", case_id=case, sender=sender, header_message_id=name
    )
    database.run(lambda tx: tx.finish([done], now))
    return claim.id


def told(
    database: Database, case: CaseId | None, recipient: str, name: str, now: datetime = NOW, **changes: object
) -> OutboundId:
    """A mail of ours to `recipient`."""
    one: NewMail = replace(mail(cause=name, recipient=recipient), message_id=name, case_id=case, **changes)  # type: ignore[arg-type]
    database.run(lambda tx: tx.add_mails([one], now, EXPIRES))
    return database.run(lambda tx: tx.outbound_named([name]))[0].id


# --- the state ---------------------------------------------------------------------------------------------


WHOLE = CaseState(
    ref="SEC-2026-0001",
    opened_at=NOW,
    stage=Stage.CLOSED,
    version=0,
    facts=Facts(
        severity="CVSS:3.1/AV:N",
        cve="CVE-2026-12345",
        affects="all up to 4.2 \u2013 \U0001f41e",
        fixed="4.3",
        credit="",
        embargo=at(240),
        advisory="https://x.example/1",
        patch="https://x.example/2",
    ),
    owner="ada",
    reporters=(REPORTER, SECOND, "Third@x.example"),
    participants=(INVITED, "b@z.example"),
    resolution=Resolution.DUPLICATE,
    duplicate_of="CVE-2025-1",
    stage_since=at(1.5),
    answered_at=at(2),
    told_at=at(3),
    promised_at=at(4),
    released_at=at(5),
    published_at=at(6),
    details_at=at(7),
    asked=frozenset({Ask.CREDIT, Ask.AI_DISCLOSURE}),
    reminded=True,
)


def test_every_field_of_a_case_comes_back_as_it_was_stored(database: Database) -> None:
    fresh = CaseState(ref=WHOLE.ref, opened_at=NOW, reporters=(REPORTER,))
    case = opened(database)
    assert record(database, case) == CaseRecord(case, "security", "A bug", False, False, False, fresh)
    # A field that is like that of a fresh case would prove nothing.
    alike = {f.name for f in fields(CaseState) if getattr(WHOLE, f.name) == getattr(fresh, f.name)}
    assert alike == {"ref", "opened_at", "version"}
    assert all(getattr(WHOLE.facts, f.name) is not None for f in fields(Facts))

    save(database, replace(record(database, case), state=WHOLE))
    assert record(database, case) == CaseRecord(case, "security", "A bug", False, False, False, WHOLE)
    save(database, replace(record(database, case), state=fresh))
    assert record(database, case).state == fresh


def test_a_stored_case_leaves_every_other_case_and_what_is_no_part_of_its_state_alone(database: Database) -> None:
    case, other = opened(database), opened(database)
    before = record(database, other)
    database.run(lambda tx: tx.seal([case]))
    mine = replace(record(database, case), subject="another", mailbox="other", sealed=False, unsure=True, quiet=True)
    save(database, replace(mine, state=replace(WHOLE, version=99)))
    after = record(database, case)
    assert (after.subject, after.mailbox, after.sealed, after.unsure, after.quiet, after.state.version) == (
        "A bug",
        "security",
        True,
        False,
        False,
        0,
    )
    assert record(database, other) == before


def test_a_case_without_a_reporter_gets_one_and_keeps_their_order(database: Database) -> None:
    nobody = OpenCase("security", None, "s", False, False, False, reference_pattern="N-{number}")
    database.run(lambda tx: tx.open_cases([nobody], NOW))
    assert nobody.id is not None
    assert record(database, nobody.id).state.reporters == ()
    assert changed(database, nobody.id, reporters=(SECOND, REPORTER)).reporters == (SECOND, REPORTER)
    assert database.run(lambda tx: tx.case_row("N-1"))["reporter"] == SECOND


def test_what_comes_from_mail_is_storable_in_every_field(database: Database) -> None:
    odd = "\0\udcff"
    state = changed(
        database,
        opened(database),
        facts=Facts(credit=odd),
        owner=odd,
        duplicate_of=odd,
        reporters=(odd, odd + "2"),
        participants=(odd,),
    )
    assert (state.facts.credit, state.owner, state.duplicate_of) == ("\ufffd?",) * 3
    assert (state.reporters, state.participants) == (("\ufffd?", "\ufffd?2"), ("\ufffd?",))


def test_a_case_that_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        record(database, CaseId(99))


def test_a_closed_case_is_closed_since_its_stage_began_and_an_open_one_has_no_end(database: Database) -> None:
    case = opened(database)

    def end() -> datetime | None:
        found: datetime | None = database.run(lambda tx: tx.case_row("SEC-2026-0001"))["closed_at"]
        return found

    assert end() is None
    changed(database, case, stage=Stage.CLOSED, stage_since=at(3), resolution=Resolution.RESOLVED)
    assert end() == at(3)
    # Details published of a closed case: it has been closed for as long as before.
    changed(database, case, details_at=at(9))
    assert end() == at(3)
    changed(database, case, stage=Stage.REVIEWING, stage_since=at(10), resolution=None)
    assert end() is None


def test_closing_by_hand_keeps_the_whole_state_in_step(database: Database) -> None:
    case, other = opened(database), opened(database)
    changed(database, case, stage=Stage.NEEDS_INFO, stage_since=at(1), reminded=True, promised_at=at(2))
    before = record(database, case).state
    database.run(lambda tx: tx.set_next_due(case, at(2)))
    database.run(lambda tx: tx.close_case(case, Resolution.SPAM, at(5)))
    closed = replace(
        before, stage=Stage.CLOSED, stage_since=at(5), resolution=Resolution.SPAM, reminded=False, version=0
    )
    assert record(database, case).state == closed
    assert database.run(lambda tx: tx.case_row("SEC-2026-0001"))["closed_at"] == at(5)
    assert record(database, other).state.stage is Stage.RECEIVED
    # It can be stored again as it is.
    assert changed(database, case) == closed


# --- versions ----------------------------------------------------------------------------------------------


def test_a_case_that_moved_on_is_not_overwritten(database: Database) -> None:
    case = opened(database)
    old = record(database, case)
    entered(database, case, Event.NOTED, "ada")
    with pytest.raises(CaseChanged) as error:
        save(database, replace(old, state=WHOLE), expected=0)
    assert isinstance(error.value, TemporaryError)
    assert record(database, case).state == replace(old.state, version=1)
    save(database, replace(old, state=WHOLE), expected=1)
    assert record(database, case).state == replace(WHOLE, version=1)


def test_what_apply_makes_is_what_is_read_afterwards(database: Database) -> None:
    case = opened(database)
    found = record(database, case)
    made = apply(found.state, Move(Event.REVIEWING), at(1), Policy(), Actor(Party.MAINTAINER, "ada"))

    def work(tx: object) -> None:
        tx.save_case(replace(found, state=made.state), made.expected_version, None)  # type: ignore[attr-defined]
        tx.add_journal([JournalEntry(case, e.event, e.actor, e.data) for e in made.entries], at(1))  # type: ignore[attr-defined]

    database.run(work)
    assert record(database, case).state == made.state
    assert database.run(lambda tx: tx.journal_after(case, NOW)) == list(made.entries)


def test_of_two_who_change_the_same_case_at_once_the_second_works_on_what_the_first_left(database_url: str) -> None:
    one, two = Database.open(database_url), Database.open(database_url)
    case = opened(one)
    first_has_it, second_tries = threading.Event(), threading.Event()

    def first(tx: object) -> None:
        mine = tx.case_for_update(case)  # type: ignore[attr-defined]
        first_has_it.set()
        assert second_tries.wait(10)
        tx.save_case(replace(mine, state=replace(mine.state, owner="ada")), 0, None)  # type: ignore[attr-defined]
        tx.add_journal([JournalEntry(case, Event.ASSIGNED, "ada", {})], NOW)  # type: ignore[attr-defined]

    def second() -> str | None:
        assert first_has_it.wait(10)
        second_tries.set()
        return two.run(lambda tx: tx.case_for_update(case)).state.owner

    try:
        with ThreadPoolExecutor(2) as pool:
            seen = pool.submit(second)
            pool.submit(one.run, first).result(20)
            assert seen.result(20) == "ada"
    finally:
        one.close()
        two.close()


# --- finding cases -----------------------------------------------------------------------------------------


def test_a_case_is_named_by_its_reference_in_its_own_mailbox_however_it_is_written(database: Database) -> None:
    case, other = opened(database), opened(database, "other")

    def named(mailbox: str, ref: str) -> CaseId | None:
        return database.run(lambda tx: tx.case_named(mailbox, ref))

    assert [named("security", ref) for ref in ("SEC-2026-0001", "sec-2026-0001", "Sec-2026-0001")] == [case] * 3
    assert (named("other", "SEC-2026-0002"), named("security", "SEC-2026-0002")) == (other, None)
    assert [named("security", ref) for ref in ("SEC-2026-000", "SEC-2026-000_", "", "\0", "\ud800")] == [None] * 5


def test_open_cases_are_listed_for_their_mailbox_oldest_first(database: Database) -> None:
    young, old = opened(database, now=at(2)), opened(database, now=at(1), quiet=True)
    closed, _ = opened(database), opened(database, "other")
    changed(database, closed, stage=Stage.CLOSED)
    assert [each.id for each in database.run(lambda tx: tx.open_cases_of("security"))] == [old, young]
    assert database.run(lambda tx: tx.open_cases_of("security"))[0] == record(database, old)


def test_a_listing_of_open_cases_has_an_end(database: Database) -> None:
    many = [
        OpenCase("security", REPORTER, str(n), False, False, False, reference_pattern="N-{number}") for n in range(501)
    ]
    database.run(lambda tx: tx.open_cases(many, NOW))
    listed = database.run(lambda tx: tx.open_cases_of("security"))
    assert [each.subject for each in listed] == [str(n) for n in range(500)]


# --- the journal -------------------------------------------------------------------------------------------


def test_the_journal_after_a_moment_is_what_was_entered_later(database: Database) -> None:
    case, other = opened(database), opened(database)
    for hour, actor in enumerate(("ada", "bob", "reporter")):
        entered(database, case, Event.NOTED, actor, at(hour), message=hour)
    entered(database, other, Event.NOTED, "eve", at(9))
    assert database.run(lambda tx: tx.journal_after(case, at(0))) == [
        Entry(Event.NOTED, "bob", at(1), {"message": 1}),
        Entry(Event.NOTED, "reporter", at(2), {"message": 2}),
    ]
    assert [e.actor for e in database.run(lambda tx: tx.journal_after(case, at(-1)))] == ["ada", "bob", "reporter"]
    assert database.run(lambda tx: tx.journal_after(case, at(2))) == []


def test_the_last_note_is_the_newest_of_that_person_until_it_was_sent(database: Database) -> None:
    case, other = opened(database), opened(database)

    def last(actor: str = "ada") -> MessageId | None:
        return database.run(lambda tx: tx.last_note(case, actor))

    assert last() is None
    entered(database, case, Event.NOTED, "ada", message=1)
    entered(database, case, Event.NOTED, "ada", message=2)
    entered(database, case, Event.NOTED, "bob", message=3)
    entered(database, case, Event.MESSAGE_ADDED, "ada", message=4)
    entered(database, other, Event.NOTED, "ada", message=5)
    assert (last(), last("bob"), last("eve")) == (2, 3, None)
    # The older note was sent, or one in another case: this one was not.
    entered(database, case, Event.REPLIED, "ada", message=1)
    entered(database, case, Event.REPLIED, "ada")
    entered(database, other, Event.REPLIED, "ada", message=2)
    entered(database, case, Event.NOTED, "bob", message=6)
    assert (last(), last("bob")) == (2, 6)
    # Whoever sent it.
    entered(database, case, Event.REPLIED, "bob", message=2)
    assert (last(), last("bob")) == (None, 6)
    entered(database, case, Event.NOTED, "ada", message=2)
    assert last() == 2
    entered(database, case, Event.NOTED, "ada")
    assert last() is None


# --- messages and mails ------------------------------------------------------------------------------------


def test_the_first_message_is_the_one_that_opened_the_case(database: Database) -> None:
    case, other, empty = opened(database), opened(database), opened(database)
    joined_later = received(database, case, REPORTER, "<0@x>")
    opening = received(database, case, REPORTER, "<1@x>", at(1), Disposition.CASE)
    third = received(database, case, SECOND, "<2@y>", at(2))
    only = received(database, other, SECOND, "<3@y>", at(3))

    def first(of: CaseId) -> MessageId | None:
        return database.run(lambda tx: tx.first_message(of))

    assert (first(case), first(other), first(empty)) == (opening, only, None)
    assert database.run(lambda tx: tx.messages_of(case)) == [joined_later, opening, third]
    assert database.run(lambda tx: tx.messages_of(empty)) == []


def thread(database: Database, case: CaseId, recipient: str) -> ThreadIds:
    return database.run(lambda tx: tx.thread_with(case, recipient))


def test_a_mail_answers_the_newest_message_of_its_recipient(database: Database) -> None:
    case = opened(database)
    assert thread(database, case, REPORTER) == ThreadIds(None, ())
    received(database, case, REPORTER, "<1@x>", at(0), Disposition.CASE)
    told(database, case, REPORTER, "<a@us>", at(1))
    assert thread(database, case, REPORTER) == ThreadIds("<1@x>", ("<1@x>", "<a@us>"))
    received(database, case, REPORTER, "<2@x>", at(2))
    told(database, case, REPORTER, "<b@us>", at(3))
    received(database, case, REPORTER, None, at(4))
    assert thread(database, case, REPORTER) == ThreadIds("<2@x>", ("<1@x>", "<a@us>", "<2@x>", "<b@us>"))


def test_to_somebody_who_never_wrote_a_mail_follows_our_last_one(database: Database) -> None:
    case = opened(database)
    told(database, case, INVITED, "<a@us>", at(1))
    told(database, case, INVITED, "<b@us>", at(2))
    assert thread(database, case, INVITED) == ThreadIds("<b@us>", ("<a@us>", "<b@us>"))


def test_the_threads_of_two_reporters_of_a_case_never_mix(database: Database) -> None:
    case, other = opened(database), opened(database)
    strangers = (SECOND, "x" + REPORTER, REPORTER + "x", "_@x.example", "%", "")
    for number, who in enumerate(strangers):
        received(database, case, who, f"<in-{number}@y>", at(number))
        told(database, case, who, f"<out-{number}@us>", at(number))
    # The same person in another case, or in none.
    received(database, other, REPORTER, "<other@x>", at(50))
    told(database, other, REPORTER, "<other@us>", at(50))
    told(database, None, REPORTER, "<digest@us>", at(50))
    assert thread(database, case, REPORTER) == ThreadIds(None, ())
    received(database, case, REPORTER, "<1@x>", at(20))
    told(database, case, REPORTER, "<a@us>", at(21))
    assert thread(database, case, REPORTER) == ThreadIds("<1@x>", ("<1@x>", "<a@us>"))
    assert thread(database, case, SECOND) == ThreadIds("<in-0@y>", ("<in-0@y>", "<out-0@us>"))


def test_an_address_is_the_same_in_capitals(database: Database) -> None:
    case = opened(database)
    received(database, case, "R@X.Example", "<1@x>", at(0))
    told(database, case, "r@X.EXAMPLE", "<a@us>", at(1))
    for written in ("r@x.example", "R@x.eXample"):
        assert thread(database, case, written) == ThreadIds("<1@x>", ("<1@x>", "<a@us>"))
    received(database, case, "Übel@x.example", "<2@x>", at(0))
    assert thread(database, case, "Übel@x.example") == ThreadIds("<2@x>", ("<2@x>",))


def test_a_long_thread_keeps_its_first_message_and_the_newest_ten(database: Database) -> None:
    case = opened(database)
    for hour in range(30):
        if hour % 2:
            told(database, case, REPORTER, f"<{hour}@us>", at(hour))
        else:
            received(database, case, REPORTER, f"<{hour}@x>", at(hour))
    expected = ["<0@x>", *(f"<{hour}@{'us' if hour % 2 else 'x'}>" for hour in range(20, 30))]
    assert thread(database, case, REPORTER) == ThreadIds("<28@x>", tuple(expected))
    # Also where only one of us two has written lately.
    for hour in range(30, 60):
        told(database, case, REPORTER, f"<{hour}@us>", at(hour))
    expected = ["<0@x>", *(f"<{hour}@us>" for hour in range(50, 60))]
    assert thread(database, case, REPORTER) == ThreadIds("<28@x>", tuple(expected))


def test_a_message_id_stands_once_in_a_thread(database: Database) -> None:
    case = opened(database)
    for hour in range(3):
        received(database, case, REPORTER, "<1@x>", at(hour))
    told(database, case, REPORTER, "<a@us>", at(1))
    assert thread(database, case, REPORTER) == ThreadIds("<1@x>", ("<1@x>", "<a@us>"))


def test_a_mail_that_never_leaves_is_in_no_thread(database: Database) -> None:
    case = opened(database)
    ids = [told(database, case, REPORTER, f"<{n}@us>", at(n)) for n in range(4)]
    told(database, case, REPORTER, "<shadow@us>", at(5), shadow=True)

    def become(tx: object) -> None:
        for number, state in zip(ids, ("sent", "failed", "withdrawn", "waiting"), strict=True):
            statement = sa.text("update outbound set state = :state where id = :id")
            tx.connection.execute(statement, {"state": state, "id": number})  # type: ignore[attr-defined]

    database.run(become)
    assert thread(database, case, REPORTER) == ThreadIds("<3@us>", ("<0@us>", "<3@us>"))


def test_the_words_of_a_mail_of_ours_are_found_again(database: Database) -> None:
    case = opened(database)

    def words(number: OutboundId) -> str | MessageId:
        return database.run(lambda tx: tx.sent_words(number))

    assert words(told(database, case, REPORTER, "<1@us>", context={"text": "Grüße,\nada", "a": 1})) == "Grüße,\nada"
    for name, context in (("<2@us>", {}), ("<3@us>", {"text": None}), ("<4@us>", {"text": ["x"]})):
        assert words(told(database, case, REPORTER, name, context=context)) == ""
    assert words(OutboundId(99)) == ""
    # Of a sealed case they stand in a message alone.
    assert words(told(database, case, REPORTER, "<5@us>", context={"text": "", "source": {"message": 7}})) == 7
    assert words(told(database, case, REPORTER, "<6@us>", context={"source": {"message": 7, "as": "notice"}})) == 7


def test_a_mail_of_ours_that_is_named_says_to_whom_it_was_and_when_it_was_made(database: Database) -> None:
    told(database, opened(database), REPORTER, "<1@us>", at(2), role="maintainer")
    (known,) = database.run(lambda tx: tx.outbound_named(["<1@us>"]))
    assert (known.role, known.created_at, known.recipient) == ("maintainer", at(2), REPORTER)


# --- questions ---------------------------------------------------------------------------------------------


def question(database: Database, case: CaseId, mail_id: str = "<q@us>") -> Confirmation:
    message = received(database, case, REPORTER, f"{mail_id} asks")
    return Confirmation(message, case, 7, mail_id, SECOND, "second_address", "new@y.example", at(48))


def test_a_question_is_found_by_the_mail_that_asks_it(database: Database) -> None:
    case = opened(database)
    asked, other = question(database, case), question(database, case, "<other@us>")
    database.run(lambda tx: tx.add_confirmation(asked))
    database.run(lambda tx: tx.add_confirmation(other))
    # A worker that does its work twice asks once.
    database.run(lambda tx: tx.add_confirmation(replace(asked, recipient="mallory@x.example")))
    assert database.run(lambda tx: tx.confirmation("<q@us>")) == asked
    assert database.run(lambda tx: tx.use_confirmation("<q@us>", at(1)))
    assert database.run(lambda tx: tx.confirmation("<q@us>")) == replace(asked, used_at=at(1))
    assert database.run(lambda tx: tx.confirmation("<other@us>")) == other
    for strange in ("<Q@us>", "", "<\0@us>", "\ud800"):
        assert database.run(lambda tx: tx.confirmation(strange)) is None  # noqa: B023
        assert not database.run(lambda tx: tx.use_confirmation(strange, at(1)))  # noqa: B023


def test_a_question_is_answered_once(database: Database) -> None:
    asked = question(database, opened(database))
    database.run(lambda tx: tx.add_confirmation(asked))
    answers = [database.run(lambda tx: tx.use_confirmation("<q@us>", at(n))) for n in range(3)]  # noqa: B023
    assert answers == [True, False, False]
    found = database.run(lambda tx: tx.confirmation("<q@us>"))
    assert found is not None
    assert found.used_at == at(0)


def test_an_answer_that_was_rolled_back_does_not_count(database: Database) -> None:
    asked = question(database, opened(database))
    database.run(lambda tx: tx.add_confirmation(asked))

    def fails(tx: object) -> None:
        assert tx.use_confirmation("<q@us>", NOW)  # type: ignore[attr-defined]
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        database.run(fails)
    assert database.run(lambda tx: tx.use_confirmation("<q@us>", NOW))


def test_of_two_answers_in_two_transactions_at_once_one_counts(database_url: str) -> None:
    one, two = Database.open(database_url), Database.open(database_url)
    asked = question(one, opened(one))
    one.run(lambda tx: tx.add_confirmation(asked))
    first_used_it, second_tries = threading.Event(), threading.Event()

    def first(tx: object) -> bool:
        used = tx.use_confirmation("<q@us>", NOW)  # type: ignore[attr-defined]
        first_used_it.set()
        assert second_tries.wait(10)
        return bool(used)

    def second() -> bool:
        assert first_used_it.wait(10)
        second_tries.set()
        return two.run(lambda tx: tx.use_confirmation("<q@us>", at(1)))

    try:
        with ThreadPoolExecutor(2) as pool:
            late = pool.submit(second)
            assert pool.submit(one.run, first).result(20) is True
            assert late.result(20) is False
    finally:
        one.close()
        two.close()


# --- what falls due ----------------------------------------------------------------------------------------


def due(database: Database, now: datetime = NOW, mailboxes: list[str] = BOX, limit: int = 50) -> list[CaseId]:
    return database.run(lambda tx: tx.cases_to_look_at(now, mailboxes, limit))


def test_cases_are_looked_at_when_something_is_due_those_never_looked_at_first(database: Database) -> None:
    late, soon, never = (opened(database) for _ in range(3))
    fresh = never_looked_at(database)
    for case, moment in ((late, at(0)), (soon, at(-1)), (never, None)):
        database.run(lambda tx: tx.set_next_due(case, moment))  # noqa: B023
    opened(database, quiet=True)
    new = opened(database)  # of which nothing can be due within hours
    assert new not in due(database, NOW + timedelta(hours=5)) and new in due(database, NOW + timedelta(hours=6))
    database.run(lambda tx: tx.set_next_due(new, None))
    other = never_looked_at(database, "other")
    assert due(database) == [fresh, soon, late]
    assert due(database, limit=2) == [fresh, soon]
    assert due(database, NOW - SOON) == [fresh, soon]
    assert due(database, NOW + timedelta(days=36500)) == [fresh, soon, late]
    assert (due(database, mailboxes=["other"]), due(database, mailboxes=[])) == ([other], [])
    assert due(database, mailboxes=["security", "other"]) == [fresh, other, soon, late]


def test_storing_a_case_says_when_to_look_again_and_closing_by_hand_asks_for_a_look(database: Database) -> None:
    case = opened(database)
    save(database, record(database, case), due=at(5))
    assert (due(database, at(5) - SOON), due(database, at(5))) == ([], [case])
    save(database, record(database, case), due=None)
    assert due(database, at(9999)) == []
    database.run(lambda tx: tx.close_case(case, Resolution.REDIRECTED, NOW))
    assert due(database) == [case]


def test_workers_at_once_look_at_different_cases(database_url: str) -> None:
    """What one holds the other leaves out; SQLite has one writer, and the second finds what the first left."""
    one, two = Database.open(database_url), Database.open(database_url)
    cases = [never_looked_at(one) for _ in range(4)]
    first_has_them, second_is_done = threading.Event(), threading.Event()

    def first(tx: object) -> list[CaseId]:
        mine: list[CaseId] = tx.cases_to_look_at(NOW, BOX, 2)  # type: ignore[attr-defined]
        first_has_them.set()
        if not one.is_sqlite:
            assert second_is_done.wait(10)
        for case in mine:
            tx.set_next_due(case, None)  # type: ignore[attr-defined]
        return mine

    def second() -> list[CaseId]:
        assert first_has_them.wait(10)
        mine = due(two)
        second_is_done.set()
        return mine

    try:
        with ThreadPoolExecutor(2) as pool:
            late = pool.submit(second)
            assert pool.submit(one.run, first).result(20) == cases[:2]
            assert late.result(20) == cases[2:]
    finally:
        one.close()
        two.close()


def test_looking_for_what_is_due_does_not_read_every_case(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    seen: list[tuple[str, Any]] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *given: seen.append((given[2], given[3])))
    try:
        assert due(database) == []
        with database.engine.connect() as connection:
            statement, values = seen[-1]
            plan = connection.exec_driver_sql(f"explain query plan {statement}", values).all()
    finally:
        database.close()
    steps = [str(row[3]) for row in plan]
    read = [step for step in steps if "cases" in step]
    assert read and all(step.startswith("SEARCH cases USING INDEX ix_cases_next_due_at") for step in read), steps
