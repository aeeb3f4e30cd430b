"""Hints reach the maintainers and nobody else; what people say of messages is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import example
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.core.case import Ask, Policy
from mailbox_service.core.labels import Label, Said
from mailbox_service.errors import Refused
from mailbox_service.services import correspondence, decisions, triage
from mailbox_service.services.ports import MessageId
from mailbox_service.sorting import Outcome, Reason, Verdict
from tests.database.setting import NOW
from tests.services.bench import BOX, Bench, changed, letter

EVE, RITA = "eve@research.example", "rita@other.example"
ADA = "ada@example.org"
TEXT = (
    "The endpoint /api/v2/invoices/export does not check invoice_owner_id, so any account can read the invoices of "
    "every other tenant. Log in as a normal user, call it with another number, and download the file."
)
OTHER = (
    "In /api/v2/invoices/export the parameter invoice_owner_id may be anybody's. The code that trusts it stands in "
    "billing/exports.py line 31; I would expect it to compare owners before it writes a single row."
)
ARMOUR = "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA0000000000000\r\n=abcd\r\n-----END PGP MESSAGE-----"


def report(sender: str, body: str, subject: str = "report of a flaw") -> bytes:
    return letter(subject, sender, message_id=f"<{abs(hash((sender, body)))}@x.example>", body=body)


def hints_of(bench: Bench, ref: str) -> dict[str, str]:
    opened = bench.journal(ref)[0]["data"]
    return {hint["kind"]: hint["text"] for hint in opened.get("hints", ())}


def notice(bench: Bench, ref: str) -> dict[str, Any]:
    (found,) = [m for m in bench.to(ADA) if m["kind"] == "notice_case" and m["case"] == ref]
    return bench.context(found)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(database.engine, "before_cursor_execute", hear)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", hear)


# --- hints -----------------------------------------------------------------------------------------------------


async def test_hints_stand_in_the_notice_and_the_journal_and_in_no_mail_to_the_reporter(bench: Bench) -> None:
    await bench.post(
        report(EVE, f"{TEXT} Is there a bounty? Found by nuclei. CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N")
    )
    told = hints_of(bench, "SEC-2026-0001")
    assert told.keys() == {"lacks", "bounty", "scanner", "severity"}
    assert notice(bench, "SEC-2026-0001")["hints"] == list(told.values())
    sent = await bench.deliver()
    texts = {recipient: " ".join(mail.as_string().split()) for recipient, mail in sent}
    assert "Hints, not verdicts:" in texts[ADA] and "severity of 7.5 (high)" in texts[ADA]
    assert not [word for word in ("Hints", "bounty", "scanner", "7.5", "lack") if word in texts[EVE]]


async def test_a_likely_duplicate_is_told_with_the_reference_of_the_earlier_open_case(bench: Bench) -> None:
    await bench.post_each(report(EVE, TEXT), report("kim@third.example", "Something else altogether, in a few words."))
    await bench.post(report(RITA, f"Dear team! {TEXT} Regards"), report("max@x.example", OTHER))
    assert "duplicate" not in hints_of(bench, "SEC-2026-0001") | hints_of(bench, "SEC-2026-0002")
    assert hints_of(bench, "SEC-2026-0003")["duplicate"] == (
        "may be about the same as SEC-2026-0001: much of the text is the same"
    )
    assert hints_of(bench, "SEC-2026-0004")["duplicate"] == (
        "may be about the same as SEC-2026-0001: both name the same things"
    )
    assert "may be about the same as SEC-2026-0001" in str(notice(bench, "SEC-2026-0003")["hints"])


async def test_two_of_one_batch_are_compared_with_each_other(bench: Bench) -> None:
    await bench.post(report(EVE, TEXT), report(RITA, TEXT))
    assert "duplicate" not in hints_of(bench, "SEC-2026-0001")
    assert "SEC-2026-0001" in hints_of(bench, "SEC-2026-0002")["duplicate"]


async def test_a_closed_case_is_no_longer_named(bench: Bench) -> None:
    await bench.post_each(report(EVE, TEXT), report(RITA, TEXT))
    first = bench.messages()[0]["id"]
    bench.database.run(lambda tx: decisions.sort_message(tx, first, "spam", "ada", bench.now))
    await bench.post(report("kim@third.example", f"{TEXT} Hello"))
    assert "SEC-2026-0002" in hints_of(bench, "SEC-2026-0003")["duplicate"]


async def test_another_daemon_and_the_next_one_know_the_same_cases(bench: Bench, database: Database) -> None:
    await bench.post(report(EVE, TEXT))
    await Bench(database).post(report(RITA, TEXT))
    await bench.post(report("kim@third.example", f"{TEXT} Hello"))
    assert "SEC-2026-0001" in hints_of(bench, "SEC-2026-0002")["duplicate"]
    assert "SEC-2026-0001" in hints_of(bench, "SEC-2026-0003")["duplicate"]


async def test_cases_of_another_mailbox_are_not_named(database: Database) -> None:
    other = changed(name="other", address="other@example.org")
    bench = Bench(database, others={"other": other})
    await bench.post(report(EVE, TEXT))
    await bench.post(letter("report", RITA, to="other@example.org", body=TEXT), mailbox="other")
    assert "duplicate" not in hints_of(bench, "SEC-2026-0002")


async def test_of_an_encrypted_report_nothing_is_hinted_and_nothing_is_compared(bench: Bench) -> None:
    await bench.post(report(EVE, f"bounty, nessus, {TEXT}\r\n\r\n{ARMOUR}"), report(RITA, TEXT))
    assert hints_of(bench, "SEC-2026-0001") == {}
    assert "duplicate" not in hints_of(bench, "SEC-2026-0002")
    sealed = notice(bench, "SEC-2026-0001")
    assert (sealed["hints"], sealed["sorted_as"], sealed["reasons_for"]) == ([], "", [])
    assert bench.database.run(
        lambda tx: [bool(r) for r in tx.connection.scalars(sa.text("select sketch from cases"))]
    ) == [
        False,
        True,
    ]


async def test_a_case_that_was_sealed_later_is_named_by_its_reference_alone(bench: Bench) -> None:
    await bench.post(report(EVE, TEXT))
    acknowledged = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("re", EVE, references=acknowledged, body=ARMOUR))
    await bench.post(report(RITA, TEXT))
    told = hints_of(bench, "SEC-2026-0002")["duplicate"]
    assert told == "may be about the same as SEC-2026-0001: much of the text is the same"


async def test_a_case_born_of_a_redirect_has_no_hints_of_its_own(bench: Bench) -> None:
    for who in (EVE, RITA):
        await bench.post(letter("support me", who, body=f"{who} asks"))
        redirect = str(bench.to(who)[0]["message_id"])
        await bench.post(letter("support", who, references=redirect, body="It is, about the bounty. " * 9))
    assert hints_of(bench, "SEC-2026-0001") == hints_of(bench, "SEC-2026-0002") == {}


async def test_the_use_of_ai_is_hinted_where_the_policy_asks(database: Database) -> None:
    bench = Bench(database, mailbox=changed(policy=Policy(asks=frozenset({Ask.AI_DISCLOSURE}))))
    await bench.post(report(EVE, TEXT))
    assert hints_of(bench, "SEC-2026-0001")["ai"] == "does not say whether AI was used, which the policy asks for"


async def test_a_message_that_is_no_case_costs_no_statement_and_no_hint(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed for a message that cannot open a case")

    await bench.post(report(RITA, TEXT))
    claims = await bench.intake.store([bench.raw(letter("support LDAP")), bench.raw(letter("spam pills"))])
    monkeypatch.setattr("mailbox_service.services.understanding.triage", never)
    with statements(bench.database) as seen:
        await bench.intake.work(claims)
    assert bench.dispositions() == ["case", "redirect", "spam"]
    assert not [one for one in seen if "sketch" in one or "example" in one]


async def test_a_batch_of_new_cases_costs_one_statement_more(bench: Bench) -> None:
    await bench.post(report(RITA, TEXT))
    unlike = (" ".join(f"word{n}x{i}" for i in range(20)) for n in range(9))
    claims = await bench.intake.store([bench.raw(report(f"a{n}@x.example", text)) for n, text in enumerate(unlike)])
    with statements(bench.database) as seen:
        await bench.intake.work(claims)
    (one,) = [one for one in seen if "sketch" in one and one.startswith("SELECT")]
    assert "LIMIT" in one


def test_the_newest_cases_are_read_by_their_number(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    with statements(database) as seen:
        database.run(lambda tx: tx.open_sketches("security", None, 5))
    with database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"explain query plan {seen[-1]}", (0, "", "security", "closed", 5, 0))
        details = [row[-1] for row in plan]
    database.close()
    assert details == ["SEARCH cases USING INTEGER PRIMARY KEY (rowid>?)"]


async def test_what_was_rolled_back_is_not_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = await bench.intake.store([bench.raw(report(EVE, TEXT))])
    with monkeypatch.context() as patched:

        def fail(*_: object) -> None:
            raise RuntimeError("no")

        patched.setattr(SqlTransaction, "finish", fail)
        await bench.intake.work(claims)
    await bench.intake.work(claims)
    assert "duplicate" not in hints_of(bench, "SEC-2026-0001")


async def test_a_batch_of_equal_reports_names_the_first(bench: Bench) -> None:
    await bench.post(*(report(f"a{n}@x.example", f"{TEXT} {n}") for n in range(40)))
    refs = [case["ref"] for case in bench.cases()]
    assert all("SEC-2026-0001" in hints_of(bench, ref)["duplicate"] for ref in refs[1:])


async def test_in_a_flood_that_is_told_in_one_list_no_hints_are_looked_for_until_the_hour_is_over(bench: Bench) -> None:
    many = bench.mailbox.notices.collect_above_per_hour + 1
    await bench.post(*(report(f"a{n}@x.example", f"{TEXT} {n}") for n in range(many)))
    await bench.post(report(EVE, TEXT))
    assert hints_of(bench, bench.cases()[-1]["ref"]) == {}
    bench.now += timedelta(hours=1)
    await bench.post(report(RITA, TEXT))
    assert "duplicate" in hints_of(bench, bench.cases()[-1]["ref"])


def test_hints_are_looked_for_only_where_routing_can_make_a_case() -> None:
    assert triage.may_open_a_case(Outcome.SPAM, "case", refers=False)
    assert triage.may_open_a_case(Outcome.NOT_SECURITY, None, refers=True)
    assert not triage.may_open_a_case(Outcome.NOT_SECURITY, "spam", refers=False)


# --- reasons ---------------------------------------------------------------------------------------------------


def test_the_notice_says_what_weighed_each_way() -> None:
    reasons = (
        Reason('word "sql\ninjection"', "security", 2.1),
        Reason("an invoice", "not_security", 1.4),
        Reason("a greeting", "security", -0.3),
        *(Reason(f"sign {n}", "security", 0.2) for n in range(6)),
    )
    verdict = Verdict(Outcome.SECURITY, 0.973, 0.004, reasons)
    assert correspondence._sorted_as(verdict) == "a report (report 97%, spam 0%)"
    assert correspondence._reasons(verdict, towards_report=True) == [
        'word "sql injection"',
        "sign 0",
        "sign 1",
        "sign 2",
    ]
    assert correspondence._reasons(verdict, towards_report=False) == ["an invoice", "a greeting"]


# --- examples --------------------------------------------------------------------------------------------------


def counted(bench: Bench) -> list[tuple[str, str, int]]:
    return [(r["label"], r["said"], r["count"]) for r in bench.database.run(lambda tx: tx.count_examples())]


def kept(bench: Bench) -> list[dict[str, Any]]:
    return bench.database.run(lambda tx: tx.examples_after(0, 100))


def sort(bench: Bench, number: int, decision: str) -> None:
    message = MessageId(bench.messages()[number]["id"])
    bench.database.run(lambda tx: decisions.sort_message(tx, message, decision, "ada on the host", bench.now))


async def test_what_a_person_sorts_is_kept_with_what_the_sorter_had_said(bench: Bench) -> None:
    await bench.post(letter("support LDAP"), letter("spam pills"))
    sort(bench, 0, "case")
    sort(bench, 1, "redirect")
    await bench.intake.work_off()
    first, second = kept(bench)
    assert [first[key] for key in ("message_id", "label", "said", "said_by", "outcome", "model")] == [
        bench.messages()[0]["id"], "security", "sorted", "ada on the host", "not_security", "WordSorter",
    ]  # fmt: skip
    assert (first["at"], first["security"], first["spam"]) == (NOW, 0.5, 0.1)
    assert (second["label"], second["outcome"]) == ("not_security", "spam")


async def test_a_case_that_is_closed_as_none_becomes_an_example(bench: Bench) -> None:
    await bench.post(letter("report XSS"), letter("report CSRF"))
    sort(bench, 0, "spam")
    sort(bench, 1, "redirect")
    assert counted(bench) == [("not_security", "closed", 1), ("spam", "closed", 1)]


async def test_the_answer_to_a_redirect_makes_the_first_message_an_example(bench: Bench) -> None:
    await bench.post(letter("support me"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("support me, it is security", references=redirect))
    (example,) = kept(bench)
    assert [example[key] for key in ("message_id", "label", "said", "outcome")] == [
        bench.messages()[0]["id"], "security", "answered", "not_security",
    ]  # fmt: skip
    assert EVE not in str(example["said_by"])


async def test_a_case_born_of_a_redirect_that_turns_out_to_be_none_takes_the_senders_word_back(bench: Bench) -> None:
    await bench.post(letter("support me"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("support me, it is security", references=redirect))
    sort(bench, 1, "redirect")
    assert counted(bench) == [("not_security", "closed", 2)]
    assert len(bench.database.run(lambda tx: tx.connection.execute(sa.text("select id from example")).all())) == 3


async def test_a_later_correction_counts_and_the_earlier_one_stays_on_file(bench: Bench) -> None:
    await bench.post(letter("support LDAP"))
    for decision in ("case", "spam"):
        sort(bench, 0, decision)
        await bench.intake.work_off()
    assert counted(bench) == [("spam", "closed", 1)]
    rows = bench.database.run(lambda tx: tx.connection.execute(sa.text("select label from example order by id")).all())
    assert [row.label for row in rows] == ["security", "spam"]


async def test_a_refused_decision_is_no_example(bench: Bench) -> None:
    await bench.post(letter("report XSS"))
    with pytest.raises(Refused):
        sort(bench, 0, "case")
    assert kept(bench) == []


async def test_examples_come_a_portion_at_a_time_and_of_one_mailbox(database: Database) -> None:
    other = changed(name="other", address="other@example.org")
    bench = Bench(database, others={"other": other})
    await bench.post(*(letter(f"support {n}") for n in range(5)))
    await bench.post(letter("support there", to="other@example.org"), mailbox="other")
    for number in range(6):
        sort(bench, number, "case")
    found, after = [], 0
    while rows := database.run(lambda tx, after=after: tx.examples_after(after, 2, "security")):  # type: ignore[misc]
        found += [row["subject"] for row in rows]
        after = rows[-1]["id"]
    assert found == [f"support {n}" for n in range(5)]
    assert [r["count"] for r in database.run(lambda tx: tx.count_examples("other"))] == [1]


def test_the_words_of_the_tables_are_those_of_the_program() -> None:
    checks = " ".join(str(c.sqltext) for c in example.constraints if isinstance(c, sa.CheckConstraint))
    assert set(re.findall(r"'(\w+)'", checks)) == {*Label, *Said}
    assert {label.value for label in decisions.LABELS.values()} == set(Label)
    assert decisions.LABELS.keys() == decisions.DECISIONS.keys()
    assert BOX.asks_about_ai is False
