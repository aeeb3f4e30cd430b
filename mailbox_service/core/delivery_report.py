"""What a bounce says became of a mail: delivered, delayed, or failed - and whether for good (RFC 3464, RFC 6533).

Pure, bounded and total: any message gives a report. When in doubt a report says less: what is not clearly a failure
is none, and a failure is permanent only where its status, or words that leave no doubt, say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from mailbox_service.core.message import ParsedMessage

# One mail of ours has one recipient; an alias or list behind it may have more.
RECIPIENTS = 50
FIELD_CHARS = 1_000
FIELDS_CHARS = 64_000  # fifty recipients with a kilobyte each
# What a mail system says itself stands before the message it returns, within a screen or two.
OPENING_CHARS = 8_000


class Fate(StrEnum):
    """What became of the mail, as a report has it."""

    HARD = "hard"  # failed, and that is permanent (RFC 3463 class 5)
    SOFT = "soft"  # failed all the same: given up after temporary errors, or no permanent status is named
    DELAYED = "delay"  # still being tried
    DELIVERED = "delivered"  # delivered, relayed or expanded
    UNKNOWN = "unknown"  # the report does not say, or not in words we know

    @property
    def failed(self) -> bool:
        return self in (Fate.HARD, Fate.SOFT)


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What is said of one recipient. Nothing in it is trusted or made harmless."""

    fate: Fate
    status: str = ""  # enhanced status code, `5.1.1` (RFC 3463), or ""
    diagnostic: str = ""  # the words of the server that refused, or ""
    recipients: tuple[str, ...] = ()  # final and original address in lower case, as far as they are named


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """All that a bounce says: by fields of RFC 3464, and by its words."""

    fields: tuple[RecipientReport, ...]
    words: RecipientReport

    def about(self, recipient: str) -> RecipientReport:
        """What it says of the mail to `recipient`.

        Fields go before words. Where they name `recipient`, only those count; where they name others alone, the mail
        was passed on behind that address, and the worst that is said counts.
        """
        named = [report for report in self.fields if recipient.lower() in report.recipients]
        worst = min(named or self.fields, key=lambda report: _RANK.index(report.fate), default=self.words)
        return worst if worst.fate is not Fate.UNKNOWN else self.words


