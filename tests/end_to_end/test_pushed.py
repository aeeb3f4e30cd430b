"""Mail that a real Postfix pushes, through both doors of the real daemon, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.daemon import ROOT, Desk
from tests.lmtp.setting import Client
from tests.peers.postfix import Postfix
from tests.peers.postgres import PostgresServer

# As docs/operations.md shows it, but for the addresses; and a Postfix that tries again at once. There is no flush
# service here, and smtp would keep a deferred mail locked while it looks for it: then the next try is minutes away.
MAIN = """
recipient_delimiter = +
transport_maps = inline:{{
    {{ security@example.org = mailbox-lmtp:unix:{socket} }}
    {{ vuln@example.org = mailbox-lmtp:unix:{socket} }}
    {{ smtp.example = mailbox-smtp:[127.0.0.1]:{port} }} }}
relay_domains = smtp.example
mailbox-lmtp_destination_recipient_limit = 1
mailbox-smtp_destination_recipient_limit = 1
message_size_limit = 50000000
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
fast_flush_domains =
"""
MASTER = """
mailbox-lmtp unix - - n - - lmtp
mailbox-smtp unix - - n - - smtp
"""
USERS = "vuln@example.org vuln/\n"
CONFIG = """
database: {{url: "{url}"}}
secret_file: token.secret
intake:
  lmtp: {{socket: "{socket}"}}
  smtp: {{listen: "127.0.0.1:{port}"}}
mailboxes:
  - name: security
    address: security@example.org
    aliases: [vuln@example.org]
    team_address: team@example.org
    project_name: Example
    smtp: {{host: 127.0.0.1, port: {outgoing}, security: none}}
    maintainers: [{{name: Ada, address: ada@example.org}}]
  - name: second
    address: security@smtp.example
    team_address: team@example.org
    project_name: Second
    smtp: {{host: 127.0.0.1, port: {outgoing}, security: none}}
    maintainers: [{{name: Grace, address: grace@example.org}}]
