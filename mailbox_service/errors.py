"""The service's own errors. Adapters translate what their libraries raise into these at the boundary."""

from __future__ import annotations


class MailboxServiceError(Exception):
    """Base of all errors of the service. `str()` of it is fit for a log line: it never holds text from mail."""


class TemporaryError(MailboxServiceError):
    """It did not work now and may work later. An unknown error counts as this one."""


class StorageFull(TemporaryError):
    """The disk of the database is full: nothing more can be stored until somebody makes room."""


class PermanentError(MailboxServiceError):
    """It did not work and will not work by trying again."""


class LostLease(MailboxServiceError):
    """The row was claimed by another worker in the meantime; whatever was computed for it must be thrown away."""


class CaseChanged(TemporaryError):
    """The case was changed by somebody else in the meantime; whatever was computed for it must be computed anew."""


class ConfigurationError(MailboxServiceError):
    """The configuration cannot be used. `problems` holds one line each: file, line, what is wrong, the remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TemplateError(MailboxServiceError):
    """A mail template cannot be loaded or rendered. `where` is `file:line` when known."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class AuthenticationError(TemporaryError):
    """A server refused our login. Retried with long pauses only, because hammering locks accounts."""


class NotFound(MailboxServiceError):
    """What the caller named does not exist."""


class Refused(MailboxServiceError):
    """The action is not allowed in the present state; `str()` says which would be."""


class BrokenFile(MailboxServiceError):
    """A file that we were handed does not hold what it should; nothing was taken from it."""


class CannotWrite(MailboxServiceError):
    """A file cannot be made or written, as on a full disk; nothing of it is left behind."""
