"""Attacks that once worked, and ones that are near to those: none of them may ever again."""

from __future__ import annotations

import asyncio

import pytest

from mailbox_service.core.case import Stage
from tests.conversation.people import Person, Story, said, to
from tests.services.bench import Bench

ENCRYPTED = (
    b"-----BEGIN PGP MESSAGE-----\n\nhQEMA0000000000000ABCDEFGHIJKLMNOPQRSTUVWXYZ\n=abcd\n-----END PGP MESSAGE-----\n"
)


def encrypted(mail: bytes) -> bytes:
    """The same mail with an inline ciphertext as its text."""
    head, _, _ = mail.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + ENCRYPTED.replace(b"\n", b"\r\n")


def names_nobody(story: Story, *mails: object) -> None:
    for mail in mails:
        for secret in ("Ada", "Grace", "ada@example.org", "grace@example.org"):
            assert secret not in mail.as_string(), f"{secret}: {said(mail)}"  # type: ignore[attr-defined, arg-type]


# --- what reaches a reporter -----------------------------------------------------------------------------------------


async def test_a_reporter_who_comes_second_is_not_told_who_came_first(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/credit Jane D.")
    out = await story.send(story.jane.write("/credit Jane Doe", answering=story.jane.got[0]))
    names_nobody(story, *to(out, story.jane))


async def test_a_verdict_that_comes_second_names_no_maintainer(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/patched https://example.org/fix.patch")
    fix = story.jane.newest()
    await story.answer(story.ada, "/verified", to="New report")
    out = await story.send(story.jane.write("/fix-works", answering=fix))
    assert to(out, story.jane)
    names_nobody(story, *to(out, story.jane))


async def test_an_unproven_verdict_confirmed_too_late_names_no_maintainer(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/patched https://example.org/fix.patch")
    await story.answer(story.jane, "/fix-works", proven=False)
    question = story.jane.newest("/confirm")
    await story.answer(story.ada, "/verified", to="New report")
    out = await story.send(story.jane.write("/confirm", answering=question, proven=False))
    assert to(out, story.jane)
    names_nobody(story, *to(out, story.jane))


async def test_a_merged_reporter_does_not_see_the_credit_of_the_other(story: Story) -> None:
    bob = story.others["bob"] = Person("bob@elsewhere.example", "Bob")
    await story.begin()
    await story.answer(story.jane, "/credit Jane Doe")
    await story.send(bob.write("The same hole, I think.", subject="report: files"))
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/patched https://example.org/fix.patch", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/verified", to="[SEC-2026-0001]")
    await story.answer(bob, "/status", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/released 1.2", to="[SEC-2026-0001]")
    for mail in bob.got:
        assert "Jane" not in mail.as_string(), said(mail)


async def test_a_name_as_the_mail_program_writes_it_is_no_part_of_an_answer(story: Story) -> None:
    """The roster may know a person by a handle, and their mail program by their name."""
    await story.begin()
    story.ada.name = "Augusta King"
    out = await story.answer(story.ada, "/reply\nWe can reproduce it.\n\nBest,\nAugusta")
    for mail in to(out, story.jane):
        assert "Augusta" not in said(mail)
    out = await story.answer(
        story.ada, "/reply\nWe can reproduce it.\n\nBest,\nMrs King, Example Inc.", to="New report"
    )
    assert not to(out, story.jane), "shown first"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("winmail.dat", b"\x78\x9f\x3e\x22 the internal note in rich text"),
        ("signature.asc", b"-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"),
        ("ada.vcf", b"BEGIN:VCARD\nFN:Ada\nEND:VCARD\n"),
        ("smime.p7s", b"0\x80\x06\x09 certificate of Ada"),
    ],
)
async def test_what_programs_add_travels_under_no_type(story: Story, name: str, data: bytes) -> None:
    """Gateways call everything application/octet-stream."""
    await story.begin()
    out = await story.answer(story.ada, "/reply\nPlease look.", files=((name, data),))
    (mail,) = to(out, story.jane)
    assert not list(mail.iter_attachments()), "the internal text or the name went out in a file"


@pytest.mark.parametrize("name", ["note.eml", "Note.MSG"])
async def test_a_whole_mail_never_goes_out_and_its_writer_is_told(story: Story, name: str) -> None:
    await story.begin()
    data = b"From: Grace <grace@example.org>\nSubject: internal\n\nthe internal note\n"
    out = await story.answer(story.ada, "/reply\nPlease look.", files=((name, data),))
    assert not to(out, story.jane)
    assert "does not go out" in said(to(out, story.ada)[0])
    out = await story.answer(story.ada, "/confirm")
    (mail,) = to(out, story.jane)
    assert not list(mail.iter_attachments())


async def test_a_further_alternative_of_the_text_is_no_file(story: Story) -> None:
    await story.begin()
    head, _, _ = story.ada.write("x", answering=story.ada.newest()).partition(b"\r\n\r\n")
    head = b"\r\n".join(
        line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-", b"mime-version"))
    )
    parts = [
        b"--b\r\nContent-Type: text/plain\r\n\r\n/reply\r\nPlease look.\r\n",
        b"--b\r\nContent-Type: text/enriched\r\n\r\n<excerpt>internal: do not tell</excerpt>\r\n",
        b"--b\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\nORGANIZER:Ada\r\n",
    ]
    mail = head + b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n'
    out = await story.send(mail + b"".join(parts) + b"--b--\r\n")
    (got,) = to(out, story.jane)
    assert not list(got.iter_attachments())
    assert "internal" not in got.as_string()


async def test_a_patch_that_names_its_author_is_shown_first(story: Story) -> None:
    await story.begin()
    patch = b"From 1234 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@example.org>\nSubject: [PATCH] x\n\n--- a\n+++ b\n"
    out = await story.answer(story.ada, "/patched\nPlease try.", files=(("0001.patch", patch),))
    assert not to(out, story.jane)
    assert "0001.patch" in said(to(out, story.ada)[0])
    out = await story.answer(story.ada, "/confirm")
    assert to(out, story.jane)


async def test_a_quote_that_a_client_wrapped_anew_is_seen(story: Story) -> None:
    await story.begin()
    note = (
        "Grace told me on the phone that the whole matter was known for three years and nobody wanted to touch the "
        "upload handler because of the release."
    )
    await story.answer(story.grace, note)
    words = note.split()
    wrapped = "\n".join(" ".join(words[at : at + 7]) for at in range(1, len(words), 7))
    out = await story.answer(story.ada, f"/reply\nIt is real.\n\n{wrapped}", to="Grace told me")
    assert not to(out, story.jane)


async def test_a_long_answer_is_not_cut_behind_its_writers_back(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/reply\n" + "All of this matters.\n" * 4_000 + "The end of it.", quote=False)
    for mail in to(out, story.jane):
        assert "The end of it." in said(mail)
    assert to(out, story.ada)


async def test_send_looks_for_quotes_of_what_the_note_answered(story: Story) -> None:
    await story.begin()
    await story.answer(story.grace, "We have known of this since the audit in spring, and did nothing at all.")
    note = "It is real.\n\nWe have known of this since the audit in spring, and did nothing at all."
    await story.answer(story.ada, note, to="audit in spring", quote=False)
    out = await story.answer(story.ada, "/send")
    assert not to(out, story.jane)


async def test_a_note_that_was_sent_with_a_move_is_not_sent_again(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "We can see it here too.")
    out = await story.answer(story.ada, "/send\n/reproduced")
    assert "We can see it here too." in said(to(out, story.jane)[0])
    out = await story.answer(story.ada, "/send", to="New report")
    assert not to(out, story.jane)


async def test_an_answer_to_nobody_is_no_answer(story: Story) -> None:
    mail = story.jane.write("I can read everybody's files.")
    head, _, body = mail.partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"From:"))
    await story.send(head + b"\r\n\r\n" + body)
    assert story.state().reporters == ()
    out = await story.answer(story.ada, "/reply\nWhich version?", to="[SEC-2026-0001]")
    assert ("replied", "Ada") not in story.journal()
    assert "nobody" in said(to(out, story.ada)[0])
    await story.answer(story.ada, "/needs-info\nWhich version?", to="[SEC-2026-0001]")
    assert story.state().stage is Stage.RECEIVED


# --- merged cases ------------------------------------------------------------------------------------------------


async def three(story: Story) -> tuple[Person, Person]:
    bob = story.others["bob"] = Person("bob@elsewhere.example", "Bob")
    eve = story.others["eve"] = Person("eve@third.example", "Eve")
    await story.begin()
    await story.send(bob.write("The same hole, I think.", subject="report: files"))
    await story.send(eve.write("The same hole, I believe.", subject="report: more files"))
    return bob, eve


async def test_of_a_chain_of_merged_cases_the_last_one_hears(story: Story) -> None:
    _, eve = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0003", to="[SEC-2026-0002]")
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    assert eve.address in story.state(1).reporters
    await story.send(eve.write("/withdraw\nSorry.", answering=eve.got[0]))
    assert ("withdrawal_asked", "reporter") in story.journal(1)


async def test_a_merge_that_is_undone_gives_the_reporters_back(story: Story) -> None:
    bob, _ = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/reopen", to="[SEC-2026-0002]")
    assert story.state(2).stage is Stage.REVIEWING
    out = await story.answer(story.ada, "/patched https://example.org/secret.patch", to="[SEC-2026-0001]")
    assert not to(out, bob), "another matter after all"
    assert to(out, story.jane)
    out = await story.answer(story.ada, "/reproduced", to="[SEC-2026-0002]")
    assert len(to(out, bob)) == 1


async def test_a_merge_undone_in_the_middle_of_a_chain_leaves_no_case_behind(story: Story) -> None:
    bob, eve = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0003", to="[SEC-2026-0002]")
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/reopen", to="[SEC-2026-0003]")
    assert story.state(1).reporters == (story.jane.address, bob.address)
    assert story.state(2).reporters == (bob.address,)
    assert story.state(3).reporters == (eve.address,)


async def test_who_reported_both_stays_when_a_merge_is_undone(story: Story) -> None:
    await story.begin()
    await story.send(story.jane.write("Once more.", subject="report: again"))
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/reopen", to="[SEC-2026-0002]")
    assert story.state(1).reporters == story.state(2).reporters == (story.jane.address,)


async def test_what_comes_encrypted_to_a_merged_case_seals_the_one_that_took_it_in(story: Story) -> None:
    bob, _ = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.send(encrypted(bob.write("x", answering=bob.got[0])))
    out = await story.answer(story.ada, "/reply\nThe exploit works.", to="[SEC-2026-0001]")
    assert not to(out, bob), "who wrote encrypted is not answered in clear"


async def test_a_maintainers_word_counts_for_the_case_that_was_merged(story: Story) -> None:
    """Ada reported one herself, which took in another: what she says of the other is not said of hers."""
    await story.send(story.ada.write("I found one myself.", subject="report: own"))
    bob = story.others["bob"] = Person("bob@elsewhere.example", "Bob")
    await story.send(bob.write("The same hole, I think.", subject="report: files"))
    await story.answer(story.grace, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.send(story.ada.write("/status", answering=story.ada.newest("[SEC-2026-0002]")))
    await story.send(story.ada.write("/own\n/reopen", answering=story.ada.newest("[SEC-2026-0002]")))
    assert story.state(2).stage is Stage.REVIEWING
    assert story.state(1).owner is None


async def test_two_who_merge_into_each_other_do_not_close_both(story: Story) -> None:
    await three(story)
    ada = story.ada.write("/merge SEC-2026-0002", answering=story.ada.newest("[SEC-2026-0001]"))
    grace = story.grace.write("/merge SEC-2026-0001", answering=story.grace.newest("[SEC-2026-0002]"))
    other = Bench(story.bench.database)
    other.now = story.bench.now
    await asyncio.gather(story.bench.post(ada), other.post(grace))
    await story.bench.later(hours=1)
    await story.bench.intake.work_off()
    assert {str(message["state"]) for message in story.bench.messages()} == {"done"}
    closed = [number for number in (1, 2) if story.state(number).stage is Stage.CLOSED]
    assert len(closed) == 1


async def test_an_answer_that_names_one_of_several_reporters_is_shown_first(story: Story) -> None:
    bob, _ = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    out = await story.answer(story.ada, "/reply\nHello Jane,\nthank you.", to="[SEC-2026-0001]")
    assert not to(out, bob)
    assert "several reporters" in said(to(out, story.ada)[0])
    out = await story.answer(story.ada, "/reply\nThank you.", to="[SEC-2026-0001]")
    assert len(to(out, bob)) == len(to(out, story.jane)) == 1


# --- two at once ----------------------------------------------------------------------------------------------------


async def test_an_irreversible_step_after_somebody_elses_is_told_and_not_asked(story: Story) -> None:
    await story.begin()
    notice = story.grace.newest("New report")
    await story.answer(story.ada, "/embargo 2026-12-24 14:00 UTC")
    await story.answer(story.ada, "/confirm", to="/confirm")
    out = await story.send(story.grace.write("/embargo 2027-01-24 14:00 UTC", answering=notice))
    assert "meanwhile" in said(to(out, story.grace)[0])
    await story.send(story.grace.write("/confirm", answering=to(out, story.grace)[0]))
    assert "2026-12-24" in str(story.state().facts.embargo)


# --- sealed cases ---------------------------------------------------------------------------------------------------


async def sealed(story: Story) -> None:
    await story.send(encrypted(story.jane.write("x")))


async def test_status_of_a_sealed_case_tells_no_facts_in_clear(story: Story) -> None:
    await sealed(story)
    await story.answer(story.ada, "/credit Jane Doe\n/affects product 4.0\n/cve CVE-2026-12345", to="[SEC-2026-0001]")
    out = await story.answer(story.grace, "/status", to="[SEC-2026-0001]")
    (mail,) = to(out, story.grace)
    for secret in ("Jane", "product", "CVE-2026-12345"):
        assert secret not in mail.as_string()


async def test_who_comes_second_in_a_sealed_case_is_not_shown_the_fact(story: Story) -> None:
    await sealed(story)
    notice = story.grace.newest()
    await story.answer(story.ada, "/credit Jane Doe", to="[SEC-2026-0001]")
    out = await story.send(story.grace.write("/credit somebody else", answering=notice))
    (mail,) = to(out, story.grace)
    assert "meanwhile" in said(mail)
    assert "Jane" not in mail.as_string()


async def test_a_preview_in_a_sealed_case_names_no_files(story: Story) -> None:
    await sealed(story)
    out = await story.answer(
        story.ada, "/preview\n/patched", to="[SEC-2026-0001]", files=(("authelia-bypass.patch", b"+x\n"),)
    )
    assert "authelia-bypass" not in to(out, story.ada)[0].as_string()


@pytest.mark.parametrize(
    "command",
    [
        "/published https://example.org/authelia-bypass",
        "/severity authelia-bypass",
        "/affects authelia-bypass 4\n/embargo 2027-01-24",
        "/autheliabypass",
        "/invite authelia-bypass@upstream.example",
    ],
)
async def test_what_is_written_behind_a_command_in_a_sealed_case_is_never_repeated(story: Story, command: str) -> None:
    story.others["dev"] = Person("authelia-bypass@upstream.example")
    await sealed(story)
    out = await story.answer(story.ada, command, to="[SEC-2026-0001]")
    out += await story.answer(story.ada, "/confirm")
    for person in (story.ada, story.grace, story.jane):
        for mail in to(out, person):
            assert "authelia" not in mail.as_string().lower()


# --- annoyance ------------------------------------------------------------------------------------------------------


async def test_second_addresses_are_no_way_to_pester_somebody(story: Story) -> None:
    victim = story.others["v"] = Person("victim@elsewhere.example")
    await story.begin()
    for _ in range(10):
        await story.answer(story.jane, "/second-address victim@elsewhere.example", to="Your report")
    assert len(victim.got) == 1
    others = 0
    for number in range(10):
        other = story.others[str(number)] = Person(f"v{number}@elsewhere.example")
        await story.answer(story.jane, f"/second-address {other.address}", to="Your report")
        others += len(other.got)
    assert others <= 3


async def test_second_addresses_asked_in_many_cases_do_not_add_up(story: Story) -> None:
    victim = story.others["v"] = Person("victim@elsewhere.example")
    for number in range(5):
        await story.send(story.jane.write("x", subject=f"report: {number}"))
        await story.answer(story.jane, "/second-address victim@elsewhere.example", to=f"SEC-2026-000{number + 1}")
    assert len(victim.got) <= 1


async def test_a_leaked_token_does_not_silence_its_owner(story: Story) -> None:
    await story.begin()
    leaked = story.jane.newest()
    for _ in range(25):
        await story.send(story.jane.write("noise", answering=leaked, proven=False, quote=False))
    await story.send(story.jane.write("/credit Jane Doe", answering=leaked))
    assert story.state().facts.credit == "Jane Doe"


async def test_who_answers_our_questions_is_asked_as_often_as_they_need(story: Story) -> None:
    """Where no mail server proves anything, each command of a maintainer takes one."""
    await story.begin()
    for number in range(15):
        await story.answer(story.ada, f"/affects {number}", to="[SEC-2026-0001]", proven=False)
        await story.answer(story.ada, "/confirm", to="/confirm", proven=False)
        await story.bench.later(minutes=20)
    assert story.state().facts.affects == "14"


# --- whose word it is -----------------------------------------------------------------------------------------------


async def test_where_a_server_vouches_a_confirmation_alone_undoes_nothing_irreversible(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/published https://example.org/1", proven=False)
    out = await story.answer(story.ada, "/confirm", to="/confirm", proven=False)
    assert story.state().stage is Stage.RECEIVED
    assert "vouches for" in said(to(out, story.ada)[0])


async def test_the_heaviest_command_of_a_mail_counts(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/own\n/published https://example.org/1")
    assert (story.state().owner, story.state().stage) == (None, Stage.RECEIVED)


async def test_a_confirmation_whose_author_failed_authentication_is_none(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/published https://example.org/1")
    await story.answer(story.ada, "/confirm", to="/confirm", result="fail")
    assert story.state().stage is Stage.RECEIVED


async def test_a_question_is_void_once_its_own_author_has_decided_otherwise(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/embargo 2026-12-24 14:00 UTC")
    first = story.ada.newest("/confirm")
    await story.answer(story.ada, "/embargo 2027-01-24 14:00 UTC", to="New report")
    await story.answer(story.ada, "/confirm", to="/confirm")
    await story.send(story.ada.write("/confirm", answering=first))
    assert "2027-01-24" in str(story.state().facts.embargo)


async def test_a_question_about_a_case_counts_for_no_other(story: Story) -> None:
    bob, _ = await three(story)
    await story.answer(bob, "/credit Bob", proven=False)
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(bob, "/confirm", to="/confirm", proven=False)
    assert story.state(1).facts.credit is None


async def test_send_never_sends_a_note_that_was_written_after_the_question(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "The first thought.")
    await story.answer(story.ada, "/send", proven=False)
    question = story.ada.newest("/confirm")
    await story.answer(story.ada, "The second thought, about the reporter.", to="New report")
    out = await story.send(story.ada.write("/confirm", answering=question))
    assert not to(out, story.jane)


async def test_who_was_a_reporter_is_one_no_longer(story: Story) -> None:
    bob, _ = await three(story)
    await story.answer(story.ada, "/merge SEC-2026-0002", to="[SEC-2026-0001]")
    await story.answer(story.ada, "/reviewing", to="[SEC-2026-0001]")
    token = bob.newest("[SEC-2026-0001]")
    await story.answer(story.ada, "/reopen", to="[SEC-2026-0002]")
    out = await story.send(bob.write("/credit Bob", answering=token))
    assert story.state(1).facts.credit is None
    assert not to(out, bob)


async def test_an_invited_person_and_a_candidate_command_nothing(story: Story) -> None:
    dev = story.others["dev"] = Person("dev@upstream.example", "Dev")
    work = story.others["work"] = Person("jane@work.example", "Jane")
    await story.begin()
    await story.answer(story.ada, "/invite dev@upstream.example\nplease help.")
    await story.answer(story.ada, "/confirm")
    await story.answer(story.jane, "/second-address jane@work.example", to="Your report")
    for person in (dev, work):
        mail = person.newest()
        for command in ("/status", "/help", "/credit X", "/withdraw", "/second-address a@b.example", "/list"):
            out = await story.send(person.write(command, answering=mail))
            assert not to(out, person), command
    assert story.state().facts.credit is None
    assert ("withdrawal_asked", "reporter") not in story.journal()


# --- what is said along with something -------------------------------------------------------------------------------


async def test_an_attachment_alone_answers_our_questions(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/needs-info\nPlease send the log.")
    await story.answer(story.jane, "", files=(("server.log", b"boom"),))
    assert story.state().stage is Stage.REVIEWING


async def test_what_a_reporter_writes_below_a_confirmation_is_read(story: Story) -> None:
    await story.begin()
    await story.answer(story.jane, "/credit Jane Doe", proven=False)
    out = await story.answer(story.jane, "/confirm\nBy the way, it is being exploited now.", proven=False)
    assert story.state().facts.credit == "Jane Doe"
    assert any("being exploited now" in said(mail) for mail in to(out, story.ada))


@pytest.mark.parametrize("charset", [b"utf-7", b"utf-16", b"utf-8"])
async def test_no_bytes_stop_a_preview_or_a_question(story: Story, charset: bytes) -> None:
    await story.begin()
    body = {
        b"utf-7": b"/preview\r\n/reply\r\nA +2AA- half +AAA- \x1b[31m and +IC4-",
        b"utf-16": "/preview\r\n/reply\r\nA \x00 \x07 \u202e x".encode("utf-16"),
        b"utf-8": b"/preview\r\n/reply\r\nA \x00 \x07 \xed\xa0\x80 \xe2\x80\xae x \x1b[31m",
    }[charset]
    head, _, _ = story.ada.write("x", answering=story.ada.newest()).partition(b"\r\n\r\n")
    head = head.replace(b'charset="utf-8"', b'charset="' + charset + b'"').replace(b"7bit", b"8bit")
    out = await story.send(head + b"\r\n\r\n" + body)
    for mail in to(out, story.ada):
        assert not set(said(mail)) & {"\x00", "\x1b", "\x07", "\u202e"}
    out = await story.send(head.replace(b"dmarc=pass", b"dmarc=none") + b"\r\n\r\n" + body)
    for mail in to(out, story.ada):
        assert not set(said(mail)) & {"\x00", "\x1b", "\x07", "\u202e"}
    assert "hold" not in story.bench.dispositions()
    assert {str(m["state"]) for m in story.bench.messages()} == {"done"}
