"""The composition root: a `Config` becomes running tasks."""

from mailbox_service.app.clock import now
from mailbox_service.app.daemon import Daemon
from mailbox_service.app.service import Service
from mailbox_service.app.vigil import DEAF_AFTER, deaf
from mailbox_service.app.wiring import imap_account

__all__ = ["DEAF_AFTER", "Daemon", "Service", "deaf", "imap_account", "now"]
