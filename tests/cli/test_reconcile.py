"""`reconcile` at the keyboard, with a real server."""

from __future__ import annotations

import pytest

from mailbox_service.cli.reconcile import FOLDER_KEYS, KEYS
from tests.cli.desk import QUESTION, REPORT, Desk
from tests.peers.dovecot import Dovecot

AN_HOUR_OLD = '"23-Nov-2026 11:00:00 +0000"'


@pytest.fixture
def user(desk: Desk, dovecot: Dovecot) -> str:
    """A mailbox with two mails on the server; nothing is on file."""
    name = dovecot.add_user()
    (desk.folder / "password").write_text("pw\n")
    desk.configure(imap_port=dovecot.port)
    desk.config.write_text(desk.config.read_text().replace("username: security", f"username: {name}"))
    dovecot.append(name, REPORT, QUESTION, date=AN_HOUR_OLD)
    return name


def test_what_is_not_on_file_is_listed_taken_in_and_then_all_is_well(desk: Desk, user: str) -> None:
    found = desk.run("reconcile")
    assert found.code == 1
    assert "security: INBOX: 2 DIFFER (2 on the server, 0 of them on file)" in found.text
    assert "not on file" in found.text and "LDAP" not in found.text and "eve" not in found.text
    taken = desk.done("reconcile", "--fetch")
    assert "INBOX: all is on file (2 on the server, 2 of them on file, 2 taken in)" in taken.text
    assert [row["disposition"] for row in desk.rows("message", "list")] == ["case", "redirect"]
    assert desk.rows("outbox", "list") == []  # nobody is answered
    assert "INBOX: all is on file" in desk.done("reconcile", "--mailbox", "security").text


def test_its_json_has_the_documented_keys(desk: Desk, user: str) -> None:
    answer = desk.run("reconcile", "--json")
    assert answer.code == 1
    assert [list(row) for row in answer.json["differences"]] == [list(KEYS)] * 2
    assert [row["uid"] for row in answer.json["differences"]] == [1, 2]
    (folder,) = answer.json["folders"]
    assert list(folder) == ["mailbox", "folder", "watched", "differences", *FOLDER_KEYS]


def test_a_server_that_is_away_and_a_mailbox_that_is_not_there_are_told_apart(desk: Desk) -> None:
    away = desk.run("reconcile")
    assert away.code == 75 and "check" in away.err
    assert desk.run("reconcile", "--mailbox", "nobody").code == 66
