"""What comes in becomes a case, a redirect, spam or a hold, and the right people hear of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.routing import EXHAUSTED
from mailbox_service.errors import Refused
from mailbox_service.services import decisions
from mailbox_service.services.mailboxes import Notices
from mailbox_service.services.ports import Origin, RawMessage, SourceKind
from tests.services.bench import Bench, changed, letter

EVE = "eve@research.example"
MAINTAINERS = ["ada@example.org", "grace@example.org"]


async def test_a_report_opens_a_case_with_acknowledgement_and_notices(bench: Bench) -> None:
    report = letter("report XSS", message_id="<1@research.example>")
    await bench.post(report)
    (case,) = bench.cases()
    assert (case["ref"], case["stage"], case["reporter"], case["messages"]) == ("SEC-2026-0001", "received", EVE, 1)
    assert bench.events("SEC-2026-0001") == ["opened"]
    assert bench.kinds() == [f"acknowledgement {EVE}", *(f"notice_case {m}" for m in MAINTAINERS)]
    sent = dict(await bench.deliver())
    assert sent[EVE]["In-Reply-To"] == "<1@research.example>"
    assert (sent[EVE]["Auto-Submitted"], sent[EVE]["To"]) == ("auto-replied", EVE)
    assert "XSS" not in sent[EVE]["Subject"] and "SEC-2026-0001" in sent[EVE].as_string()
    assert report in bench.office.taken[1][1]  # a maintainer has it whole
    assert sent["ada@example.org"]["Auto-Submitted"] == "auto-generated"


async def test_case_journal_mails_and_message_stand_or_fall_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await bench.intake.store([bench.raw(letter("report"))])
    for step in ("open_cases", "add_journal", "add_mails", "spend", "finish"):
        with monkeypatch.context() as patched:

            def fail(*_: object) -> None:
                raise RuntimeError("no")

            patched.setattr(SqlTransaction, step, fail)
            await bench.intake.work(claims)
        assert (bench.cases(), bench.mails(), bench.messages()[0]["state"]) == ([], [], "waiting")
    await bench.intake.work(claims)
    assert len(bench.cases()) == 1 and len(bench.mails()) == 3


async def test_what_is_no_security_matter_is_redirected_and_told_in_the_digest(bench: Bench) -> None:
    await bench.post(letter("support LDAP"))
    assert (bench.dispositions(), bench.cases(), bench.kinds()) == (["redirect"], [], [f"redirect {EVE}"])
    assert await bench.later(days=1) == 2
    (_, sent) = (await bench.deliver())[-1]
    assert "support LDAP" in sent.get_content()


async def test_spam_is_kept_counted_and_not_answered(bench: Bench) -> None:
    await bench.post(letter("spam pills"), letter("spam watches"))
    assert (bench.dispositions(), bench.mails()) == (["spam", "spam"], [])
    await bench.later(days=1)
    assert "unanswered: 2" in (await bench.deliver())[0][1].get_content()


async def test_an_unsure_mail_is_a_report_until_read(bench: Bench) -> None:
    await bench.post(letter("hm"))
    (case,) = bench.cases()
    assert case["unsure"] and bench.to(EVE)[0]["kind"] == "acknowledgement"


async def test_an_answer_to_a_redirect_opens_a_case_with_both_messages(bench: Bench) -> None:
    await bench.post(letter("support me"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("support me, it is security", references=redirect))
    (case,) = bench.cases()
    assert (case["messages"], bench.dispositions()) == (2, ["attached", "case"])
    assert bench.events(case["ref"]) == ["opened", "message_added"]
    assert [m["kind"] for m in bench.to(EVE)] == ["redirect", "acknowledgement"]
    assert [m["kind"] for m in bench.to("ada@example.org")] == ["notice_case", "notice_message"]


@pytest.mark.parametrize("together", [True, False])
async def test_two_answers_to_one_redirect_make_one_case(bench: Bench, together: bool) -> None:
    await bench.post(letter("support me"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    answers = [letter(f"support {n}", references=redirect) for n in "ab"]
    await (bench.post(*answers) if together else bench.post_each(*answers))
    (case,) = bench.cases()
    assert case["messages"] == 3


async def test_an_answer_to_somebody_elses_redirect_is_no_proof(bench: Bench) -> None:
    await bench.post(letter("support me"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("support what?", "mallory@x.example", references=redirect))
    assert bench.dispositions() == ["redirect", "case"]
    assert bench.cases()[0]["messages"] == 1


# --- second mails ------------------------------------------------------------------------------------------


async def test_a_mail_that_carries_our_token_joins_its_case_verified(bench: Bench) -> None:
    await bench.post(letter("report"))
    token = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("support thanks", references=token))
    (case,) = bench.cases()
    assert case["messages"] == 2 and len(bench.to(EVE)) == 1
    assert bench.journal(case["ref"])[1]["data"]["verified"] is True


@pytest.mark.parametrize("together", [True, False])
async def test_a_mere_reference_of_the_same_sender_joins_unverified_and_is_not_answered(
    bench: Bench, together: bool
) -> None:
    letters = [
        letter("report", message_id="<1@x>"),
        letter("support forgot the attachment", references="<1@x>", message_id="<2@x>"),
        letter("hm, and this", references="<1@x> <2@x>"),
    ]
    await (bench.post(*letters) if together else bench.post_each(*letters))
    (case,) = bench.cases()
    assert case["messages"] == 3 and bench.dispositions() == ["case", "attached", "attached"]
    assert [m["kind"] for m in bench.to(EVE)] == ["acknowledgement"]
    assert [e["data"].get("verified") for e in bench.journal(case["ref"])] == [None, False, False]
    notice = bench.mails("notice_message")
    assert len(notice) == 4 and bench.context(notice[0])["verified"] is False


@pytest.mark.parametrize("together", [True, False])
async def test_somebody_else_with_a_known_reference_gets_a_case_of_their_own_with_the_relation(
    bench: Bench, together: bool
) -> None:
    letters = [letter("report", message_id="<1@x>"), letter("hm me too", "bob@y.example", references="<1@x>")]
    await (bench.post(*letters) if together else bench.post_each(*letters))
    first, second = bench.cases()
    assert (first["messages"], second["messages"], second["reporter"]) == (1, 1, "bob@y.example")
    assert bench.journal(second["ref"])[0]["data"]["relation"] == first["ref"]
    (notice, _) = [m for m in bench.mails("notice_case") if m["case"] == second["ref"]]
    assert bench.context(notice)["relation"] == first["ref"]


@pytest.mark.parametrize("together", [True, False])
async def test_a_message_id_never_decides_what_is_a_duplicate(bench: Bench, together: bool) -> None:
    letters = [
        letter("spam first", "mallory@evil.example", message_id="<report@x>"),
        letter("report real", message_id="<report@x>"),
    ]
    await (bench.post(*letters) if together else bench.post_each(*letters))
    assert bench.dispositions() == ["spam", "case"]


async def test_references_do_not_cross_mailboxes(database: Database) -> None:
    other = changed(name="other", address="security@other.example")
    bench = Bench(database, others={"other": other})
    await bench.post(letter("report", message_id="<1@x>"))
    token = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("hm", to="security@other.example", references=f"<1@x> {token}"), mailbox="other")
    assert [c["mailbox"] for c in bench.cases()] == ["security", "other"]


# --- automatic mail ----------------------------------------------------------------------------------------


async def test_an_out_of_office_note_is_noted_in_its_case_and_not_answered(bench: Bench) -> None:
    await bench.post(letter("report"))
    token = str(bench.to(EVE)[0]["message_id"])
    note = letter("report out of office", references=token, headers="Auto-Submitted: auto-replied\r\n")
    await bench.post(note)
    (case,) = bench.cases()
    assert (case["messages"], bench.events(case["ref"])) == (2, ["opened", "automatic_reply"])
    assert len(bench.to(EVE)) == 1


async def test_a_bounce_of_our_mail_is_an_event_of_its_case(bench: Bench) -> None:
    await bench.post(letter("report"))
    await bench.deliver()
    token = str(bench.to(EVE)[0]["message_id"])
    bounce = (
        "From: MAILER-DAEMON@mx.example\r\nTo: security@example.org\r\nSubject: Undelivered\r\nReturn-Path: <>\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; eve@research.example\r\nAction: failed\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {token}\r\n\r\n--b--\r\n"
    ).encode()
    await bench.post(bounce)
    assert bench.dispositions() == ["case", "bounce"]
    assert bench.events("SEC-2026-0001") == ["opened", "bounced"]
    assert len(bench.mails()) == 3 + len(bench.mails("notice_bounce")) == 5


async def test_an_automatic_reply_to_nothing_of_ours_that_sounds_like_a_report_is_in_the_digest(bench: Bench) -> None:
    await bench.post(letter("report", headers="Auto-Submitted: auto-replied\r\n"))
    assert (bench.dispositions(), bench.mails()) == (["automatic"], [])
    await bench.later(days=1)
    assert "sounds like a report" in (await bench.deliver())[0][1].get_content()


# --- Junk --------------------------------------------------------------------------------------------------


async def test_only_a_security_report_opens_a_case_from_junk(bench: Bench) -> None:
    await bench.post(letter("report"), letter("hm"), letter("support"), letter("spam"), junk=True)
    assert bench.dispositions() == ["case", "hold", "spam", "spam"]
    assert [m["kind"] for m in bench.to(EVE)] == ["acknowledgement"]
    assert not bench.mails("held")
    await bench.later(days=1)
    assert "Held for a person, 1" in (await bench.deliver())[-1][1].get_content()


async def test_an_unauthenticated_report_in_junk_is_not_answered(bench: Bench) -> None:
    await bench.post(letter("report", authenticated=False), junk=True)
    assert (bench.dispositions(), bench.to(EVE)) == (["case"], [])


async def test_a_reference_alone_opens_no_case_from_junk(bench: Bench) -> None:
    await bench.post(letter("report", message_id="<1@x>"))
    await bench.post(letter("spam pills", "mallory@x.example", references="<1@x>"), junk=True)
    assert bench.dispositions() == ["case", "hold"]


async def test_a_message_rescued_from_junk_is_worked_as_mail_of_the_inbox(bench: Bench) -> None:
    junk = await bench.intake.open_folder("security", "Junk", 1, 1, junk=True)
    inbox = await bench.intake.open_folder("security", "INBOX", 1, 1, junk=False)
    await bench.post_to(junk.id, 1, letter("hm"), junk=True)
    assert bench.dispositions() == ["hold"]
    await bench.post_to(inbox.id, 1, letter("hm"), junk=False)
    assert bench.dispositions() == ["case"]
    assert [m["kind"] for m in bench.to(EVE)] == ["acknowledgement"]


async def test_an_import_of_what_was_found_in_junk_changes_nothing(bench: Bench) -> None:
    junk = await bench.intake.open_folder("security", "Junk", 1, 1, junk=True)
    await bench.post_to(junk.id, 1, letter("support me"), junk=True)
    await bench.post(letter("support me"), quiet=True)
    assert (bench.dispositions(), bench.mails()) == (["spam"], [])


# --- limits ------------------------------------------------------------------------------------------------


async def test_beyond_the_senders_limit_cases_are_acknowledged_together_once_a_day(bench: Bench) -> None:
    for n in range(13):
        await bench.post(letter(f"report {n}"))
    assert len(bench.cases()) == 13 and len(bench.to(EVE)) == 10
    await bench.later(hours=11, minutes=59)
    assert len(bench.to(EVE)) == 10
    await bench.later(minutes=1)
    last = bench.to(EVE)[-1]
    assert last["kind"] == "acknowledgement_collected"
    assert bench.context(last)["references"] == ["SEC-2026-0011", "SEC-2026-0012", "SEC-2026-0013"]
    await bench.later(days=2)
    assert len(bench.to(EVE)) == 11
    assert any("daily limit" in sent.get_content() for _, sent in await bench.deliver() if "did on" in sent["Subject"])


async def test_limits_count_within_one_batch_too_and_half_for_the_unauthenticated(bench: Bench) -> None:
    await bench.post(*(letter(f"support {n}", authenticated=False) for n in range(9)))
    assert len(bench.to(EVE)) == 5
    await bench.post(letter("support authenticated"))
    assert len(bench.to(EVE)) == 6


async def test_the_domains_limit_excepts_public_providers(bench: Bench) -> None:
    for domain in ("corp.example", "gmail.com"):
        await bench.post(*(letter(f"support {n}", f"p{n}@{domain}") for n in range(25)))
    answered = [str(m["recipient"]).rpartition("@")[2] for m in bench.mails("redirect")]
    assert (answered.count("corp.example"), answered.count("gmail.com")) == (20, 25)


async def test_the_hourly_limit_of_a_mailbox_opens_again_in_the_next_hour(database: Database) -> None:
    bench = Bench(database, mailbox=changed(limits=AnswerLimits(per_hour=3)))
    await bench.post(*(letter(f"report {n}", f"p@d{n}.example") for n in range(5)))
    assert len(bench.mails("acknowledgement")) == 3
    bench.now += timedelta(hours=1)
    await bench.post(letter("report again", "p@again.example"))
    assert len(bench.mails("acknowledgement")) == 4


async def test_above_the_limit_of_new_cases_maintainers_get_one_collected_notice_every_quarter(
    database: Database,
) -> None:
    bench = Bench(database, mailbox=changed(notices=Notices(collect_above_per_hour=3)))
    await bench.post(*(letter(f"report {n}", f"p@d{n}.example") for n in range(8)))
    assert len(bench.cases()) == 8 and len(bench.mails("notice_case")) == 6
    await bench.later(minutes=14, seconds=59)
    assert not bench.mails("cases_collected")
    await bench.later(seconds=1)
    collected = bench.mails("cases_collected")
    assert [m["recipient"] for m in collected] == MAINTAINERS
    assert [c["reference"] for c in bench.context(collected[0])["cases"]] == [f"SEC-2026-{n:04d}" for n in range(4, 9)]
    await bench.later(minutes=15)
    assert len(bench.mails("cases_collected")) == 2


# --- first run, shadow -------------------------------------------------------------------------------------


async def test_old_mail_is_sorted_quietly_and_told_in_one_summary(bench: Bench) -> None:
    folder = await bench.intake.open_folder("security", "INBOX", 1, 100, junk=False)
    await bench.post(letter("report old"), letter("support old"), letter("hm old"), quiet=True)
    assert bench.dispositions() == ["case", "redirect", "case"] and not bench.mails()
    await bench.later(minutes=2)
    assert not bench.mails(), "the folder is not compared yet"
    await bench.intake.caught_up(folder.id)
    await bench.later(seconds=1)
    assert bench.kinds() == [f"summary {m}" for m in MAINTAINERS]
    assert bench.context(bench.mails()[0])["total"] == 3
    await bench.later(days=3)
    assert len(bench.mails()) == 2


async def test_marks_are_ours_for_as_long_as_their_lease(bench: Bench) -> None:
    inbox = await bench.intake.open_folder("security", "INBOX", 1, 2, junk=False)
    await bench.post_to(inbox.id, 2, letter("report"), junk=False)
    jobs = await bench.intake.mark_jobs(inbox.id, 10)
    assert len(jobs) == 1 and bench.intake.in_time(jobs)
    bench.now += timedelta(hours=1)
    assert not bench.intake.in_time(jobs)


async def test_answer_backlog_chooses_otherwise(database: Database) -> None:
    bench = Bench(database, mailbox=changed(answer_backlog=True))
    inbox = await bench.intake.open_folder("security", "INBOX", 1, 2, junk=False)
    await bench.post_to(inbox.id, 1, letter("report old"), junk=False, quiet=True)
    assert [m["kind"] for m in bench.to(EVE)] == ["acknowledgement"]


async def test_answer_backlog_says_nothing_of_imports(database: Database) -> None:
    bench = Bench(database, mailbox=changed(answer_backlog=True))
    await bench.post(letter("report from an archive"), quiet=True)
    assert (bench.dispositions(), bench.mails()) == (["case"], [])


async def test_shadow_does_everything_except_sending(database: Database) -> None:
    bench = Bench(database, mailbox=changed(shadow=True))
    await bench.post(letter("report"))
    assert {m["state"] for m in bench.mails()} == {"shadow"} and len(bench.mails()) == 3
    assert (await bench.deliver(), bench.office.handed) == ([], [])


# --- holding, failing --------------------------------------------------------------------------------------


async def test_an_oversized_message_is_held_and_the_maintainers_are_told(bench: Bench) -> None:
    origin = Origin(SourceKind.IMPORT, "security")
    head = letter("report huge")
    await bench.intake.work(
        await bench.intake.store([RawMessage(head, origin, bench.now, full_size_bytes=10**8 + n) for n in range(2)])
    )
    assert bench.dispositions() == ["hold", "hold"] and len(bench.mails("held")) == 4


async def test_one_bad_message_never_fails_its_batch_and_is_held_after_five_attempts(bench: Bench) -> None:
    await bench.post(letter("report a"), letter("crash now"), letter("report b"))
    assert [m["state"] for m in bench.messages()] == ["done", "waiting", "done"]
    for _ in range(3):
        bench.now += timedelta(minutes=11)
        await bench.intake.work_off()
    assert bench.messages()[1]["state"] == "waiting" and not bench.mails("held")
    bench.now += timedelta(minutes=11)
    await bench.intake.work_off()
    assert (bench.messages()[1]["state"], bench.messages()[1]["why"]) == ("held", EXHAUSTED)
    assert len(bench.mails("held")) == 2
    assert bench.row(1)["attempts"] == 5


# --- a person's decisions ----------------------------------------------------------------------------------


async def decide(bench: Bench, number: int, decision: str) -> None:
    id_ = bench.messages()[number]["id"]
    bench.database.run(lambda tx: decisions.sort_message(tx, id_, decision, "ada", bench.now))
    await bench.intake.work_off()


async def test_a_person_turns_a_redirected_message_into_a_case(bench: Bench) -> None:
    await bench.post(letter("support"))
    await decide(bench, 0, "case")
    assert bench.dispositions() == ["case"]
    assert [m["kind"] for m in bench.to(EVE)] == ["redirect", "acknowledgement"]
    with pytest.raises(Refused):
        await decide(bench, 0, "case")


async def test_a_person_turns_a_case_into_spam(bench: Bench) -> None:
    await bench.post(letter("report"))
    await decide(bench, 0, "spam")
    assert (bench.dispositions(), bench.cases()[0]["stage"]) == (["spam"], "closed")
    assert bench.events("SEC-2026-0001") == ["opened", "closed"]
    case = bench.cases()[0]["ref"]
    row = bench.database.run(lambda tx: tx.case_row(case))
    assert (row["resolution"], row["stage_since"], row["closed_at"]) == ("spam", bench.now, bench.now)
    closed = bench.database.run(lambda tx: tx.journal_of(row["id"]))[-1]
    assert closed["data"] == {"from": "received", "to": "closed", "resolution": "spam"}


async def test_a_held_message_that_is_released_becomes_a_case_or_is_tried_again(bench: Bench) -> None:
    await bench.post(letter("hm"), junk=True)
    id_ = bench.messages()[0]["id"]
    bench.database.run(lambda tx: decisions.release_message(tx, id_, "ada", bench.now))
    await bench.intake.work_off()
    assert bench.dispositions() == ["case"]
    with pytest.raises(Refused):
        bench.database.run(lambda tx: decisions.release_message(tx, id_, "ada", bench.now))


async def test_a_decision_outruns_the_worker_that_has_the_message(bench: Bench) -> None:
    claims = await bench.intake.store([bench.raw(letter("support"))])
    bench.database.run(lambda tx: decisions.sort_message(tx, claims[0].id, "case", "ada", bench.now))
    await bench.intake.work(claims)
    await bench.intake.work_off()
    await bench.intake.work(claims)
    assert bench.dispositions() == ["case"] and not bench.mails("redirect")


async def test_mails_that_have_not_left_are_withdrawn_by_a_decision(bench: Bench) -> None:
    await bench.post(letter("report"))
    await decide(bench, 0, "spam")
    assert await bench.deliver() == []
    assert {mail["state"] for mail in bench.mails()} == {"withdrawn"}


async def test_what_becomes_a_case_a_second_time_is_told_again(bench: Bench) -> None:
    await bench.post(letter("report"))
    first = await bench.deliver()
    await decide(bench, 0, "spam")
    await decide(bench, 0, "case")
    second = await bench.deliver()
    assert [to for to, _ in second] == [to for to, _ in first]
    assert not {m["Message-ID"] for _, m in first} & {m["Message-ID"] for _, m in second}


async def test_a_case_born_of_a_redirect_is_called_by_the_first_message(bench: Bench) -> None:
    await bench.post(letter("support with odd page numbers"))
    redirect = str(bench.to(EVE)[0]["message_id"])
    await bench.post(letter("Re: Your message", references=redirect))
    (case,) = bench.cases()
    assert case["subject"] == "support with odd page numbers"
