"""What the doctor found: one line with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from mailbox_service.cli.exits import Exit

if TYPE_CHECKING:
    from mailbox_service.adapters.database.storage import Database
    from mailbox_service.config import Config


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it runs, but not as well as it could
    ERROR = "error"  # it does not do its job


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str  # what was looked at: "database", "imap security"
    what: str
    remedy: str = ""
    code: Exit = Exit.OK  # what an error of this kind ends `check` with

    @classmethod
    def ok(cls, subject: str, what: str) -> Finding:
        return cls(Level.OK, subject, what)

    @classmethod
    def warning(cls, subject: str, what: str, remedy: str) -> Finding:
        return cls(Level.WARNING, subject, what, remedy)

    @classmethod
    def error(cls, subject: str, what: str, remedy: str, code: Exit = Exit.FAILED) -> Finding:
        return cls(Level.ERROR, subject, what, remedy, code)


def outbox_at_rest(paused: bool, frozen_since: datetime | None) -> list[Finding]:
    """Why nothing leaves, where nothing does."""
    if frozen_since is not None:
        remedy = "see `mailbox-service outbox list --restored`, then run `mailbox-service outbox resume`"
        return [Finding.warning("outbox", f"is frozen since the restore at {frozen_since:%Y-%m-%d %H:%M} UTC", remedy)]
    if paused:
        remedy = "run `mailbox-service outbox resume` when the reason is gone"
        return [Finding.warning("outbox", "is paused: no mail leaves", remedy)]
    return []


def unread(config: Config, database: Database) -> Iterator[Finding]:
    """Who gets of sealed cases no more than that there is one, where a mailbox may be sent encrypted mail."""
    from mailbox_service.adapters.database.transaction import SqlTransaction
    from mailbox_service.app.clock import now
    from mailbox_service.services.sealing import keyless

    folder = config.openpgp.folder
    if folder is None or not (folder / "pubring.kbx").exists():
        return
    for mailbox in config.mailboxes:
        pins = database.run(partial(SqlTransaction.pins, mailbox=mailbox.name))
        if found := keyless(mailbox.maintainers, pins, now()):
            who = "; ".join(f"{name}: {why}" for name, why in found)
            remedy = "run `mailbox-service key pin ADDRESS FINGERPRINT --file FILE`"
            yield Finding.warning(f"mailbox {mailbox.name}", f"not all can read sealed cases: {who}", remedy)
