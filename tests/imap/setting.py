"""What the IMAP tests share: accounts, short deadlines, and tasks that must end cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

from mailbox_service.adapters.imap import DEFAULT_MARKS, Deadlines, FolderPlan, ImapAccount, ImapSource, MarkPlan
from mailbox_service.adapters.imap.logins import Alarm
from mailbox_service.services.ports import Mark
from tests.imap.door import NOW, MemoryDoor
from tests.peers.dovecot import Dovecot
from tests.peers.scripted_imap import ScriptedImap

INBOX = (FolderPlan("INBOX"),)

# Long enough for a busy machine to answer in, short enough to wait for where a server falls silent.
QUICK = Deadlines(
    connect=5,
    login=5,
    silence=1,
    idle_done=0.5,
    logout=1,
    quick_look=0.0,
    marker_linger=0.2,
    marker_pause=0.0,
    retry_first=0.01,
    retry_limit=0.05,
    unread_first=0.02,
    unread_limit=0.1,
    folder_search=0.05,
)


def mail(subject: str, body: str = "Hello") -> bytes:
    return f"From: a@example.org\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


def account(
    server: Dovecot | ScriptedImap, username: str = "u", *, poll_interval: float = 30, idle: bool = True
) -> ImapAccount:
    return ImapAccount("127.0.0.1", server.port, "none", username, lambda: "pw", poll_interval=poll_interval, idle=idle)


def quiet_alarm(mailbox: str, what: str) -> None:
    """Nobody listens."""


def source(
    of: ImapAccount,
    door: MemoryDoor,
    *,
    folders: Sequence[FolderPlan] = INBOX,
    marks: Mapping[Mark, MarkPlan] = DEFAULT_MARKS,
    deadlines: Deadlines = QUICK,
    alarm: Alarm = quiet_alarm,
) -> ImapSource:
    return ImapSource(
        "security",
        of,
        door,
        clock=lambda: NOW,
        folders=folders,
        marks=marks,
        deadlines=deadlines,
        alarm=alarm,
        random=Random(1),
    )


@asynccontextmanager
async def running(*coroutines: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run endless `coroutines` meanwhile; afterwards they are cancelled and must have left no task behind."""
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
        assert not any(task.done() for task in tasks), "a task that runs for ever has ended"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    left = [task for task in asyncio.all_tasks() - before if "_accept" not in repr(task.get_coro())]
    assert not left, left
