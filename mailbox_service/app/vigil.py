"""What the vigil is told by those who know: the connections, and the disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from mailbox_service.adapters.imap import ImapSource
from mailbox_service.adapters.lmtp import Listener
from mailbox_service.adapters.smtp import SmtpTransport
from mailbox_service.core.gpg.keys import KeyFacts
from mailbox_service.services.ports.openpgp import OpenPgp
from mailbox_service.services.vigil import FolderSense, Senses

# Between two looks; each asks the database a few dozen small questions.
VIGIL_SECONDS = 60.0
# Every file needs one, SQLite's journal too.
FEW_INODES = 1000


def senses_of(source: ImapSource | None, transport: SmtpTransport, listeners: Sequence[Listener] = ()) -> Senses:
    """How a mailbox's connections are doing; `source` is None where mail is only pushed to us."""
    closed = tuple(
        f"{listener.kind} ({listener.status.last_error or 'not yet'})"
        for listener in listeners
        if not listener.status.listening
    )
    if source is None:
        return Senses(smtp_refused=transport.login_refused, closed_doors=closed)
    folders = tuple(
        FolderSense(watcher.status.folder, timedelta(seconds=watcher.silent_seconds), watcher.status.last_error)
        for watcher in source.watchers
        if watcher.status.found or not watcher.junk  # a server without a Junk folder is not deaf
    )
    return Senses(folders, source.login_refused, transport.login_refused, closed)


def senses_of_all(
    sources: Mapping[str, ImapSource], transports: Mapping[str, SmtpTransport], listeners: Sequence[Listener]
) -> dict[str, Senses]:
    """A door that is closed concerns every mailbox: any of them may be pushed to."""
    return {name: senses_of(sources.get(name), transport, listeners) for name, transport in transports.items()}


async def own_keys(doors: Mapping[str, OpenPgp]) -> Mapping[str, Sequence[KeyFacts]]:
    """The own keys of each mailbox. Raises: TemporaryError."""
    return await asyncio.to_thread(lambda: {name: door.own_keys() for name, door in doors.items()})


def disk_trouble(folder: Path, least_free_bytes: int) -> str:
    """What is wrong with the disk that `folder` is on; "" for nothing."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return f"the disk of the database cannot be looked at: {error.strerror}"
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes < least_free_bytes:
        return f"the disk of the database has {free_bytes // 1_000_000} MB left"
    if found.f_files and found.f_favail < FEW_INODES:  # some file systems make inodes as they need them
        return f"the disk of the database has room for {found.f_favail} more files"
    return ""
