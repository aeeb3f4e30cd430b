"""All the odd mail at hand through the real command: nothing crashes, nothing is lost, nobody is answered wrongly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from mailbox_service.core.automatic import recognise
from mailbox_service.core.message import parse
from tests.end_to_end.daemon import ROOT, Desk
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_smtp import scripted_smtp

OWN = ROOT / "tests" / "data" / "mail"
CORPORA = ROOT.parent / "shared" / "corpora"
WRAPPED_TEXTS = 300
LARGEST_BYTES = 2_000_000  # some corpora hold archives; they say nothing about mail


def own_mail() -> list[bytes]:
    return [path.read_bytes() for path in sorted(OWN.rglob("*")) if path.suffix in (".eml", ".msg", ".txt")]


def corpora_mail() -> list[bytes]:
    files = sorted(path for path in (CORPORA / "eml").rglob("*") if path.is_file())
    return [path.read_bytes() for path in files if path.stat().st_size < LARGEST_BYTES]


def wrapped_texts() -> Iterable[bytes]:
    lines = (CORPORA / "classify.jsonl").read_text().splitlines()
    for number, line in enumerate(lines[:: max(len(lines) // WRAPPED_TEXTS, 1)][:WRAPPED_TEXTS]):
        text = json.loads(line)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = f"person{number}@people.example"
        mail["To"] = "security@example.org"
        mail["Subject"] = " ".join(str(text["subject"]).split())[:200]
        mail["Message-ID"] = f"<{text['id']}@people.example>"
        mail.set_content(str(text["body"]).encode("utf-8", "replace").decode())
        yield mail.as_bytes()


def distinct(letters: Iterable[bytes]) -> list[bytes]:
    return [letter for letter in dict.fromkeys(letters) if letter]  # a message of no bytes at all has nothing to lose


async def run_through(letters: list[bytes], url: str, folder: Path, dovecot: Dovecot, seconds: float) -> Desk:
    """Everything lies in the mailbox, and one pass works it off."""
    user = dovecot.add_user()
    dovecot.fill(user, letters)
    async with scripted_smtp() as smtp:
        desk = Desk(folder, url, imap=dovecot.port, user=user, smtp=smtp.port, answer_backlog=True)
        code = await asyncio.to_thread(desk.once, seconds)
    kept = [one.data for name in ("INBOX", "Redirected") for one in dovecot.messages(user, name)]
    messages = desk.messages()
    on_file = {m["id"]: desk_raw(desk, m["id"]) for m in messages}
    assert code == 0, desk.log()
    assert set(kept) == set(on_file.values()) and len(kept) == len(letters)
    assert len(on_file) == len(set(kept))
    assert {m["state"] for m in messages} <= {"done", "held"}
    assert not [m for m in messages if "five attempts" in m["why"]]
    assert {m["state"] for m in desk.mails()} <= {"sent"}
    for mail in answers(desk):
        message = parse(on_file[mail["about_message_id"]])
        automatic = recognise(message)
        assert message.from_ is not None and mail["recipient"] == message.from_.addr_spec
        assert not automatic.suppress_answer and automatic.kind == "no", mail["about_message_id"]
    return desk


def desk_raw(desk: Desk, number: int) -> bytes:
    found: bytes = desk.ask(lambda tx: tx.raw(number))
    return found


def answers(desk: Desk) -> list[dict[str, Any]]:
    rows = [desk.ask(lambda tx: tx.outbound_row(m["id"])) for m in desk.mails()]  # noqa: B023
    return [row for row in rows if row["role"] == "reporter" and row["about_message_id"] is not None]


@pytest.mark.timeout(240)
async def test_odd_mail_of_our_own(database_url: str, tmp_path: Path, dovecot: Dovecot) -> None:
    desk = await run_through(own_mail(), database_url, tmp_path, dovecot, 60)
    assert len(desk.messages()) > 20


@pytest.mark.timeout(400)
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the repository")
async def test_the_corpora(sqlite_url: str, tmp_path: Path, dovecot: Dovecot) -> None:
    letters = distinct([*corpora_mail(), *wrapped_texts()])
    desk = await run_through(letters, sqlite_url, tmp_path, dovecot, 200)
    assert len(answers(desk)) > 50  # else the test says nothing
