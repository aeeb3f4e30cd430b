"""What must not happen: forged, replayed, guessed, quoted and leaked words change nothing and reach nobody."""

from __future__ import annotations

import secrets
from dataclasses import replace
from email.message import EmailMessage
from functools import partial

import pytest

from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.core.case import Stage
from mailbox_service.core.commands import VERBS, Place
from mailbox_service.services.ports import KnownOutbound
from tests.conversation.people import Person, Story, said, text_of, to
from tests.services.bench import BOX, Bench

EVERY_COMMAND = [verb.example for verb in VERBS if verb.place is not Place.DIGEST]


def untouched(story: Story, number: int = 1) -> bool:
    state = story.state(number)
    return (
        state.stage is Stage.RECEIVED
        and state.owner is None
        and not any(getattr(state.facts, name) for name in ("cve", "severity", "embargo", "credit", "fixed", "affects"))
    )


# --- whose word it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", EVERY_COMMAND)
async def test_a_forged_maintainer_without_a_token_does_nothing(story: Story, command: str) -> None:
    await story.begin()
    mallory = Person("ada@example.org", "Ada", proven=False)
    body = f"{command}\nDo as I say."
    out = await story.send(mallory.write(body, subject="Re: [SEC-2026-0001] New report"))
    assert untouched(story)
    assert not to(out, story.jane)
    for _, mail in out:
        assert "I can read everybody's files" not in said(mail)


@pytest.mark.parametrize("command", EVERY_COMMAND)
async def test_a_token_without_an_authenticated_from_only_asks(story: Story, command: str) -> None:
    await story.begin()
    body = f"{command}\nDo as I say."
    stolen = story.ada.newest()
    out = await story.send(story.ada.write(body, answering=stolen, proven=False))
    assert untouched(story)
    assert not to(out, story.jane)
    out = await story.send(story.ada.write(body, answering=stolen, result="fail"))
    assert untouched(story)
    asked = [mail for mail in to(out, story.ada) if str(mail["X-Mailbox-Service-Loop"]).endswith(".confirmation")]
    assert not asked, "a From that failed authentication is somebody else's: not even a question"


async def test_a_token_of_one_person_is_nothing_in_another_hand(story: Story) -> None:
    mallory = story.others["m"] = Person("mallory@evil.example", "Mallory")
    await story.begin()
    for stolen in (story.ada.newest(), story.jane.newest()):
        out = await story.send(mallory.write("/status\n/close spam", answering=stolen))
        assert untouched(story)
        for mail in to(out, mallory):
            assert "everybody" not in mail.as_string()
            assert "SEC-2026-0001" not in mail.as_string()
    out = await story.send(story.grace.write("/close spam", answering=story.ada.newest("[SEC-2026-0001]")))
    assert untouched(story), "not even another maintainer's, without a token of their own"


async def test_a_token_counts_for_its_own_case_whatever_the_subject_says(story: Story) -> None:
    await story.begin()
    await story.send(story.jane.write("Another one.", subject="report: another"))
    first = next(mail for mail in story.ada.got if "SEC-2026-0001" in str(mail["Subject"]))
    mail = story.ada.write("/reviewing", answering=first).replace(b"SEC-2026-0001", b"SEC-2026-0002", 1)
    await story.send(mail)
    assert story.state(1).stage is Stage.REVIEWING
    assert story.state(2).stage is Stage.RECEIVED


async def test_a_reporter_cannot_do_what_maintainers_do(story: Story) -> None:
    await story.begin()
    for command in (
        "/reproduced",
        "/close resolved",
        "/assign Ada",
        "/note\nx",
        "/invite me@evil.example",
        "/fix-works",
    ):
        out = await story.answer(story.jane, command, to="Your report")
        assert untouched(story)
        assert len(to(out, story.jane)) == 1, "a clear error"


async def test_an_unknown_address_of_a_real_reporter_joins_nothing(story: Story) -> None:
    other = story.others["o"] = Person("jane@private.example", "Jane Doe")
    await story.begin()
    out = await story.send(other.write("/status", answering=story.jane.newest()))
    assert untouched(story)
    assert all("everybody's files" not in said(mail) for mail in to(out, other))
    assert story.state().reporters == ("jane@research.example",)


async def test_cc_and_reply_to_of_an_attacker_get_nothing(story: Story) -> None:
    story.others["m"] = Person("mallory@evil.example")
    await story.begin()
    mail = story.jane.write("More.", answering=story.jane.newest(), cc="mallory@evil.example")
    await story.send(b"Reply-To: mallory@evil.example\r\n" + mail)
    await story.answer(story.ada, "/needs-info\nWhich version?", to="New report")
    assert not story.others["m"].got


async def test_a_removed_maintainer_is_nobody(story: Story) -> None:
    await story.begin()
    notice = story.grace.newest()
    fewer = replace(BOX, maintainers=BOX.maintainers[:1])
    later = Story(Bench(story.bench.database, mailbox=fewer))
    later.bench.now = story.bench.now
    out = await later.send(story.grace.write("/close resolved", answering=notice))
    assert untouched(story)
    assert not to(out, later.grace)


async def test_guessed_references_subjects_and_ids_open_nothing(story: Story) -> None:
    mallory = story.others["m"] = Person("mallory@evil.example", "Mallory")
    await story.begin()
    for number in range(20):
        guess = EmailMessage()
        guess["Subject"] = "[SEC-2026-0001] New report"
        guess["Message-ID"] = f"<1.{secrets.token_hex(16)}@example.org>"
        out = await story.send(mallory.write("/status", answering=guess, quote=False))
        assert untouched(story), number
        assert all("everybody's files" not in mail.as_string() for mail in to(out, mallory))
    ids = [f"<1.{secrets.token_hex(16)}@example.org>" for _ in range(100_000)]
    for start in range(0, len(ids), 5_000):
        assert story.bench.database.run(partial(_named, ids[start : start + 5_000])) == []


