"""SIGKILL before and after every step of a message's way; then a restart. Nothing is lost, nothing doubled.

The judges look from outside: at the IMAP server's mailbox and at what an SMTP server took, besides the database.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.ports import MessageId
from tests.peers.dovecot import Dovecot, free_port

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 20

MAILS = {
    "report": ("Path traversal in the upload handler", "I found a path traversal vulnerability. Steps to reproduce: …"),
    "other report": ("SQL injection", "There is an SQL injection in the search field: ' OR 1=1 --"),
    "question": ("How do I configure LDAP?", "Hello, how do I configure LDAP with docker compose? Thank you."),
}
STEPS = ("T1", "T3", "T4", "T5", "T6", "T7", "send", "mark")
POINTS = [f"{step}.{when}.1" for step in STEPS for when in ("before", "after")]
# Killed after the server's 250 and before T6: the one window in which SMTP cannot exclude a second copy.
MAY_REPEAT = {"send.after.1", "T6.before.1", "send.after.2"}


@dataclass
class Taken:
    """What an SMTP server answered 250 to."""

    mails: list[tuple[str, bytes]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.rcpt_tos[0], envelope.content))
        return "250 taken"


@dataclass
class Scene:
    dovecot: Dovecot
    user: str
    config: Path
    url: str
    taken: Taken

    def daemon(self, fatal: str = "") -> int:
        command = [sys.executable, "-m", "tests.faults.dying_daemon", str(self.config), *([fatal] if fatal else [])]
        return subprocess.run(command, cwd=ROOT, timeout=DEADLINE_SECONDS, check=False).returncode


@pytest.fixture
def scene(dovecot: Dovecot, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    taken = Taken()
    port = free_port()
    controller = Controller(taken, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        user = dovecot.add_user()
        for number, (subject, text) in enumerate(MAILS.values()):
            dovecot.deliver(user, mail(number, subject, text))
        (tmp_path / "password").write_text("pw\n")
        (tmp_path / "password").chmod(0o600)
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG.format(url=database_url, imap=dovecot.port, smtp=port, user=user))
        yield Scene(dovecot, user, config, database_url, taken)
    finally:
        controller.stop()


CONFIG = """\
database: {{url: "{url}"}}
mailboxes:
  - name: security
    address: security@example.org
    team_address: team@example.org
    project_name: Example
    answer_backlog: true
    imap:
      {{host: 127.0.0.1, port: {imap}, security: none, username: {user}, password_file: password, junk: null}}
    smtp: {{host: 127.0.0.1, port: {smtp}, security: none, connections: 1}}
    maintainers: [{{name: Ada, address: ada@example.org}}]
outbox: {{retry_first: 1s}}
logging: {{format: json, level: error}}
"""


def mail(number: int, subject: str, text: str) -> bytes:
    return (
        f"From: Reporter {number} <reporter{number}@research{number}.example>\r\nTo: security@example.org\r\n"
        f"Subject: {subject}\r\nMessage-ID: <{number}@research.example>\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


@pytest.mark.parametrize("fatal", POINTS)
def test_a_kill_at_any_step_loses_and_doubles_nothing(scene: Scene, fatal: str) -> None:
    assert scene.daemon(fatal) == -signal.SIGKILL, "the step was never reached"
    assert scene.daemon() == 0
    judge(scene, may_repeat=fatal in MAY_REPEAT)


@pytest.mark.parametrize("second", ["T2.before.1", "T2.after.1", "T3.before.1", "T3.after.1"])
def test_a_kill_during_recovery_loses_and_doubles_nothing(scene: Scene, second: str) -> None:
    assert scene.daemon("T1.after.1") == -signal.SIGKILL
    assert scene.daemon(second) == -signal.SIGKILL, "the step was never reached"
    assert scene.daemon() == 0
    judge(scene, may_repeat=False)


def judge(scene: Scene, *, may_repeat: bool) -> None:
    kept = {message.data for message in scene.dovecot.messages(scene.user)}
    assert len(kept) == len(MAILS)
    database = Database.open(scene.url)
    try:
        rows = database.run(lambda tx: tx.list_messages(MessageFilter()))
        stored = database.run(lambda tx: [tx.raw(MessageId(row["id"])) for row in rows])
        cases = database.run(lambda tx: tx.list_cases())
        outbound = database.run(lambda tx: tx.list_outbound())
    finally:
        database.close()
    assert sorted(stored) == sorted(kept), "on file byte for byte, once each"
    assert Counter(row["disposition"] for row in rows) == {"case": 2, "redirect": 1}
    assert [case["ref"][-4:] for case in cases] == ["0001", "0002"]
    assert {row["state"] for row in outbound} == {"sent"}
    assert all("\\Seen" in message.flags for message in scene.dovecot.messages(scene.user))
    judge_mails(scene.taken, [row["message_id"] for row in outbound], may_repeat=may_repeat)


def judge_mails(taken: Taken, expected: list[str], *, may_repeat: bool) -> None:
    copies: dict[str, list[bytes]] = {}
    for _, data in taken.mails:
        copies.setdefault(str(message_from_bytes(data)["Message-ID"]), []).append(data)
    # Two acknowledgements, two notices, one redirect.
    assert sorted(copies) == sorted(expected)
    assert len(expected) == 5
    assert all(len(set(same)) == 1 for same in copies.values()), "a further copy is the same mail, byte for byte"
    repeated = sum(len(same) - 1 for same in copies.values())
    assert repeated <= (1 if may_repeat else 0)
