"""Noticing that we no longer hear."""

from __future__ import annotations

from datetime import datetime, timedelta

from mailbox_service.adapters.imap import FolderWatcher

# Long enough for a server's restart, short enough that a reporter still gets an answer the same day.
DEAF_AFTER = timedelta(minutes=15)
VIGIL_SECONDS = 60.0


def deaf(watcher: FolderWatcher, started: datetime, moment: datetime) -> bool:
    """Whether a folder that should be there has not been looked at for DEAF_AFTER, and is not being looked at now."""
    if watcher.status.connected or (watcher.junk and not watcher.status.found):
        return False
    return moment - (watcher.status.last_poll_at or started) > DEAF_AFTER