_UNKNOWN = RecipientReport(Fate.UNKNOWN)
# What counts most where a report names several recipients.
_RANK = (Fate.HARD, Fate.SOFT, Fate.DELAYED, Fate.UNKNOWN, Fate.DELIVERED)
_ACTIONS = {
    "failed": Fate.SOFT,
    "failure": Fate.SOFT,
    "delayed": Fate.DELAYED,
    "delivered": Fate.DELIVERED,
    "relayed": Fate.DELIVERED,
    "expanded": Fate.DELIVERED,
}
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60})[ \t]*:[ \t]*(.*)")
_PER_RECIPIENT = frozenset({"final-recipient", "original-recipient", "action", "status", "diagnostic-code"})
# No part of an IP address, a version or a time.
_ENHANCED = re.compile(r"(?<![\w.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d-])(?!\.\d)")
# A reply code stands at the start of what a server said: "550 user unknown", "said: 550-5.1.1 The email", "(550)".
_REPLY = re.compile(
    r"(?:^|[:;>(\"'\[]|\b(?:error|code|smtp|reply|response|status))[ \t:#]*([45][0-5]\d)(?=[ \-#:)\]]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3
# The copy of the returned mail: its header, or the line that announces it.
_RETURNED = re.compile(
    r"^[ \t>|]{0,8}(?:Received:|Return-Path:|Message-ID:|From: |X-[A-Za-z-]+:"
    r"|[-=*_ ]{2,20}\s*(?:below this line|this is a copy|original|returned|unsent|undelivered"
    r"|copy of|beginning of|start of|message header|header))",
    re.IGNORECASE | re.MULTILINE,
)
_DELAYED_WORDS = (
    "has been delayed",
    "is delayed",
    "was delayed",
    "delayed mail",
    "delivery delayed",
    "delayed delivery",
    "delivery delay",
    "will retry",
    "will be retried",
    "keep trying",
    "continue trying",
    "continue to try",
    "continue to be",
    "will try again",
    "attempts will continue",
    "will continue to attempt",
    "not yet been delivered",
    "could not be delivered yet",
    "not been delivered yet",
    "still being",
    "still trying",
    "warning message only",
    "this is a warning",
    "do not need to resend",
    "need not resend",
    "no action is required",
)
_GIVEN_UP_WORDS = (
    "giving up",
    "given up",
    "gave up",
    "will not be retried",
    "will not be tried",
    "not going to try again",
    "no further attempt",
    "has been returned",
    "being returned",
    "permanent",
)
# Given up after errors that may pass. Such bounces say "permanent error" all the same.
_EXPIRED_WORDS = (
    "retry timeout",
    "retry time not reached",
    "in the queue too long",
    "envelope expired",
    "delivery time expired",
    "message expired",
    "was aborted after",
)
_PERMANENT_WORDS = (
    "permanent error",
    "permanent failure",
    "permanent fatal",
    "permanently",
    "user unknown",
    "unknown user",
    "unknown recipient",
    "recipient unknown",
    "unknown address",
    "unknown mailbox",
    "no such user",
    "no such recipient",
    "no such address",
    "no such mailbox",
    "no such person",
    "no mailbox here",
    "not a known user",
    "not a valid mailbox",
    "not our customer",
    "user not found",
    "recipient not found",
    "mailbox not found",
    "does not exist",
    "doesn't exist",
    "doesn't have a",
    "not listed in",
    "invalid recipient",
    "invalid address",
    "invalid mailbox",
    "unrouteable",
    "host unknown",
    "unknown host",
    "unknown domain",
    "domain not found",
    "address rejected",
    "account is disabled",
    "account has been disabled",
    "mailbox is disabled",
    "no longer valid",
    "no longer in use",
)
_FAILED_WORDS = (
    "not be delivered",
    "n't be delivered",
    "not delivered",
    "not been delivered",
    "undeliverable",
    "undelivered",
    "delivery failed",
    "delivery has failed",
    "delivery failure",
    "delivery error",
    "delivery to the following",
    "unable to deliver",
    "failed to deliver",
    "cannot deliver",
    "could not deliver",
    "couldn't deliver",
    "returned mail",
    "message returned",
    "mail returned",
    "returned to sender",
    "failure notice",
    "did not reach",
    "not reach the",
    "non-delivery",
    "nondelivery",
    "mailbox is full",
    "mailbox full",
    "over quota",
    "quota exceeded",
    "exceeded its quota",
    "fatal errors",
    "mail error",
    "mail failure",
)


def read_report(message: ParsedMessage) -> DeliveryReport:
    """What a message that is a bounce says. Whether it is one, `core/automatic.py` tells."""
    fields = "\n\n".join(message.delivery_status)[:FIELDS_CHARS]
    return DeliveryReport(tuple(map(_of_fields, islice(_groups(fields), RECIPIENTS))), _of_words(message))


# --- fields of RFC 3464 ------------------------------------------------------------------------------------


def _groups(text: str) -> Iterator[dict[str, str]]:
    """The per-recipient groups of fields, parted by blank lines or, where these lack, by a field that comes again."""
    group: dict[str, str] = {}
    for name, value in _fields(text):
        if not name or name in group:
            if group.keys() & _PER_RECIPIENT:
                yield group
            group = {}
        if name:
            group[name] = value
    if group.keys() & _PER_RECIPIENT:
        yield group


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case and unfolded values; ("", "") for a blank line."""
    name, value = "", ""
    for line in text.split("\n"):
        if name and line[:1] in (" ", "\t") and line.strip():
            value = f"{value} {line.strip()}"[:FIELD_CHARS]
            continue
        if name:
            yield name, value
        found = _FIELD.match(line)
        name, value = (found[1].lower(), found[2].strip()[:FIELD_CHARS]) if found else ("", "")
        if not line.strip():
            yield "", ""
    if name:
        yield name, value


def _of_fields(group: dict[str, str]) -> RecipientReport:
    diagnostic = group.get("diagnostic-code", "").partition(";")
    said = (diagnostic[2] or diagnostic[0]).strip()
    status = _status(group.get("status", ""), said)
    action = group.get("action", "").split(None, 1)
    fate = _ACTIONS.get(action[0].strip("<>();,.").lower(), Fate.UNKNOWN) if action else Fate.UNKNOWN
    if not action and status.startswith("5"):
        fate = Fate.SOFT
    if fate is Fate.SOFT and status.startswith("5"):
        fate = Fate.HARD
    named = (_address(group.get(name, "")) for name in ("final-recipient", "original-recipient"))
    return RecipientReport(fate, status, said, tuple(address for address in named if address))


def _status(field: str, said: str) -> str:
    """The status of the field, or of the server's words where these know better than `5.0.0` or nothing."""
    given = _enhanced(field[:FIELD_CHARS])
    if given and not given.endswith(".0.0"):
        return given
    found = _enhanced(said)
    if found and found[0] == (given or found)[0]:
        return found
    reply = _REPLY.search(said) or _REPLY.search(field)
    return given or (f"{reply[1][0]}.0.0" if reply else "")


def _enhanced(text: str) -> str:
    found = _ENHANCED.search(text)
    return found[0] if found else ""


def _address(value: str) -> str:
    """`rfc822; <Ann@Example.org>` as `ann@example.org`; RFC 6533's escapes are undone."""
    _, semicolon, rest = value.partition(";")
    text = _UTF8_ESCAPE.sub(_unescaped, rest if semicolon else value)
    return text.strip().strip("<>\"'").strip().lower()


def _unescaped(escape: re.Match[str]) -> str:
    code = int(escape[1], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else escape[0]


# --- words, where there are no fields ----------------------------------------------------------------------


def _of_words(message: ParsedMessage) -> RecipientReport:
    text = message.text[:OPENING_CHARS]
    returned = _RETURNED.search(text)
    opening = text[: returned.start()] if returned and returned.start() else text
    words = " ".join(f"{message.subject}\n{opening}".lower().replace("’", "'").split())
    given_up = any(phrase in words for phrase in _GIVEN_UP_WORDS)
    if not given_up and any(phrase in words for phrase in _DELAYED_WORDS):
        return RecipientReport(Fate.DELAYED)
    statuses = [found[0] for found in _ENHANCED.finditer(opening)] or [
        f"{found[1][0]}.0.0" for found in _REPLY.finditer(opening)
    ]
    failed = [status for status in statuses if not status.startswith("2")]
    permanent = [status for status in failed if status.startswith("5")]
    if permanent:
        return RecipientReport(Fate.HARD, permanent[0], _line_with(opening, permanent[0]))
    if failed:
        return RecipientReport(Fate.SOFT, failed[0], _line_with(opening, failed[0]))
    expired = any(phrase in words for phrase in _EXPIRED_WORDS)
    if not expired and any(phrase in words for phrase in _PERMANENT_WORDS):
        return RecipientReport(Fate.HARD)
    expired |= message.header("x-failed-recipients") is not None or any(phrase in words for phrase in _FAILED_WORDS)
    return RecipientReport(Fate.SOFT) if expired else _UNKNOWN


def _line_with(text: str, status: str) -> str:
    """The first line that names the status, or else a reply code."""
    lines = text.split("\n")
    found = [line for line in lines if status in line] or [line for line in lines if _REPLY.search(line)]
    return found[0].strip()[:FIELD_CHARS] if found else ""
