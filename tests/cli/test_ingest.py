"""Import of files, folders and standard input."""

from __future__ import annotations

import io
import mailbox
import sys

import pytest

from tests.cli.desk import QUESTION, REPORT, Desk


def test_what_became_of_it_is_told_and_the_second_time_everything_is_known(desk: Desk) -> None:
    files = [desk.mail("report.eml", REPORT), desk.mail("question.eml", QUESTION)]
    assert desk.done("ingest", *files).text == "2 new messages (1 case, 1 redirect), 0 known already.\n"
    assert desk.done("ingest", *files).text == "0 new messages, 2 known already.\n"
    assert len(desk.rows("message", "list")) == 2


def test_imported_mail_is_not_answered_and_makes_one_summary(desk: Desk) -> None:
    desk.done("ingest", desk.mail("a.eml", REPORT), desk.mail("b.eml", QUESTION))
    (summary,) = desk.rows("outbox", "list")
    assert (summary["kind"], summary["recipient"]) == ("summary", "maintainer@demo.example")
    assert "as it would be sent now" in desk.done("outbox", "show", str(summary["id"])).text


def test_with_answer_reporters_are_written_to(desk: Desk) -> None:
    desk.done("ingest", "--answer", desk.mail("a.eml", REPORT), desk.mail("b.eml", QUESTION))
    kinds = {(row["kind"], row["recipient"]) for row in desk.rows("outbox", "list")}
    assert ("acknowledgement", "eve@research.example") in kinds
    assert ("redirect", "kim@company.example") in kinds


def test_mbox_maildir_and_a_folder_of_files(desk: Desk) -> None:
    box = mailbox.mbox(desk.folder / "old.mbox")
    box.add(REPORT)
    box.add(QUESTION)
    box.close()
    maildir = mailbox.Maildir(desk.folder / "Maildir")
    maildir.add(REPORT.replace(b"login", b"search"))
    desk.mail("folder/deep/x.eml", QUESTION.replace(b"LDAP", b"SAML"))
    paths = [str(desk.folder / name) for name in ("old.mbox", "Maildir", "folder")]
    assert desk.done("ingest", *paths).text.startswith("4 new messages (2 case, 2 redirect)")
    assert desk.done("ingest", *paths).text == "0 new messages, 4 known already.\n"


def test_standard_input_is_imported_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for expected in ("1 new messages (1 case), 0 known already.\n", "0 new messages, 1 known already.\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(REPORT)))
        assert desk.done("ingest", "-").text == expected
    assert desk.done("message", "export", "1").out == REPORT


def test_a_bad_path_costs_the_others_nothing(desk: Desk) -> None:
    answer = desk.run("ingest", str(desk.folder / "nope"), desk.mail("a.eml", REPORT))
    assert answer.code == 66
    assert answer.text == "1 new messages (1 case), 0 known already.\n"
    assert answer.err == f"mailbox-service: cannot read {desk.folder}/nope: No such file or directory\n"
    answer = desk.run("ingest", desk.mail("empty.eml", b""), desk.mail("b.eml", QUESTION))
    assert (answer.code, answer.text[:14]) == (65, "1 new messages")
    assert "is empty" in answer.err


def test_an_unknown_mailbox_is_refused(desk: Desk) -> None:
    answer = desk.run("ingest", "--mailbox", "nope", desk.mail("a.eml", REPORT))
    assert (answer.code, answer.err) == (66, "mailbox-service: no mailbox nope; there are: security\n")


def test_with_several_mailboxes_one_must_be_named(desk: Desk) -> None:
    text = desk.config.read_text()
    second = text[text.index("  - name: security") :].replace("security", "psirt")
    desk.config.write_text(text + second.replace("psirt: none", "security: none"))
    answer = desk.run("ingest", desk.mail("a.eml", REPORT))
    assert (answer.code, answer.err) == (64, "mailbox-service: name one with --mailbox: psirt, security\n")
    desk.done("ingest", "--mailbox", "psirt", str(desk.folder / "a.eml"))
    assert [row["mailbox"] for row in desk.rows("message", "list")] == ["psirt"]