logging: {{format: json}}
"""
REPORT = "I found an SQL injection in the login form, with a proof of concept.\r\nSteps to reproduce: ..."
QUESTION = "Hello, how do I configure LDAP with docker compose? Thanks"
SECONDS = 90.0


def mail(name: str, subject: str, body: str, to: str) -> bytes:
    # With all that Postfix would add: a Date and a Message-ID.
    head = f"From: reporter@example.org\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{name}@reporter.example>\r\n"
    return f"{head}Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n\r\n{body}\r\n".encode()


class PushedDesk(Desk):
    """A service without any IMAP server."""

    def __init__(self, folder: Path, url: str, place: Path, port: int, outgoing: int) -> None:
        self.folder, self.url = folder, url
        self.socket, self.port = place, port
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(url=url, socket=place, port=port, outgoing=outgoing))

    def raws(self) -> list[bytes]:
        ids = [row["id"] for row in self.messages()]
        found: list[bytes] = self.ask(lambda tx: [tx.raw(id_) for id_ in ids])
        return found

    def named(self, name: str) -> list[dict[str, Any]]:
        """The messages on file whose Message-ID begins so."""
        ids = [row["id"] for row in self.messages()]
        rows: list[dict[str, Any]] = self.ask(lambda tx: [tx.message_row(id_) for id_ in ids])
        return [row for row in rows if (row["header_message_id"] or "").startswith(f"<{name}@")]


@dataclass
class Scene:
    postfix: Postfix
    desk: PushedDesk

    def hand_in(self, data: bytes, *recipients: str, sender: str = "reporter@example.org") -> None:
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=60) as client:
            client.sendmail(sender, recipients, data)

    def worked(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        try:
            self.desk.until(lambda: [m["state"] for m in self.desk.named(name)] == ["done"] * count, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.postfix.log()}") from None
        return self.desk.named(name)

    def mails_to(self, recipient: str) -> int:
        return [m["recipient"] for m in self.desk.mails()].count(recipient)

    def raw(self, name: str) -> bytes:
        (found,) = [data for data in self.desk.raws() if f"<{name}@".encode() in data]
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def scene(url: str, folder: Path) -> Iterator[Scene]:
    # The folder of the socket has Postfix's group, and the setgid bit gives it to the socket, whose mode is 0660.
    doors = Path(tempfile.mkdtemp(prefix="doors-"))
    owner = pwd.getpwnam("postfix")
    os.chown(doors, 0, owner.pw_gid)
    doors.chmod(0o2750)
    port = free_port()
    postfix = Postfix(MAIN.format(socket=doors / "lmtp", port=port), MASTER)
    users = postfix.root / "etc" / "users"
    users.write_text(users.read_text() + USERS)
    try:
        postfix.start()
        yield Scene(postfix, PushedDesk(folder, url, doors / "lmtp", port, postfix.port))
    finally:
        postfix.stop()
        shutil.rmtree(doors)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("pushed")
    with scene(f"sqlite:///{folder}/mailbox.db", folder) as found, found.desk.running():
        yield found


DOORS = {"lmtp": "security+web@example.org", "smtp": "security+web@smtp.example"}


@pytest.mark.parametrize("door", DOORS)
def test_a_report_becomes_a_case_and_is_acknowledged(here: Scene, door: str) -> None:
    data = mail(f"report-{door}", "SQL injection vulnerability in login", REPORT + "\r\n.\r\n..x\r\n\r\n", DOORS[door])
    here.hand_in(data, DOORS[door])
    (row,) = here.worked(f"report-{door}")
    assert (row["disposition"], row["source"], row["quiet"]) == ("case", "lmtp", False)
    assert (row["envelope_from"], row["envelope_to"]) == ("reporter@example.org", DOORS[door])
    raw = here.raw(f"report-{door}")
    # Byte for byte what Postfix has: its own headers on top, then the mail.
    assert raw.endswith(data)
    assert raw.removesuffix(data).startswith(b"Received: from ")
    answer = here.postfix.wait_for("reporter", f"In-Reply-To: <report-{door}@".encode(), SECONDS)
    assert b"Auto-Submitted: auto-replied" in answer


@pytest.mark.parametrize("door", DOORS)
def test_a_question_is_redirected(here: Scene, door: str) -> None:
    here.hand_in(mail(f"question-{door}", "How do I configure LDAP?", QUESTION, DOORS[door]), DOORS[door])
    (row,) = here.worked(f"question-{door}")
    assert row["disposition"] == "redirect"
    answer = here.postfix.wait_for("reporter", f"In-Reply-To: <question-{door}@".encode(), SECONDS)
    assert b"team@example.org" in answer


@pytest.mark.parametrize("door", DOORS)
def test_mail_with_the_null_path_is_answered_by_nobody(here: Scene, door: str) -> None:
    before = here.mails_to("reporter@example.org")
    here.hand_in(mail(f"null-{door}", "SQL injection vulnerability", REPORT, DOORS[door]), DOORS[door], sender="")
    (row,) = here.worked(f"null-{door}")
    assert row["envelope_from"] == ""
    assert here.mails_to("reporter@example.org") == before


def test_a_mail_to_several_addresses_is_one_message_in_each_mailbox(here: Scene) -> None:
    to = ("security@example.org", "vuln@example.org", "vuln+x@example.org", "security@smtp.example")
    here.hand_in(mail("several", "XSS vulnerability in the search form", REPORT, ", ".join(to)), *to)
    rows = here.worked("several", 2)
    assert sorted(row["mailbox"] for row in rows) == ["second", "security"]
    here.postfix.wait_for("ada", b"XSS vulnerability", SECONDS)
    assert b"status=bounced" not in here.postfix.log().encode()


def test_thirty_megabytes_arrive_whole(here: Scene) -> None:
    door = "lmtp"
    body = REPORT + "\r\n" + (("." + "x" * 75 + "\r\n") * 400_000)
    data = mail(f"large-{door}", "SQL injection vulnerability, with a large log", body, DOORS[door])
    assert len(data) > 30_000_000
    here.hand_in(data, DOORS[door])
    here.worked(f"large-{door}")
    assert here.raw(f"large-{door}").endswith(data)


def test_an_unknown_recipient_is_bounced_by_postfix_with_our_word_for_it(here: Scene) -> None:
    here.hand_in(mail("nobody", "x", "x", "nobody@smtp.example"), "nobody@smtp.example")
    notice = here.postfix.wait_for("reporter", b"nobody@smtp.example", SECONDS)
    assert b"550 5.1.1 No such recipient here" in notice


# --- when something breaks ---------------------------------------------------------------------------------


def test_postfix_keeps_what_we_cannot_store_and_nothing_is_lost_or_doubled(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    server = PostgresServer()
    server.start()
    try:
        with scene(server.database(), tmp_path) as here, here.desk.running():
            here.hand_in(mail("before", "SQL injection vulnerability", REPORT, "s"), "security@example.org")
            here.worked("before")
            server.kill()
            for number, (door, to) in enumerate(DOORS.items()):
                here.hand_in(mail(f"during-{door}", f"SQL injection number {number}", REPORT, to), to)
            tried = time.monotonic() + SECONDS
            while here.postfix.log().count("451 4.3.0 Not stored; try again later") < 4:  # each twice, say
                assert time.monotonic() < tried, here.postfix.log() + here.desk.log()
                time.sleep(0.1)
            server.start()
            for door in DOORS:
                here.worked(f"during-{door}")
            assert len(here.desk.messages()) == 3
            assert len(here.desk.ask(lambda tx: tx.list_cases())) == 3
            assert "status=bounced" not in here.postfix.log()
    finally:
        server.stop()


KILLER = """
import os, signal, sys
from mailbox_service.cli import main
from mailbox_service.services.intake import Intake
take = Intake.take
async def fatal(self, batch):
    await take(self, batch)
    os.kill(os.getpid(), signal.SIGKILL)
