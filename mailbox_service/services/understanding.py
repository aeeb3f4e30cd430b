"""From stored bytes to everything that routing wants to know. Pure work, run outside any transaction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from mailbox_service.core.automatic import LOOP_MARKER, Automatic, AutomaticMail, recognise
from mailbox_service.core.bounce_address import BounceToken, ReplyToken, bounce_tokens, reply_tokens
from mailbox_service.core.delivery_report import DeliveryReport, read_report
from mailbox_service.core.evidence import Authentication, authenticate
from mailbox_service.core.message import Encryption, ParsedMessage, parse
from mailbox_service.core.message.scanning import find
from mailbox_service.core.routing import Subject
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.opening import NOTHING_SAID, Content
from mailbox_service.services.ports import Claim
from mailbox_service.services.triage import may_open_a_case
from mailbox_service.sorting import Sorter, Verdict
from mailbox_service.sorting.sortable import sortable
from mailbox_service.sorting.triage import NOTHING, Triage, triage

# Of a long References header the newest matter; the rest is somebody's old thread.
REFERENCES_LOOKED_UP = 20
# Where servers write down to whom a message was delivered, whatever its To says.
_DELIVERED_TO = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to")


@dataclass(frozen=True, slots=True)
class Understood:
    """One claimed message, understood."""

    claim: Claim
    message: ParsedMessage
    automatic: AutomaticMail
    authentication: Authentication
    verdict: Verdict
    subject: Subject
    names: tuple[str, ...]  # Message-IDs it refers to, the nearest first
    content_sha256: str  # of subject and body: what stays the same when a mail arrives by two ways
    bounce_tokens: tuple[BounceToken, ...] = ()  # in the addresses it came to; not verified yet
    reply_tokens: tuple[ReplyToken, ...] = ()  # in the same, of those that people answer to; not verified either
    report: DeliveryReport | None = None  # what a bounce says
    triage: Triage = NOTHING  # for a case that it may open
    model: str = ""  # which sorter gave the verdict
    # What gpg found in it, where it was asked. It may hold plaintext: it stays in this process and is written nowhere.
    content: Content | None = field(default=None, repr=False)

    @property
    def said(self) -> ParsedMessage:
        """What the message says: what people are shown of it, and what commands are read from. Who wrote it, and what
        it answers, are facts of `message`."""
        if self.content is None:
            return self.message
        return NOTHING_SAID if self.content.unread else self.content.view

    @property
    def sender_key(self) -> str:
        return self.message.from_.key if self.message.from_ is not None else ""


def understand(claim: Claim, data: bytes, mailbox: Mailbox, sorter: Sorter) -> Understood:
    """Parse, gather evidence and sort. Total for any bytes."""
    message = parse(data)
    automatic = recognise(message, claim.envelope_from)
    addresses = delivered_to(message, claim.envelope_to)
    tokens = bounce_tokens(mailbox.envelope_from, addresses)
    answers = reply_tokens(mailbox.reply_to, addresses)
    if tokens:
        # People answer the From of a mail. Whatever comes to its envelope sender is answered by no machine.
        automatic = replace(automatic, suppress_answer=True)
    authentication = authenticate(message, mailbox.authserv_id)
    mail = sortable(message, automatic)
    verdict = sorter.sort(mail)
    own = mailbox.own_addresses
    subject = Subject(
        sender=message.from_,
        outcome=verdict.outcome,
        automatic=automatic,
        authentication=authentication,
        encrypted=message.encryption is not Encryption.NONE,
        spam_marked=mail.spam_marked,
        defective=message.truncated and message.from_ is None,
        junk=claim.junk,
        quiet=claim.quiet,
        addressed_to_us=bool(answers) or _addressed_to(message, own, claim.envelope_to),
        from_ourselves=message.from_ is not None and _without_detail(message.from_.key) in own,
        from_maintainer=message.from_ is not None and mailbox.is_maintainer(message.from_.key),
        from_team=message.from_ is not None and message.from_.key == mailbox.team_address.lower(),
        addressed_to_team=any(a.key == mailbox.team_address.lower() for a in (*message.to, *message.cc)),
        service_mail=(marker := message.header(LOOP_MARKER)) is not None,
        service_notice=marker is not None and marker.rpartition(".")[2].startswith("notice"),
    )
    names = _names(message, automatic)
    return Understood(
        claim,
        message,
        automatic,
        authentication,
        verdict,
        subject,
        names,
        _content_digest(message, data),
        tokens,
        answers,
        read_report(message) if automatic.kind is Automatic.BOUNCE else None,
        triage(mail, asks_about_ai=mailbox.asks_about_ai)
        if claim.hints and may_open_a_case(verdict.outcome, claim.decided, refers=bool(names or tokens or answers))
        else NOTHING,
        sorter.version,
    )


def authenticated(understood: Understood, authentication: Authentication) -> Understood:
    """The same with what was found out about its author later."""
    subject = replace(understood.subject, authentication=authentication)
    return replace(understood, authentication=authentication, subject=subject)


def remarked(understood: Understood, remark: str) -> Understood:
    """The same with one more line for the maintainers."""
    content = understood.content
    if content is None:
        return understood
    return replace(understood, content=replace(content, remarks=(*content.remarks, remark)))


def _addressed_to(message: ParsedMessage, own: frozenset[str], envelope_to: str | None) -> bool:
    if envelope_to is not None and not {(to := envelope_to.lower()), _without_detail(to)} & own:
        return False
    # An address with a detail ("security+abc@") is ours too (RFC 5233).
    return any(a.key in own or _without_detail(a.key) in own for a in (*message.to, *message.cc))


def delivered_to(message: ParsedMessage, envelope_to: str | None = None) -> tuple[str, ...]:
    """The addresses it came to, as servers and its author wrote them down."""
    written = (value for name in _DELIVERED_TO for value in message.header_all(name))
    return (envelope_to or "", *written, *(a.key for a in (*message.to, *message.cc)))


def _without_detail(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _content_digest(message: ParsedMessage, data: bytes) -> str:
    ends = [end + len(blank) for blank in (b"\n\n", b"\n\r\n") if (end := find(data, blank, 0, len(data))) >= 0]
    digest = hashlib.sha256(message.subject.encode("utf-8", "replace") + b"\0")
    digest.update(memoryview(data)[min(ends, default=len(data)) :])
    return digest.hexdigest()


def _names(message: ParsedMessage, automatic: AutomaticMail) -> tuple[str, ...]:
    nearest_first = [*message.in_reply_to, *reversed(message.references)]
    if automatic.kind in (Automatic.BOUNCE, Automatic.RECEIPT):
        nearest_first = [*message.returned_message_ids, *nearest_first]
    return tuple(dict.fromkeys(nearest_first))[:REFERENCES_LOOKED_UP]
