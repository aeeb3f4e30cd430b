"""What the doctor found: one line with its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailbox_service.cli.exits import Exit


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
