"""A host with a configuration of its own, on which commands are run in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailbox_service.cli import main

CONFIG = """
database: {{url: "sqlite:///mailbox.db"}}
templates: {templates}
mailboxes:
  - name: security
    address: security@demo.example
    team_address: team@demo.example
    project_name: Demo
    shadow: {shadow}
    imap: {{host: 127.0.0.1, port: {imap_port}, security: none, username: security, password_file: password}}
    smtp: {{host: 127.0.0.1, port: {smtp_port}, security: none, username: security, password_file: password}}
    authserv_id: {authserv_id}
    maintainers: [{{name: Ada, address: maintainer@demo.example}}]
"""
REPORT = (
    b"From: Eve <eve@research.example>\r\nTo: security@demo.example\r\nSubject: SQL injection in the login form\r\n"
    b"Message-ID: <1@research.example>\r\n\r\nI found an SQL injection in the login form, with a proof of concept.\r\n"
)
QUESTION = (
    b"From: kim@company.example\r\nTo: security@demo.example\r\nSubject: How do I configure LDAP?\r\n"
    b"Message-ID: <2@company.example>\r\n\r\nHello, how do I configure LDAP with docker compose? Thanks\r\n"
)
# A report that tries to write to the reader's terminal: title, colours, bidi override, a line of ours, a C1 control.
HOSTILE = (
    (
        "From: =?utf-8?B?{name}?= <eve@research.example>\r\nTo: security@demo.example\r\n"
        "Subject: SQL injection \x1b]0;owned\x07\x1b[31m in \u202elogin\u2066\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        'Content-Disposition: inline; filename="\x1b[2Ja.txt"\r\n\r\n'
        "SQL injection \x1b[2J\x9b31m \u202eevil\u200b\r\n\rstate  done\r\n"
    )
    .format(name="G1szMW1FdmU=")
    .encode()
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A folder with a configuration, and somebody at the keyboard."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder, self._capture = folder, capture
        (folder / "password").write_text("demo\n")
        (folder / "password").chmod(0o600)
        self.configure()

    @property
    def config(self) -> Path:
        return self.folder / "mailbox.yaml"

    def configure(
        self,
        *,
        shadow: bool = False,
        templates: str = "null",
        authserv_id: str = "mx.demo.example",
        imap_port: int = 1,
        smtp_port: int = 1,
    ) -> None:
        """Write the configuration; nothing listens on port 1."""
        values = {"shadow": str(shadow).lower(), "templates": templates, "authserv_id": authserv_id}
        self.config.write_text(CONFIG.format(imap_port=imap_port, smtp_port=smtp_port, **values))

    def mail(self, name: str, data: bytes) -> str:
        """A file with one mail; returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def run(self, *words: str) -> Answer:
        self._capture.readouterr()
        code = main(["--config", str(self.config), *words])
        out, err = self._capture.readouterr()
        return Answer(code, out, err.decode())

    def done(self, *words: str) -> Answer:
        """As `run`, for what must succeed."""
        answer = self.run(*words)
        assert answer.code == 0, (words, answer)
        return answer

    def rows(self, *words: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.done(*words, "--json").json
        return rows

    def keys(self, words: Sequence[str]) -> list[list[str]]:
        return [list(row) for row in self.rows(*words)]
