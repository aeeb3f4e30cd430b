"""What goes out: one mail to one recipient, and how it is made readable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Envelope:
    """Exactly one recipient a row."""

    mail_from: str
    rcpt_to: str


class DeliveryOutcome(StrEnum):
    SENT = "sent"
    TEMPORARY = "temporary"  # not accepted, try again
    PERMANENT = "permanent"  # refused for good
    TOO_LARGE = "too_large"  # refused for good, for its size or its content (RFC 3463 X.3.4, X.2.3, X.7.x after DATA)
    UNKNOWN = "unknown"  # the connection was lost after the final dot: it may or may not have been accepted


@dataclass(frozen=True, slots=True)
class Delivery:
    outcome: DeliveryOutcome
    reply: str = ""  # the server's reply, shortened, harmless; for the operator


class Transport(Protocol):
    """Submission of one mail. Implementations keep connections open between calls and close them on any doubt."""

    async def send(self, envelope: Envelope, data: bytes) -> Delivery:
        """Hand `data` (CRLF bytes) to the server. Never raises for what a server or network does."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RenderedMail:
    subject: str
    body: str  # LF, at most 72 columns where the template is ours


class Renderer(Protocol):
    def render(self, template: str, context: dict[str, object]) -> RenderedMail:
        """The mail that `template` makes of `context` (plain strings, numbers, lists and dicts only).

        A failing operator's override falls back to the built-in template.
        Raises: TemplateError when the built-in one fails too.
        """
        ...
