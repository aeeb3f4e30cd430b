"""`backup`, `restore`, `verify` and what the outbox says after a restore, at the keyboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailbox_service.adapters.database.storage import Database
from tests.cli.desk import QUESTION, REPORT, Desk


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk with a report and a question on file; their answers wait."""
    desk.done("migrate")
    desk.done("ingest", "--answer", desk.mail("a.eml", REPORT), desk.mail("b.eml", QUESTION))
    return desk


@pytest.fixture
def restored(full: Desk) -> Desk:
    """The same host after the worst day: database and secret are gone, the backup is not."""
    full.done("outbox", "list")
    full.done("backup", "one.backup")
    for path in [*full.folder.glob("mailbox.db*"), *full.folder.glob("mailbox.secret")]:
        path.unlink()
    answer = full.done("restore", "one.backup")
    assert "Restored 2 messages, 1 cases and 3 mails" in answer.text
    assert "The outbox is frozen" in answer.text and "3 mails" in answer.text
    return full


def test_a_backup_is_never_written_over_something_by_accident(full: Desk) -> None:
    answer = full.done("backup", "one.backup")
    assert answer.err.startswith("Backed up 2 messages, 1 cases, 3 mails; schema ")
    before, file = (full.folder / "one.backup").read_bytes(), (full.folder / "one.backup").stat().st_ino
    refused = full.run("backup", "one.backup")
    assert (refused.code, refused.err) == (
        65,
        "mailbox-service: one.backup exists; name another file, or replace it with --force\n",
    )
    assert (full.folder / "one.backup").read_bytes() == before
    full.done("backup", "--force", "one.backup")
    assert (full.folder / "one.backup").stat().st_ino != file  # put in its place
    assert not list(full.folder.glob(".*"))


def test_a_backup_goes_through_pipes(full: Desk) -> None:
    command = [sys.executable, "-m", "mailbox_service", "--config", str(full.config)]
    made = subprocess.run([*command, "backup", "-"], capture_output=True, check=True)
    assert made.stdout.startswith(b"SQLite format 3")
    full.config.write_text(full.config.read_text().replace("mailbox.db", "other.db"))
    told = subprocess.run([*command, "restore", "-"], input=made.stdout, capture_output=True, check=True)
    assert b"Restored 2 messages" in told.stdout
    assert not list(full.folder.glob(".*"))


def test_a_folder_that_takes_no_file_is_told(full: Desk) -> None:
    answer = full.run("backup", "nowhere/one.backup")
    assert (answer.code, answer.out) == (73, b"")
    assert answer.err.startswith("mailbox-service: cannot write nowhere/")


def test_what_is_no_backup_changes_nothing(desk: Desk) -> None:
    for name, data, code in (("a.eml", REPORT, 65), ("empty", b"", 65), ("nowhere", None, 66)):
        path = desk.mail(name, data) if data is not None else name
        answer = desk.run("restore", path)
        assert (answer.code, answer.out) == (code, b"")
        assert answer.err.startswith("mailbox-service: ") and answer.err.count("\n") == 1
    assert not (desk.folder / "mailbox.db").exists()


def test_a_database_that_is_there_is_not_replaced(full: Desk) -> None:
    full.done("backup", "one.backup")
    answer = full.run("restore", "one.backup")
    assert answer.code == 65
    assert "the database is not empty" in answer.err and "move the SQLite file away" in answer.err
    assert len(full.rows("message", "list")) == 2


def test_the_secret_comes_back_and_belongs_to_its_owner(restored: Desk) -> None:
    assert (restored.folder / "mailbox.secret").stat().st_mode & 0o777 == 0o600


