"""The composition root: a `Config` becomes running tasks."""

# ruff: noqa: E402 - before anything else imports structlog
from mailbox_service.lean import load_structlog_without_rich

load_structlog_without_rich()

from mailbox_service.app.clock import now
from mailbox_service.app.daemon import Daemon
from mailbox_service.app.service import Service
from mailbox_service.app.wiring import authenticator, imap_account, key_lookup

__all__ = ["Daemon", "Service", "authenticator", "imap_account", "key_lookup", "now"]