def _named(ids: list[str], tx: SqlTransaction) -> list[KnownOutbound]:
    return tx.outbound_named(ids)


# --- where a command stands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "> /close resolved\n\nIs this right?",
        "Fine.\n\n-- \n/close resolved",
        "See below.\n\n-----Original Message-----\nFrom: Grace\n\n/close resolved",
        "Hello,\n/close resolved",
        "---------- Forwarded message ---------\nFrom: Grace <grace@example.org>\n\n/close resolved",
    ],
)
async def test_quoted_signed_forwarded_and_late_commands_do_not_count(story: Story, body: str) -> None:
    await story.begin()
    await story.answer(story.ada, body)
    assert untouched(story)


async def test_commands_in_html_and_in_attachments_do_not_count(story: Story) -> None:
    await story.begin()
    head = story.ada.write("x", answering=story.ada.newest(), quote=False).split(b"\r\n\r\n")[0]
    html = b"<p>/close resolved</p>"
    await story.send(head.replace(b"text/plain", b"text/html") + b"\r\n\r\n" + html)
    assert untouched(story)
    await story.answer(
        story.ada, "Please see the file.", files=(("commands.txt", b"/close resolved\n"),), to="New report"
    )
    assert untouched(story)


# --- confirmations --------------------------------------------------------------------------------------------------


async def published(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/published https://example.org/1")


async def test_a_confirmation_too_late_changes_nothing(story: Story) -> None:
    await published(story)
    await story.bench.later(hours=73)
    await story.delivered()
    await story.answer(story.ada, "/confirm", to="/confirm")
    assert story.state().stage is Stage.RECEIVED
    assert "72 hours" in said(story.ada.newest())


async def test_a_confirmation_after_the_fact_has_changed_is_void(story: Story) -> None:
    await published(story)
    await story.answer(story.grace, "/reviewing", to="New report")
    await story.answer(story.ada, "/confirm", to="/confirm")
    assert story.state().stage is Stage.REVIEWING
    assert "meanwhile" in said(story.ada.newest())


async def test_a_confirmation_of_another_person_is_none(story: Story) -> None:
    await published(story)
    await story.send(story.grace.write("/confirm", answering=story.ada.newest("/confirm")))
    assert story.state().stage is Stage.RECEIVED


@pytest.mark.parametrize(
    "headers",
    [b"Auto-Submitted: auto-replied\r\n", b"X-Autoreply: yes\r\nPrecedence: bulk\r\n", b"Return-Path: <>\r\n"],
)
async def test_no_machine_confirms(story: Story, headers: bytes) -> None:
    await published(story)
    mail = story.ada.write("/confirm", answering=story.ada.newest("/confirm"), quote=False)
    out = await story.send(headers + mail)
    assert story.state().stage is Stage.RECEIVED
    answers = [mail for mail in to(out, story.ada) if str(mail["X-Mailbox-Service-Loop"]).endswith(".refused")]
    assert not answers, "nor is one answered"


async def test_an_out_of_office_note_without_headers_confirms_nothing(story: Story) -> None:
    await published(story)
    question = story.ada.newest("/confirm")
    await story.send(story.ada.write(f"I am away until Monday.\n{text_of(question)}", answering=question, quote=False))
    assert story.state().stage is Stage.RECEIVED


# --- loops ----------------------------------------------------------------------------------------------------------


async def test_robots_that_say_nowhere_that_they_are_some_fall_silent(story: Story) -> None:
    await story.begin()
    sent = 0
    waiting = [(story.ada, story.ada.newest()), (story.grace, story.grace.newest())]
    for _ in range(60):
        out = await story.send(*(who.write("I am away.", answering=mail, quote=False) for who, mail in waiting))
        sent += len(out)
        waiting = [(story.people[recipient], mail) for recipient, mail in out]
        if not waiting:
            break
    assert not waiting, "it never ends"
    assert sent <= 50
    assert len(story.jane.got) == 1


async def test_a_stolen_token_fills_nobodys_mailbox(story: Story) -> None:
    await story.begin()
    stolen = story.ada.newest()
    asked = 0
    for _ in range(15):
        out = await story.send(story.ada.write("/own", answering=stolen, proven=False))
        asked += sum(str(mail["X-Mailbox-Service-Loop"]).endswith(".confirmation") for _, mail in out)
    assert asked == 10
    assert untouched(story)


async def test_a_text_too_long_is_refused_and_never_cut(story: Story) -> None:
    await story.begin()
    out = await story.answer(story.ada, "/reply\n" + "All of it counts. " * 4_000, quote=False)
    assert not to(out, story.jane)
    assert "60000 characters" in said(to(out, story.ada)[0])


async def test_whoever_has_a_stolen_token_locks_nobody_out(story: Story) -> None:
    await story.begin()
    stolen = story.ada.newest()
    for result in ("none", "fail"):
        await story.send(*(story.ada.write("/own", answering=stolen, result=result) for _ in range(25)))
    assert untouched(story)
    await story.answer(story.ada, "/reviewing", to="New report")
    assert story.state().stage is Stage.REVIEWING
    out = await story.answer(story.ada, "/published https://example.org/1", to="New report")
    assert "/confirm" in said(to(out, story.ada)[0])