def test_everybody_who_looks_is_told_that_the_outbox_is_frozen(restored: Desk) -> None:
    said = "The outbox is frozen since the restore at "
    assert said in restored.done("outbox", "list").err
    assert said in restored.done("outbox", "retry", "1").err
    findings = restored.rows("check", "--offline")
    assert next(f["what"] for f in findings if f["subject"] == "outbox").startswith("is frozen since the restore at ")
    run = subprocess.run(
        [sys.executable, "-m", "mailbox_service", "--config", str(restored.config), "run", "--once"],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 75  # nothing listens at the server's port, and mails wait
    assert b"outbox frozen" in run.stderr and b"outbox resume" in run.stderr
    assert {m["attempts"] for m in restored.rows("outbox", "list")} == {0}


def test_resume_shows_what_may_have_gone_out_and_insists_on_a_decision(restored: Desk) -> None:
    ids = [m["id"] for m in restored.rows("outbox", "list", "--restored")]
    assert len(ids) == 3
    for words in (["resume"], ["resume", "--yes"]):
        answer = restored.run("outbox", *words)
        assert answer.code == 65
        assert "They may have gone out since" in answer.text and "eve@research.example" in answer.text
        assert "outbox withdraw --restored" in answer.err and "--send-restored" in answer.err
    assert restored.done("outbox", "withdraw", str(ids[0])).text == "1 mails are withdrawn.\n"
    again = restored.run("outbox", "withdraw", str(ids[0]))
    assert (again.code, "is withdrawn; only waiting ones" in again.err) == (65, True)
    assert restored.done("outbox", "withdraw", "--restored").text.startswith("2 mails are withdrawn, and ")
    asked = restored.run("outbox", "resume")
    assert (asked.code, "say --yes" in asked.err) == (65, True)
    assert restored.done("outbox", "resume", "--yes").text.endswith("The outbox sends again.\n")
    assert restored.done("outbox", "list").err == ""
    assert restored.done("outbox", "resume").text == "The outbox sends again.\n"


def test_resume_sends_what_waited_where_the_operator_says_so(restored: Desk) -> None:
    restored.done("outbox", "resume", "--yes", "--send-restored")
    assert {m["state"] for m in restored.rows("outbox", "list")} == {"waiting"}
    assert restored.done("outbox", "list").err == ""
    assert restored.rows("outbox", "list", "--restored") == []


@pytest.mark.parametrize("words", [[], ["1", "--restored"], ["0"], ["x"]])
def test_withdraw_must_know_what(full: Desk, words: list[str]) -> None:
    assert full.run("outbox", "withdraw", *words).code == 64


def test_withdraw_of_a_mail_that_is_not_there_withdraws_none(full: Desk) -> None:
    assert full.run("outbox", "withdraw", "1", "99").code == 66
    assert {m["state"] for m in full.rows("outbox", "list")} == {"waiting"}


def test_verify_names_each_promise_and_the_rows_that_break_it(full: Desk) -> None:
    assert all(line.startswith("ok ") for line in full.done("verify").text.splitlines())
    database = Database.open(f"sqlite:///{full.folder}/mailbox.db")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("update message set sha256 = 'x' where id = 2")
    database.close()
    answer = full.run("verify")
    assert answer.code == 1
    assert "BROKEN  every message has its bytes, and they have its digest (2)\n        message 2: digest" in answer.text
    (broken,) = [row for row in full.run("verify", "--json").json if not row["kept"]]
    assert broken == {
        "promise": "every message has its bytes, and they have its digest",
        "kept": False,
        "checked": 2,
        "broken": 1,
        "ids": ["message 2: digest"],
    }


def test_without_a_database_there_is_nothing_to_back_up_or_verify(desk: Desk) -> None:
    for words in (["backup", "one.backup"], ["verify"]):
        answer = desk.run(*words)
        assert (answer.code, "there is no database" in answer.err) == (69, True)
    assert not (desk.folder / "one.backup").exists()


def test_an_older_schema_can_be_backed_up_before_the_upgrade(full: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailbox_service.adapters.database.schema.REVISION", "9999")
    assert full.run("verify").code == 69
    full.done("backup", "one.backup")
    assert Path(full.folder / "one.backup").exists()
