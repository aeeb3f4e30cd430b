"""Noticing that we no longer hear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from mailbox_service.adapters.imap import FolderPlan, ImapAccount, ImapSource
from mailbox_service.app import DEAF_AFTER, deaf
from tests.imap.door import MemoryDoor

STARTED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATE = STARTED + DEAF_AFTER + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("junk", "found", "connected", "polled", "expected"),
    [
        (False, True, False, None, True),
        (False, False, False, None, True),
        (False, True, True, None, False),
        (False, True, False, LATE - timedelta(minutes=1), False),
        (False, True, False, STARTED, True),
        (True, False, False, None, False),
        (True, True, False, STARTED, True),
    ],
)
def test_a_folder_that_is_not_looked_at_is_noticed(
    junk: bool, found: bool, connected: bool, polled: datetime | None, expected: bool
) -> None:
    account = ImapAccount("127.0.0.1", 1, "none", "u", lambda: "p")
    folders = [FolderPlan(None if junk else "INBOX", junk)]
    source = ImapSource("security", account, MemoryDoor(), clock=lambda: STARTED, folders=folders, random=Random(1))
    (watcher,) = source.watchers
    watcher.status.found, watcher.status.connected, watcher.status.last_poll_at = found, connected, polled
    assert deaf(watcher, STARTED, LATE) is expected
    assert not deaf(watcher, STARTED, STARTED + timedelta(minutes=1))