Intake.take = fatal
main(sys.argv[1:])
"""


async def test_a_message_committed_by_a_daemon_that_died_before_its_250_is_one_message(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/mailbox.db"
    shutil.copy(migrated_sqlite, tmp_path / "mailbox.db")
    desk = PushedDesk(tmp_path, url, tmp_path / "s", free_port(), 1)
    data = mail("killed", "SQL injection vulnerability in login", REPORT, "security@example.org")
    command = [sys.executable, "-c", KILLER, "--config", str(desk.config), "run"]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)  # noqa: ASYNC220 - it only starts
    await asyncio.to_thread(desk.until, lambda: '"door open"' in desk.log() and desk.socket.exists(), SECONDS)
    assert await push(desk, data) == ""
    assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL
    assert len(desk.messages()) == 1
    # The dead daemon's socket is in the way of nobody.
    assert desk.socket.exists()
    runs = desk.running()
    await asyncio.to_thread(runs.__enter__)
    await asyncio.to_thread(desk.until, lambda: desk.log().count('"door open"') >= 4, SECONDS)
    assert await push(desk, data) == "250 2.0.0 Stored"
    await asyncio.to_thread(desk.until_worked, 1)
    assert len(desk.messages()) == len(desk.ask(lambda tx: tx.list_cases())) == 1
    assert [m["recipient"] for m in desk.mails()].count("reporter@example.org") == 1
    await asyncio.to_thread(runs.__exit__, None, None, None)


async def push(desk: PushedDesk, data: bytes) -> str:
    """The reply to the message."""
    client = Client(*await asyncio.open_unix_connection(desk.socket))
    await client.reply()
    await client.ask(b"LHLO mx")
    try:
        return await client.send(data)
    except ConnectionError:
        return ""
    finally:
        client.writer.close()
