"""The whole way of a report, worked by mail: each person hears what they should, in one thread, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.case import Resolution, Stage
from mailbox_service.core.commands import TextFor
from tests.conversation.people import Story, said, to
from tests.services.bench import BOX, Bench


async def test_a_case_is_played_from_the_report_to_the_credit(story: Story) -> None:
    jane, ada, grace = story.jane, story.ada, story.grace
    out = await story.begin()
    assert len(to(out, jane)) == 1
    assert "/needs-info" in said(ada.newest()), "the notice says what to answer with"

    out = await story.answer(ada, "/own\n/needs-info\nWhich version do you run?\n\nBest,\nAda\n-- \nAda, Example Inc.")
    (question,) = to(out, jane)
    assert "Which version do you run?" in said(question)
    assert story.state().stage is Stage.NEEDS_INFO
    assert story.state().owner == "Ada"
    (seen,) = to(out, grace)
    assert "the reporter was sent: needs info" in said(seen)
    assert "Which version do you run?" in said(seen), "other maintainers see every answer that went out"
    (done,) = to(out, ada)
    assert "needs info" in said(done)

    out = await story.answer(jane, "It is 4.38.0 on Debian.")
    assert story.state().stage is Stage.REVIEWING
    assert len(to(out, jane)) == len(to(out, ada)) == len(to(out, grace)) == 1
    assert "It is 4.38.0 on Debian." in said(ada.newest())

    out = await story.answer(
        grace, "/reproduced\n/severity CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
    )
    assert story.state().stage is Stage.REPRODUCED
    (asked,) = to(out, jane)
    assert "/credit" in said(asked), "how she wants to be credited is asked at reproduced"

    out = await story.answer(jane, "/credit Jane Doe <https://jane.example>")
    assert story.state().facts.credit == "Jane Doe <https://jane.example>"
    assert len(to(out, jane)) == 1, "a mail with commands gets one short confirmation"

    patch = b"--- a/main.go\n+++ b/main.go\n"
    out = await story.answer(ada, "/patched\nPlease try this.", files=(("fix.patch", patch),))
    (fix,) = to(out, jane)
    assert hashlib.sha256(patch).hexdigest() in said(fix).replace("\n", "").replace(" ", "")
    (attached,) = fix.iter_attachments()
    assert attached.get_payload(decode=True) == patch
    assert attached.get_filename() == "fix.patch"
    assert "/fix-works" in said(fix)

    out = await story.answer(jane, "/fix-works\nI tried it on two machines.")
    assert story.state().stage is Stage.FIX_VERIFIED
    assert "I tried it on two machines." in said(grace.newest())
    assert "Jane Doe" in said(jane.newest()), "the credit is shown as it will be printed"

    await story.answer(grace, "/released 4.38.1")
    assert story.state().stage is Stage.RELEASED
    out = await story.answer(ada, "/published https://example.org/advisories/1")
    (question,) = to(out, ada)
    assert not to(out, jane), "an irreversible step is confirmed first"
    out = await story.answer(ada, "/confirm")
    assert story.state().stage is Stage.PUBLISHED
    assert "https://example.org/advisories/1" in said(jane.newest())
    await story.answer(ada, "/close resolved\nThank you, it was a pleasure.", to="advisories/1")
    assert story.state().stage is Stage.CLOSED
    assert story.state().resolution is Resolution.RESOLVED
    assert "it was a pleasure" in said(jane.newest())

    subjects = {str(mail["Subject"]).removeprefix("Re: ") for mail in jane.got}
    assert len(subjects) == 1, "one thread in her mail client"
    known = {str(mail["Message-ID"]) for mail in jane.got}
    for mail in jane.got[1:]:
        assert known & set(str(mail["References"]).split()) or "<jane." in str(mail["References"])
    for mail in jane.got:
        whole = mail.as_string()
        for secret in ("Ada", "Grace", "ada@example.org", "Secret mail program", "Example Inc.", "<ada.", "<grace."):
            assert secret not in whole, f"{secret} reached the reporter in {mail['Subject']}: {said(mail)}"


async def test_a_plain_answer_of_a_maintainer_stays_inside(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "Looks real to me, Grace what do you think?")
    assert not to(out, story.jane)
    assert "Looks real to me" in said(to(out, story.grace)[0])
    (told,) = to(out, story.ada)
    assert "/send" in said(told), "the reporter waits: once, the writer hears that it was kept internal"
    out = await story.answer(story.ada, "And another thought.", to="New report")
    assert not to(out, story.ada), "a plain note gets no answer a second time"
    assert not to(out, story.jane)


async def test_send_sends_the_last_note_after_all(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "We can see it here too. More tomorrow.")
    out = await story.answer(story.ada, "/send")
    (mail,) = to(out, story.jane)
    assert "We can see it here too. More tomorrow." in said(mail)
    out = await story.answer(story.ada, "/send")
    assert not to(out, story.jane)
    assert "no note" in said(to(out, story.ada)[0])


async def test_reply_leaves_name_signature_and_quotes_behind(story: Story) -> None:
    await story.begin()
    body = "/reply\nWe can reproduce it.\n\nKind regards,\nAda\n\n-- \nAda, Example Inc., +1 555"
    out = await story.answer(story.ada, body)
    (mail,) = to(out, story.jane)
    assert "We can reproduce it." in said(mail)
    for inside in ("Ada", "555", "Kind regards", "> ", "On Tuesday"):
        assert inside not in said(mail)


async def test_a_reply_with_doubts_is_shown_first_and_sent_by_a_confirmation(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/reply\nGrace looked into it, and it is real.")
    assert not to(out, story.jane)
    (shown,) = to(out, story.ada)
    assert "another maintainer" in said(shown)
    out = await story.answer(story.ada, "/confirm")
    assert "it is real" in said(to(out, story.jane)[0])
    out = await story.answer(story.ada, "/confirm", to="another maintainer")
    assert not to(out, story.jane), "a confirmation counts once"


async def test_preview_sends_nothing(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/preview\n/needs-info\nWhich version?")
    assert not to(out, story.jane)
    assert not to(out, story.grace)
    assert "Which version?" in said(to(out, story.ada)[0])
    assert story.state().stage is Stage.RECEIVED


async def test_an_error_changes_nothing_and_says_how_to_write_it_right(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/own\n/reproducd")
    assert [recipient for recipient, _ in out] == [story.ada.address]
    assert "/reproduced" in said(out[0][1])
    assert story.state().owner is None


async def test_an_illegal_move_names_the_legal_ones(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/reopen")
    assert "/reviewing" in said(out[0][1])
    assert story.state().stage is Stage.RECEIVED


async def test_two_maintainers_at_once_the_second_is_told_what_the_first_did(story: Story) -> None:
    await story.begin()
    notice = story.grace.newest("New report")
    await story.answer(story.ada, "/reproduced", to="New report")
    out = await story.send(story.grace.write("/needs-info\nWhich version?", answering=notice))
    assert not to(out, story.jane)
    assert "Ada moved the case to reproduced" in said(to(out, story.grace)[0])
    assert story.state().stage is Stage.REPRODUCED


async def test_quiet_moves_without_a_word_to_the_reporter(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/reviewing\n/quiet")
    assert not to(out, story.jane)
    assert story.state().stage is Stage.REVIEWING


async def test_status_list_and_help_answer_who_asked(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.jane, "/status")
    assert "arrived" in said(to(out, story.jane)[0])
    out = await story.answer(story.jane, "/help")
    assert "/credit" in said(to(out, story.jane)[0])
    assert "/embargo" not in said(to(out, story.jane)[0])
    out = await story.answer(story.ada, "/list\n/help", to="New report")
    texts = [said(mail) for mail in to(out, story.ada)]
    assert any("SEC-2026-0001" in text for text in texts)
    assert any("/embargo" in text for text in texts)


async def test_a_second_address_is_added_once_both_have_confirmed(story: Story) -> None:
    work = story.others["work"] = type(story.jane)("jane@work.example", "Jane Doe")
    await story.begin()
    out = await story.answer(story.jane, "/second-address jane@work.example")
    assert {recipient for recipient, _ in out} >= {"jane@work.example", "jane@research.example"}
    await story.answer(story.jane, "/confirm", to="/confirm")
    assert story.state().reporters == ("jane@research.example",)
    await story.answer(work, "/confirm")
    assert story.state().reporters == ("jane@research.example", "jane@work.example")
    out = await story.answer(story.ada, "/reviewing", to="New report")
    assert len(to(out, story.jane)) == len(to(out, work)) == 1


async def test_two_reports_are_merged_and_neither_reporter_learns_of_the_other(story: Story) -> None:
    bob = story.others["bob"] = type(story.jane)("bob@elsewhere.example", "Bob")
    await story.begin()
    await story.send(bob.write("The same hole, I think.", subject="report: files"))
    out = await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    assert len(to(out, bob)) == 1
    assert "jane" not in to(out, bob)[0].as_string().lower()
    assert story.state(2).stage is Stage.CLOSED
    out = await story.answer(story.grace, "/reproduced", to="[SEC-2026-0001]")
    assert len(to(out, bob)) == len(to(out, story.jane)) == 1
    assert "bob" not in to(out, story.jane)[0].as_string().lower()
    await story.answer(bob, "I have more.", to="[SEC-2026-0001]")
    assert "I have more." in said(story.ada.newest())


async def test_an_invited_person_takes_part_and_leaves(story: Story) -> None:
    dev = story.others["dev"] = type(story.jane)("dev@upstream.example", "Dev")
    await story.begin()
    await story.answer(story.ada, "/invite dev@upstream.example\nYour library has a hole; please help.")
    assert not dev.got, "an outsider gets content only after a confirmation"
    await story.answer(story.ada, "/confirm")
    assert "please help" in said(dev.newest())
    out = await story.answer(dev, "We are on it.")
    assert "We are on it." in said(to(out, story.ada)[0])
    assert not to(out, story.jane)
    await story.answer(story.ada, "/invite dev@upstream.example\nHere is the whole trace.", to="New report")
    await story.answer(story.ada, "/confirm")
    assert "Here is the whole trace." in said(dev.newest())
    assert not [mail for mail in story.jane.got if "whole trace" in said(mail)]
    await story.answer(story.ada, "/remove dev@upstream.example", to="New report")
    assert len(dev.got) == 3
    out = await story.send(dev.write("Still here", answering=dev.newest()))
    assert "NOT verified" in said(to(out, story.ada)[0])


async def test_closing_as_spam_keeps_an_example_and_writes_to_nobody(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/spam")
    assert not to(out, story.jane)
    examples = story.bench.database.run(lambda tx: tx.examples_after(0, 10))
    assert [(row["label"], row["said"]) for row in examples] == [("spam", "closed")]


async def test_an_answer_to_the_keyed_reply_address_finds_its_case_without_any_message_id(
    database: Database,
) -> None:
    story = Story(Bench(database, mailbox=replace(BOX, reply_to="security+{token}@example.org")))
    await story.begin()
    notice = story.ada.newest()
    address = str(notice["Reply-To"])
    assert address.startswith("security+r")
    await story.send(
        story.ada.write("/reviewing", subject="something else").replace(
            b"To: security@example.org", b"To: " + address.encode()
        )
    )
    assert story.state().stage is Stage.REVIEWING
    forged = address.replace("+r", "+r9", 1)
    for wrong in (forged, address.replace("@", "a@"), str(story.jane.newest()["Reply-To"])):
        mail = story.ada.write("/close spam", subject="x").replace(
            b"To: security@example.org", b"To: " + wrong.encode()
        )
        await story.send(mail)
        assert story.state().stage is Stage.REVIEWING


async def test_where_the_mailbox_says_so_a_plain_answer_goes_to_the_reporter(database: Database) -> None:
    story = Story(Bench(database, mailbox=replace(BOX, maintainer_reply=TextFor.REPORTER)))
    await story.begin()
    assert "goes to the reporter, unless it begins with /note" in said(story.ada.newest())
    out = await story.answer(story.ada, "We look into it.")
    assert "We look into it." in said(to(out, story.jane)[0])
    out = await story.answer(story.ada, "/note\nThis stays here.", to="New report")
    assert not to(out, story.jane)
    assert "This stays here." in said(to(out, story.grace)[0])


async def test_mail_to_the_address_that_answers_the_reporter_goes_to_the_reporter(database: Database) -> None:
    story = Story(Bench(database, mailbox=replace(BOX, reply_to="security+{token}@example.org")))
    await story.begin()
    notice = story.ada.newest()
    address = said(notice).partition("write to this address: ")[2].split()[0]
    mail = story.ada.write("We look into it.", answering=notice)
    out = await story.send(mail.replace(b"To: security@example.org", b"To: " + address.encode()))
    assert "We look into it." in said(to(out, story.jane)[0])
    assert address not in to(out, story.jane)[0].as_string()
    hers = said(story.grace.newest()).partition("write to this address: ")[2].split()[0]
    mail = story.ada.write("In another hand.", subject="x")
    out = await story.send(mail.replace(b"To: security@example.org", b"To: " + hers.encode()))
    assert not to(out, story.jane), "an address is the key of one person"


async def test_a_command_below_a_quote_is_text_and_its_writer_hears_so(story: Story) -> None:
    await story.begin()
    notice = story.ada.newest()
    quoted = "\n".join(f"> {line}" for line in said(notice).split(". "))
    out = await story.send(story.ada.write(f"{quoted}\n\n/reproduced\n", answering=notice, quote=False))
    assert story.state().stage is Stage.RECEIVED
    assert "/reproduced" in said(to(out, story.ada)[0])
    assert "top" in said(to(out, story.ada)[0])
    out = await story.send(
        story.jane.write("> your mail\n\n/credit anonymous", answering=story.jane.newest(), quote=False)
    )
    assert story.state().facts.credit is None
    assert "/credit anonymous" in said(to(out, story.jane)[0])
