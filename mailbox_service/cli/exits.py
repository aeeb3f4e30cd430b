"""How a command ends: the codes of sysexits.h, which mail systems and cron jobs have understood for decades."""

from __future__ import annotations

from enum import IntEnum

from mailbox_service.errors import (
    BrokenFile,
    CannotWrite,
    ConfigurationError,
    LostLease,
    MailboxServiceError,
    NotFound,
    PermanentError,
    Refused,
    TemplateError,
    TemporaryError,
)


class Exit(IntEnum):
    """Exit codes; the texts for operators stand in docs/cli.md and in `mailbox-service --help`."""

    OK = 0
    FAILED = 1
    USAGE = 64
    DATAERR = 65
    NOINPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANTCREAT = 73
    IOERR = 74
    TEMPFAIL = 75
    CONFIG = 78
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it
    BROKEN_PIPE = 141  # 128 + SIGPIPE, what `mailbox-service message list | head` gives with pipefail


EXITS: tuple[tuple[type[MailboxServiceError], Exit], ...] = (
    (ConfigurationError, Exit.CONFIG),
    (TemplateError, Exit.CONFIG),
    (NotFound, Exit.NOINPUT),
    (Refused, Exit.DATAERR),
    (BrokenFile, Exit.DATAERR),
    (CannotWrite, Exit.CANTCREAT),
    (TemporaryError, Exit.TEMPFAIL),
    (LostLease, Exit.TEMPFAIL),
    (PermanentError, Exit.UNAVAILABLE),
)


def exit_of(error: MailboxServiceError) -> Exit:
    """The code that an error of ours ends a command with."""
    return next((code for kind, code in EXITS if isinstance(error, kind)), Exit.SOFTWARE)
