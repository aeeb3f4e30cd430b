"""The main job with a real Dovecot and a real Postfix."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path

import pytest

from tests.end_to_end.daemon import Desk
from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix

SECONDS_TO_THE_ANSWER = 15.0  # about one on an idle machine
_numbers = itertools.count(1)


def mail(subject: str, body: str, sender: str = "reporter@example.org") -> tuple[bytes, bytes]:
    """A mail, and the Message-ID by which its answer is found."""
    message_id = f"<{next(_numbers)}.{time.monotonic_ns()}@reporter.example>"
    head = f"From: {sender}\r\nTo: security@example.org\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n"
    return f"{head}\r\n{body}\r\n".encode(), message_id.encode()


def report(sender: str = "reporter@example.org") -> tuple[bytes, bytes]:
    body = "I found an SQL injection in the login form, with a proof of concept.\r\nSteps to reproduce: ..."
    return mail("SQL injection vulnerability in login", body, sender)


def question() -> tuple[bytes, bytes]:
    return mail("How do I configure LDAP?", "Hello, how do I configure LDAP with docker compose? Thanks")


def spam() -> tuple[bytes, bytes]:
    body = "Buy viagra now, cheap pills, casino bonus, click here to unsubscribe, 100% free money!!!"
    return mail("You WON the lottery!!! Cheap pills, casino bonus", body, "winner@lottery.example")


def desk_of(folder: Path, url: str, dovecot: Dovecot, postfix: Postfix, user: str) -> Desk:
    return Desk(folder, url, imap=dovecot.port, user=user, smtp=postfix.port)


def test_the_main_job(database_url: str, tmp_path: Path, dovecot: Dovecot, postfix: Postfix) -> None:
    user = dovecot.add_user()
    old, old_id = report()
    dovecot.append(user, old)
    desk = desk_of(tmp_path, database_url, dovecot, postfix, user)
    with desk.running():
        desk.until_worked(1)
        (new, new_id), (ask, ask_id), (junk, junk_id) = report(), question(), spam()
        started = time.monotonic()
        dovecot.deliver(user, new)
        answer = postfix.wait_for("reporter", new_id, SECONDS_TO_THE_ANSWER)
        assert time.monotonic() - started < SECONDS_TO_THE_ANSWER
        assert b"-0002" in answer  # the old mail has the first number
        assert b"Auto-Submitted: auto-replied" in answer
        assert b"SQL injection in the login form" in postfix.wait_for("ada", new_id)
        dovecot.deliver(user, junk)
        dovecot.deliver(user, ask)
        assert b"team@example.org" in postfix.wait_for("reporter", ask_id)
        # Another client has read it already.
        seen, seen_id = report()
        with dovecot.imap(user) as imap:
            imap.append("INBOX", "\\Seen", None, seen)
        postfix.wait_for("reporter", seen_id)
        desk.until_worked(5)
        desk.until(lambda: len(dovecot.messages(user, "Redirected")) == 1)
        desk.until(lambda: all("\\Seen" in kept.flags for kept in dovecot.messages(user)))
    by_disposition = sorted(str(m["disposition"]) for m in desk.messages())
    assert by_disposition == ["case", "case", "case", "redirect", "spam"]
    everything = b"".join(data for who in ("reporter", "ada") for data in postfix.maildir(who))
    assert old_id not in everything and junk_id not in everything
    assert not [m for m in desk.mails() if "lottery" in m["recipient"]]
    held = [kept.data for folder in ("INBOX", "Redirected") for kept in dovecot.messages(user, folder)]
    on_file = [desk.ask(lambda tx: tx.raw(m["id"])) for m in desk.messages()]  # noqa: B023
    assert sorted(held) == sorted(on_file) and old in on_file


def test_a_killed_imap_server_comes_back_and_nothing_is_lost(
    sqlite_url: str, tmp_path: Path, own_dovecot: Dovecot, postfix: Postfix
) -> None:
    user = own_dovecot.add_user()
    desk = desk_of(tmp_path, sqlite_url, own_dovecot, postfix, user)
    (first, first_id), (second, second_id) = report(), report()
    with desk.running():
        desk.until(lambda: bool(desk.ask(lambda tx: tx.backlog_settled("security") and tx.known_mailboxes())))
        own_dovecot.deliver(user, first)
        postfix.wait_for("reporter", first_id)
        own_dovecot.kill()
        own_dovecot.start()
        own_dovecot.deliver(user, second)
        postfix.wait_for("reporter", second_id, 40)
    assert len(desk.messages()) == 2


def test_a_new_uidvalidity_doubles_nothing(
    sqlite_url: str, tmp_path: Path, own_dovecot: Dovecot, postfix: Postfix
) -> None:
    user = own_dovecot.add_user()
    desk = desk_of(tmp_path, sqlite_url, own_dovecot, postfix, user)
    (first, first_id), (second, second_id) = report(), report()
    with desk.running():
        desk.until(lambda: bool(desk.ask(lambda tx: tx.backlog_settled("security") and tx.known_mailboxes())))
        own_dovecot.deliver(user, first)
        postfix.wait_for("reporter", first_id)
        own_dovecot.stop()
        maildir = own_dovecot.folder / "mail" / user / "Maildir"
        for path in maildir.glob("dovecot*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        own_dovecot.start()
        own_dovecot.deliver(user, second)
        postfix.wait_for("reporter", second_id, 40)
        desk.until(lambda: len(desk.ask(lambda tx: tx.sources_of(1))) == 2)
    assert [m["disposition"] for m in desk.messages()] == ["case", "case"]
    postfix.wait_for("reporter", first_id)  # one answer, as before


@pytest.mark.parametrize("busy", [False, True])
def test_sigterm_ends_the_daemon_within_ten_seconds_and_the_next_run_goes_on(
    busy: bool, sqlite_url: str, tmp_path: Path, dovecot: Dovecot, postfix: Postfix
) -> None:
    user = dovecot.add_user()
    desk = desk_of(tmp_path, sqlite_url, dovecot, postfix, user)
    letters = [report()[0] for _ in range(120 if busy else 1)]
    with desk.running():
        desk.until(lambda: bool(desk.ask(lambda tx: tx.backlog_settled("security") and tx.known_mailboxes())))
        dovecot.append(user, *letters)
        desk.until(lambda: len(desk.messages()) > 0)
    with desk.running():
        desk.until_worked(len(letters))
        desk.until(lambda: {m["state"] for m in desk.mails()} == {"sent"}, 60)
    on_file = [desk.ask(lambda tx: tx.raw(m["id"])) for m in desk.messages()]  # noqa: B023
    assert sorted(on_file) == sorted(letters)
