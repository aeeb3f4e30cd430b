"""IMAP: the source that watches mailboxes on a server (RFC 3501) and tells it what became of their messages."""

from mailbox_service.adapters.imap.marker import Marker, MarkStatus
from mailbox_service.adapters.imap.poller import FolderWatcher, WatchStatus
from mailbox_service.adapters.imap.session import InsecureConnection
from mailbox_service.adapters.imap.settings import (
    DEFAULT_MARKS,
    Deadlines,
    FolderPlan,
    ImapAccount,
    MarkPlan,
)
from mailbox_service.adapters.imap.source import (
    DEFAULT_FOLDERS,
    FolderReport,
    ImapReport,
    ImapSource,
    TargetReport,
)

__all__ = [
    "DEFAULT_FOLDERS",
    "DEFAULT_MARKS",
    "Deadlines",
    "FolderPlan",
    "FolderReport",
    "FolderWatcher",
    "ImapAccount",
    "ImapReport",
    "ImapSource",
    "InsecureConnection",
    "MarkPlan",
    "MarkStatus",
    "Marker",
    "TargetReport",
    "WatchStatus",
]
