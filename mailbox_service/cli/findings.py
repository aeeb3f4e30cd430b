"""What the doctor found: one line with its remedy."""

from __future__ import annotations

from dataclasses import dataclass
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
