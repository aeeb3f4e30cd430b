"""The real command in a process of its own, between real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mailbox_service.adapters.database.reading_sql import MessageFilter
from mailbox_service.adapters.database.storage import Database

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
database: {{url: "{url}"}}
secret_file: token.secret
outbox: {{max_per_hour: 100000}}
mailboxes:
  - name: security
    address: security@example.org
    team_address: team@example.org
    project_name: Example
    answer_backlog: {answer_backlog}
    imap:
      host: 127.0.0.1
      port: {imap}
      security: none
      username: {user}
      password_file: password
      poll_interval: 10s
      marks: {{redirected: {{folder: Redirected}}, spam: {{folder: null}}}}
    smtp: {{host: 127.0.0.1, port: {smtp}, security: none}}
    limits: {{sender_per_day: 100000, domain_per_day: 100000, per_hour: 100000}}
    maintainers: [{{name: Ada, address: ada@example.org}}]
logging: {{format: json}}
"""
SECONDS = 30.0


class Desk:
    """A configuration in a folder, and what the service keeps."""

    def __init__(
        self, folder: Path, url: str, *, imap: int, user: str, smtp: int, answer_backlog: bool = False
    ) -> None:
        self.folder, self.url = folder, url
        (folder / "password").write_text("pw\n")
        (folder / "password").chmod(0o600)
        self.config = folder / "config.yaml"
        backlog = "true" if answer_backlog else "false"
        self.config.write_text(CONFIG.format(url=url, imap=imap, user=user, smtp=smtp, answer_backlog=backlog))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mailbox_service", "--config", str(self.config), *arguments]

    def once(self, seconds: float) -> int:
        """One pass; its exit code."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.run(
                self.command("run", "--once"), cwd=ROOT, stdout=log, stderr=log, timeout=seconds, check=False
            ).returncode

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon; at the end it is asked to stop and must have done so within ten seconds."""
        with (self.folder / "log").open("ab") as log:
            started = self._runs()
            process = subprocess.Popen(self.command("run"), cwd=ROOT, stdout=log, stderr=log)
        try:
            # Before that, nobody catches a signal.
            self.until(lambda: self._runs() > started)
            yield process
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
            assert code == os.EX_OK, f"exit code {code}: {self.log()}"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _runs(self) -> int:
        return (self.folder / "log").read_text(errors="replace").count('"event": "running"')

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-5000:]

    def ask(self, question: Callable[[Any], Any]) -> Any:
        database = Database.open(self.url)
        try:
            return database.run(question)
        finally:
            database.close()

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(lambda tx: tx.list_messages(MessageFilter()))
        return found

    def mails(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(lambda tx: tx.list_outbound())
        return found

    def until(self, done: Callable[[], bool], seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def until_worked(self, count: int) -> None:
        """So many messages are on file, and each has a disposition."""
        self.until(lambda: [m["state"] for m in self.messages()].count("done") == count)
