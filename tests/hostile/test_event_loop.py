"""The whole way of large hostile mail, between real servers: nothing on the event loop's own thread takes long."""

from __future__ import annotations

import asyncio
import os
import time
from asyncio import events
from pathlib import Path
from typing import Any

import pytest

from mailbox_service import app
from mailbox_service.config import load
from tests.attacks.house import mail
from tests.end_to_end.daemon import Desk
from tests.hostile.shapes import SHAPES
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_smtp import Script, scripted_smtp

# The promise. It is processor time of the loop's thread, so that a busy machine does not count.
LOOP_SECONDS = 0.1
LARGE = ("a large attachment", "empty parts", "words that nobody knows")


async def test_a_pass_over_large_hostile_mail_never_holds_the_loop(
    dovecot: Dovecot, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = dovecot.add_user()
    report = mail(to="security@example.org")
    large = [SHAPES[name](9_000_000).replace(b"demo.example", b"example.org") for name in LARGE]
    # One that travels along with its notice, of as many lines as possible.
    attached = b"From: b@b.example\r\nTo: security@example.org\r\nSubject: XSS\r\n\r\n" + b".\r\n" * 300_000
    dovecot.append(user, *large, attached, report)
    longest: list[float] = [0.0]
    run = events.Handle._run

    def timed(handle: Any) -> None:
        begun = time.thread_time()
        run(handle)
        longest[0] = max(longest[0], time.thread_time() - begun)

    async with scripted_smtp(Script(ehlo=("scripted.example", "SIZE 100000000"))) as smtp:
        desk = Desk(tmp_path, sqlite_url, imap=dovecot.port, user=user, smtp=smtp.port, answer_backlog=True)
        service = app.Service.open(load(desk.config, os.environ))
        monkeypatch.setattr(events.Handle, "_run", timed)
        async with asyncio.timeout(100):
            assert await service.run_once()
        monkeypatch.undo()
        await service.close()
        assert any(b"rita@research.example" in data and b"To: ada@" in data for data in smtp.accepted)
    assert len(desk.messages()) == len(large) + 2
    assert longest[0] < LOOP_SECONDS, longest
