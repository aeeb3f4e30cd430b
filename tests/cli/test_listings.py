"""What came in, what became of it, and what goes out, as commands show it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import unicodedata
from datetime import datetime
from typing import get_args

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.app import Service, now
from mailbox_service.cli import case, message, outbox
from mailbox_service.config import load
from mailbox_service.core.case import Stage
from mailbox_service.core.routing import Disposition
from mailbox_service.services.decisions import DECISIONS
from mailbox_service.services.ports import Bounced, Origin, RawMessage, SourceKind
from tests.cli.desk import HOSTILE, QUESTION, REPORT, Desk

MESSAGE_KEYS = ["id", "mailbox", "source", "received_at", "sender", "subject", "sha256", "state", "disposition", "case"]
CASE_KEYS = ["ref", "mailbox", "stage", "reporter", "subject", "opened_at", "unsure", "messages", "owner", "resolution"]
OUTBOX_KEYS = ["id", "case", "kind", "recipient", "state", "attempts", "message_id"]

UNCLEAR = b"From: eve@research.example\r\nTo: security@demo.example\r\nSubject: hm\r\n\r\nzzz qqq\r\n"


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    """A desk with one report and one question, answered as new mail is."""
    desk.done("ingest", "--answer", desk.mail("report.eml", REPORT), desk.mail("question.eml", QUESTION))
    return desk


def test_listings_have_exactly_the_documented_keys(stocked: Desk) -> None:
    assert stocked.keys(["message", "list"]) == [MESSAGE_KEYS] * 2
    assert stocked.keys(["case", "list"]) == [CASE_KEYS]
    mails = stocked.keys(["outbox", "list"])
    assert mails and mails == [OUTBOX_KEYS] * len(mails)


def test_held_mail_is_listed_with_the_keys_of_messages(desk: Desk) -> None:
    desk.done("migrate")
    assert desk.rows("hold", "list") == []
    assert desk.done("hold", "list").text == "Nothing is held.\n"


def test_the_choices_on_the_command_line_are_those_of_the_program() -> None:
    assert set(get_args(message.Dispositions)) == {d.value for d in Disposition}
    assert set(get_args(message.Decisions)) == set(DECISIONS)
    assert set(get_args(case.Stages)) == {s.value for s in Stage}


def test_a_report_and_a_question_are_listed_with_what_became_of_them(stocked: Desk) -> None:
    report, question = stocked.rows("message", "list")
    assert report["sha256"] == hashlib.sha256(REPORT).hexdigest()
    assert (report["disposition"], report["state"], report["source"]) == ("case", "done", "import")
    assert (report["sender"], question["sender"]) == ("eve@research.example", "kim@company.example")
    assert (question["disposition"], question["case"]) == ("redirect", None)
    (opened,) = stocked.rows("case", "list")
    assert opened["ref"] == report["case"]
    assert (opened["messages"], opened["reporter"], opened["unsure"]) == (1, "eve@research.example", False)
    assert datetime.fromisoformat(opened["opened_at"]).utcoffset() is not None


def test_filters_choose(stocked: Desk) -> None:
    def subjects(*words: str) -> list[str]:
        return [row["subject"] for row in stocked.rows("message", "list", *words)]

    assert subjects("--disposition", "redirect") == ["How do I configure LDAP?"]
    assert subjects("--case", "sec-2026-0001") == ["SQL injection in the login form"]
    assert subjects("--state", "held") == []
    assert subjects("--limit", "1") == ["How do I configure LDAP?"]
    assert len(subjects("--mailbox", "security")) == 2
    assert stocked.rows("case", "list", "--stage", "closed") == []
    kinds = [row["kind"] for row in stocked.rows("outbox", "list", "--case", "SEC-2026-0001")]
    assert sorted(kinds) == ["acknowledgement", "notice_case"]
    assert len(stocked.rows("outbox", "list", "--limit", "1", "--mailbox", "security")) == 1


def test_what_does_not_exist_is_said_so_and_ends_with_66(stocked: Desk) -> None:
    for words, complaint in (
        (["message", "show", "99"], "no message 99"),
        (["message", "export", "99"], "no message 99"),
        (["message", "sort", "99", "--as", "spam"], "no message 99"),
        (["message", "list", "--mailbox", "nope"], "no mailbox nope; there are: security"),
        (["message", "list", "--case", "SEC-1"], "no case SEC-1"),
        (["case", "show", "SEC-1"], "no case SEC-1"),
        (["outbox", "show", "99"], "no outgoing mail 99"),
        (["outbox", "retry", "99"], "no outgoing mail 99"),
        (["hold", "show", "1"], "message 1 is not held"),
        (["template", "preview", "nope"], "no template nope"),
    ):
        answer = stocked.run(*words)
        assert (answer.code, answer.out) == (66, b"")
        assert complaint in answer.err
        assert answer.err.count("\n") == 1


def test_a_message_is_exported_byte_for_byte(desk: Desk) -> None:
    data = bytes(range(256)) * 5000 + b"\r\nFrom \n\r"
    desk.done("ingest", desk.mail("odd.eml", data))
    assert desk.done("message", "export", "1").out == data
    copy = desk.folder / "copy.eml"
    old = os.umask(0)
    try:
        assert desk.done("message", "export", "1", "-o", str(copy)).out == b""
    finally:
        os.umask(old)
    assert copy.read_bytes() == data
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert desk.run("message", "export", "1", "-o", str(copy)).code == 73


def test_a_message_is_shown_with_reasons_and_text(stocked: Desk) -> None:
    text = stocked.done("message", "show", "1").text
    assert "because         sorted as a security report" in text
    assert f"came from       import {stocked.folder}/report.eml" in text
    assert 'security: word "' in text
    assert "    I found an SQL injection in the login form" in text
    shown = stocked.done("message", "show", "1", "--json").json
    assert shown["texts"][0]["text"].startswith("I found an SQL injection")
    assert shown["sources"][0]["note"].endswith("report.eml")
    assert not {"lease_token", "lease_owner"} & shown.keys()


def test_a_case_is_shown_with_journal_messages_and_mails(stocked: Desk) -> None:
    text = stocked.done("case", "show", "SEC-2026-0001").text
    assert "opened by eve@research.example" in text
    assert "acknowledgement" in text
    assert "notice_case" in text
    shown = stocked.done("case", "show", "SEC-2026-0001", "--json").json
    assert [entry["event"] for entry in shown["journal"]] == ["opened"]
    assert [list(row) for row in shown["messages"]] == [MESSAGE_KEYS]
    assert {tuple(row) for row in shown["mails"]} == {tuple(OUTBOX_KEYS)}


def test_hints_are_shown_with_the_case_and_with_the_message_that_opened_it(desk: Desk) -> None:
    report = REPORT + b"Found by nessus. Is there a bounty? CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\r\n"
    desk.done("ingest", "--answer", desk.mail("report.eml", report), desk.mail("question.eml", QUESTION))
    for words in (("case", "show", "SEC-2026-0001"), ("message", "show", "1")):
        text = desk.done(*words).text
        assert "Hints, not verdicts:\n    s" in text and "\n    speaks of a reward" in text
        assert "gives a severity of 9.8 (critical)" in text and "hints:" not in text
        kinds = [hint["kind"] for hint in desk.done(*words, "--json").json["hints"]]
        assert [kind for kind in kinds if kind != "lacks"] == ["bounty", "scanner", "severity"]
    assert "Hints" not in desk.done("message", "show", "2").text
    assert desk.done("message", "show", "2", "--json").json["hints"] == []


def test_text_from_mail_cannot_reach_the_terminal_unharmed(desk: Desk) -> None:
    desk.done("ingest", "--answer", desk.mail("hostile.eml", HOSTILE))
    commands = [
        ["message", "list"],
        ["message", "show", "1"],
        ["case", "list"],
        ["case", "show", "SEC-2026-0001"],
        ["sorter", "explain", str(desk.folder / "hostile.eml")],
        *(["outbox", "show", str(row["id"])] for row in desk.rows("outbox", "list")),
    ]
    assert len(commands) > 5
    for words in [*commands, *([*words, "--json"] for words in commands)]:
        text = desk.done(*words).text
        assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf")} - {"\n"}, words
        for escape in (r"\u001b", r"\u0007", r"\u202e", r"\u009b"):
            assert escape not in text
    # Nor can a line of it pass for a line of ours.
    assert "\nstate  done" not in desk.done("message", "show", "1").text


def test_shadow_mode_shows_what_would_go_out(desk: Desk) -> None:
    desk.configure(shadow=True)
    desk.done("ingest", "--answer", desk.mail("report.eml", REPORT))
    rows = desk.rows("outbox", "list")
    assert {row["state"] for row in rows} == {"shadow"}
    (acknowledgement,) = (row for row in rows if row["kind"] == "acknowledgement")
    text = desk.done("outbox", "show", str(acknowledgement["id"])).text
    assert "as it would be sent now" in text
    assert "    To: eve@research.example" in text
    assert f"    Message-Id: {acknowledgement['message_id']}" in text
    assert "SEC-2026-0001" in text
    answer = desk.run("outbox", "retry", str(acknowledgement["id"]))
    assert (answer.code, "is shadow; only waiting, failed and bounced" in answer.err) == (65, True)


def test_the_notice_shows_the_report_it_carries(stocked: Desk) -> None:
    (notice,) = (row for row in stocked.rows("outbox", "list") if row["kind"] == "notice_case")
    assert "    [attached: message 1, whole]\n" in stocked.done("outbox", "show", str(notice["id"])).text


def test_a_mail_that_came_back_is_shown_with_what_was_said_and_can_be_sent_again(stocked: Desk) -> None:
    acknowledgement = next(row for row in stocked.rows("outbox", "list") if row["kind"] == "acknowledgement")
    number = acknowledgement["id"]
    database = Database.open(f"sqlite:///{stocked.folder / 'mailbox.db'}")
    try:
        database.run(lambda tx: tx.connection.execute(sa.text(f"update outbound set attempts = 1 where id = {number}")))
        (row,) = database.run(lambda tx: tx.bounced([Bounced(number, "came back: 5.1.1 no such user")], now()))
    finally:
        database.close()
    assert int(row.id) == number and row.frozen is None
    (listed,) = stocked.rows("outbox", "list", "--state", "bounced")
    assert listed == acknowledgement | {"state": "bounced", "attempts": 1}
    assert number not in [row["id"] for row in stocked.rows("outbox", "list", "--state", "waiting")]
    text = stocked.done("outbox", "show", str(number)).text
    assert "came back: 5.1.1 no such user" in text and "bounced" in text
    stocked.done("outbox", "retry", str(number))
    assert stocked.rows("outbox", "list", "--state", "bounced") == []
    assert stocked.done("outbox", "show", str(number), "--json").json["bounce"] is None


def test_the_brake_is_shown_while_it_is_on(stocked: Desk) -> None:
    assert "paused" in stocked.done("outbox", "pause").text
    assert "paused" in stocked.done("outbox", "list").err
    assert "paused" in stocked.done("outbox", "retry", "1").err
    assert "is paused" in stocked.done("check", "--offline").text
    stocked.done("outbox", "resume")
    assert stocked.done("outbox", "list").err == ""


def test_a_person_turns_a_redirect_into_a_case_and_a_case_into_spam(stocked: Desk) -> None:
    assert (
        "Message 2: case SEC-2026-0002 (decided by a person)."
        in stocked.done("message", "sort", "2", "--as", "case").text
    )
    assert stocked.rows("message", "list")[1]["case"] == "SEC-2026-0002"
    answer = stocked.run("message", "sort", "2", "--as", "case")
    assert (answer.code, "is in case SEC-2026-0002 already" in answer.err) == (65, True)
    assert "Message 1: spam" in stocked.done("message", "sort", "1", "--as", "spam").text
    assert [row["stage"] for row in stocked.rows("case", "list")] == ["closed", "received"]
    assert "on the host" in stocked.done("case", "show", "SEC-2026-0001").text


def hold(desk: Desk) -> None:
    """Put a mail on hold: found in Junk, and nobody knows what it says."""
    config = load(desk.config, {})

    async def store() -> None:
        service = Service.open(config)
        origin = Origin(SourceKind.IMPORT, "security", junk=True)
        await service.intake.work(await service.intake.store([RawMessage(UNCLEAR, origin, now())]))
        await service.close()

    asyncio.run(store())


def test_held_mail_is_listed_shown_and_released_into_a_case(desk: Desk) -> None:
    hold(desk)
    assert desk.keys(["hold", "list"]) == [MESSAGE_KEYS]
    assert "found in Junk, and unsure" in desk.done("hold", "list").text
    assert "state           held" in desk.done("hold", "show", "1").text
    assert "are held for a person" in desk.done("check", "--offline").text
    assert "Message 1: case SEC-2026-0001 (decided by a person)." in desk.done("hold", "release", "1").text
    assert desk.rows("hold", "list") == []
    assert [row["ref"] for row in desk.rows("case", "list")] == ["SEC-2026-0001"]


def test_held_mail_can_be_sorted_as_well(desk: Desk) -> None:
    hold(desk)
    assert "Message 1: spam" in desk.done("message", "sort", "1", "--as", "spam").text
    assert desk.rows("hold", "list") == []


def test_what_is_not_held_cannot_be_released(stocked: Desk) -> None:
    answer = stocked.run("hold", "release", "1")
    assert (answer.code, "message 1 is not held; it is done" in answer.err) == (65, True)


def test_the_keys_are_those_the_listings_use() -> None:
    assert (list(message.KEYS), list(case.KEYS), list(outbox.KEYS)) == (MESSAGE_KEYS, CASE_KEYS, OUTBOX_KEYS)


def test_templates_are_listed_and_previewed(desk: Desk) -> None:
    own = desk.folder / "own"
    own.mkdir()
    text = desk.done("template", "preview", "redirect", "--json").json
    (own / "redirect.txt.j2").write_text("Subject: Elsewhere, please\n\nWrite to {{ team_address }}.\n")
    desk.configure(templates="own")
    sources = {row["name"]: row["source"] for row in desk.rows("template", "list")}
    assert sources["redirect"] == str(own / "redirect.txt.j2")
    assert sources["acknowledgement"] == "built-in"
    assert desk.done("template", "preview", "redirect").text.startswith("Subject:  Elsewhere, please\n\nWrite to ")
    assert text["subject"] != "Elsewhere, please"
