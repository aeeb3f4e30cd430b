"""The composition root: a `Config` becomes running tasks."""

from mailbox_service.app.clock import now
from mailbox_service.app.daemon import Daemon
from mailbox_service.app.service import Service
from mailbox_service.app.wiring import authenticator, imap_account, key_lookup

__all__ = ["Daemon", "Service", "authenticator", "imap_account", "key_lookup", "now"]
