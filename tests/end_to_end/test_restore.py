"""The worst day: the host is lost, and the service comes up from its backup beside a mail server that lived on."""

from __future__ import annotations

import os
import re
from email import message_from_bytes
from pathlib import Path
from typing import Any

from mailbox_service.adapters.database.storage import Database
from mailbox_service.app import Service, now
from mailbox_service.app.backup import back_up, restore
from mailbox_service.config import Config, load
from tests.backup.setting import broken_promises
from tests.end_to_end.daemon import Desk
from tests.end_to_end.test_daemon import question, report
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_smtp import ScriptedSmtp, scripted_smtp

EVERYBODY = "ada@example.org"


class Host:
    """A service that is started for one pass at a time, and what left because of it."""

    def __init__(self, desk: Desk, smtp: ScriptedSmtp) -> None:
        self.desk, self._smtp, self._seen = desk, smtp, 0

    @property
    def config(self) -> Config:
        return load(self.desk.config, os.environ)

    async def passed(self) -> list[str]:
        """One pass; the recipients of what left, sorted."""
        service = Service.open(self.config)
        await service.run_once()
        await service.close()
        new = self._smtp.accepted[self._seen :]
        self._seen = len(self._smtp.accepted)
        return sorted(str(message_from_bytes(data)["To"]) for data in new)

    def back_up(self, path: Path) -> None:
        database = Database.open(self.desk.url)
        back_up(self.config, database, path)
        database.close()

    def lose_everything(self, new_url: str) -> None:
        """Another host: a database that is empty, and no file of secrets."""
        (self.desk.folder / "token.secret").unlink()
        self.desk.config.write_text(self.desk.config.read_text().replace(f'"{self.desk.url}"', f'"{new_url}"'))
        self.desk.url = new_url

    def broken(self) -> dict[str, list[str]]:
        database = Database.open(self.desk.url)
        try:
            return broken_promises(database, now())
        finally:
            database.close()


async def test_after_a_restore_nobody_gets_a_second_mail_and_everybody_new_a_first(
    database_url: str, request: Any, tmp_path: Path, dovecot: Dovecot
) -> None:
    user = dovecot.add_user()
    sqlite = database_url.startswith("sqlite")
    new_url = f"sqlite:///{tmp_path}/new.db" if sqlite else request.getfixturevalue("postgres").database()
    async with scripted_smtp() as smtp:
        host = Host(Desk(tmp_path, database_url, imap=dovecot.port, user=user, smtp=smtp.port), smtp)
        assert await host.passed() == []  # the first contact
        before, _ = report("before@research.example")
        dovecot.deliver(user, before)
        assert await host.passed() == [EVERYBODY, "before@research.example"]
        backup = tmp_path / "one.backup"
        host.back_up(backup)

        after, _ = report("after@research.example")
        asked, _ = question()
        dovecot.deliver(user, after)
        dovecot.deliver(user, asked)
        assert await host.passed() == [EVERYBODY, "after@research.example", "reporter@example.org"]
        lost = {m["message_id"] for m in host.desk.mails()}
        # The second one was moved away by us; somebody puts it back while the service is down.
        with dovecot.imap(user) as client:
            client.select("Redirected")
            client.copy("1", "INBOX")

        host.lose_everything(new_url)
        restored = restore(host.config, backup)
        assert (restored.new_secrets, restored.undecided_mails, restored.undecided_lines) == (1, 0, 0)
        assert host.broken() == {}
        assert await host.passed() == []
        found = {m["sender"]: m["disposition"] for m in host.desk.messages()}
        assert found == {
            "before@research.example": "case",
            "after@research.example": "case",
            "reporter@example.org": "redirect",
        }
        new, _ = report("new@research.example")
        dovecot.deliver(user, new)
        assert await host.passed() == []

        host.desk.ask(lambda tx: tx.release_outbox())
        assert await host.passed() == [EVERYBODY, EVERYBODY, "new@research.example"]  # a notice and the summary
        assert await host.passed() == []
        known = [m["message_id"] for m in host.desk.mails()]
        assert len(known) == len(set(known)) == 5
        assert len(lost & set(known)) == 2  # those of the backup; new ones have names of their own
        token = next(re.findall(rb"Message-ID: (<\S+>)", data)[0] for data in smtp.accepted if b"before@" in data)
        answer = f"From: before@research.example\r\nTo: security@example.org\r\nIn-Reply-To: {token.decode()}\r\n"
        dovecot.deliver(user, f"{answer}Subject: Re: SQL injection\r\n\r\nOne more thing.\r\n".encode())
        assert await host.passed() == [EVERYBODY]
        assert host.desk.messages()[-1]["disposition"] == "attached"
        assert host.broken() == {}
