"""Rows, as they cross the border to storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailbox_service.core.case import Event
from mailbox_service.core.routing import Disposition
from mailbox_service.services.ports.ids import CaseId, MessageId, OutboundId
from mailbox_service.services.ports.incoming import Mark, RawMessage, SourceKind


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim for `owner` (a worker's identity) that lapses at `until`."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A message claimed to be worked. `token` fences: a later claim of the same row makes this one void."""

    id: MessageId
    token: int
    attempt: int
    mailbox: str
    source: SourceKind
    received_at: datetime
    junk: bool
    quiet: bool
    partial: bool
    size_bytes: int
    envelope_from: str | None
    envelope_to: str | None
    decided: str | None  # a disposition that was decided elsewhere and outranks the sorter
    case_id: CaseId | None  # with `decided` "attached": the case it joins
    data: bytes | None  # None: read it with `Transaction.raw`
    hints: bool = True  # whether hints are wanted, should it open a case


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One message of a T1 batch with its digest (SHA-256 of the stored bytes; for a partial one also of its size)."""

    raw: RawMessage
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownOutbound:
    """A mail of ours that some inbound message names."""

    message_id: str
    recipient: str
    kind: str
    mailbox: str
    case_id: CaseId | None
    case_ref: str | None
    case_sealed: bool
    about: MessageId | None
    about_subject: str
    id: OutboundId
    role: str  # as in `NewMail`
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """An earlier inbound message that some inbound message names."""

    message_id: str
    id: MessageId
    mailbox: str
    sender: str
    case_id: CaseId | None
    case_ref: str | None
    case_sealed: bool
    case_open: bool
    answered: bool  # its sender was, or did not need to be because it joined a case
    content_sha256: str | None


@dataclass(slots=True)
class OpenCase:
    """A case as T3 works on it: made before it has a row, so that later mails of the same batch can join it."""

    mailbox: str
    reporter: str | None
    subject: str
    unsure: bool
    sealed: bool
    quiet: bool
    reference_pattern: str = ""  # with {year} and {number}
    id: CaseId | None = None
    ref: str = ""
    sketch: bytes = b""  # what its text is compared by (sorting/triage/sketches.py)
    resembles: OpenCase | KnownSketch | None = None  # an earlier case that it may be about
    copied: bool = False  # because much of the text is the same


@dataclass(frozen=True, slots=True)
class KnownSketch:
    """An open case as new ones are compared with it."""

    id: CaseId
    ref: str
    sketch: bytes


@dataclass(frozen=True, slots=True)
class JournalEntry:
    case_id: CaseId
    event: Event
    actor: str
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class NewMail:
    """A row of the outbox before it is stored. (`cause`, `kind`, `recipient`) exists at most once, ever."""

    mailbox: str
    cause: str
    kind: str
    recipient: str
    role: str  # "reporter", "maintainer"
    message_id: str
    template: str
    context: dict[str, object]
    case_id: CaseId | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    attached_message: MessageId | None = None  # this inbound message travels along, whole
    about_message: MessageId | None = None
    priority: int = 50
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class CollectedItem:
    """One line that waits for a collected mail of `channel`."""

    mailbox: str
    channel: str
    section: str
    line: str
    recipient: str = ""
    message_id: MessageId | None = None
    case_id: CaseId | None = None


@dataclass(frozen=True, slots=True)
class CollectedLine:
    """A collected item as it is told: with what the listing of messages shows, unless its case is sealed."""

    section: str
    line: str
    at: datetime
    message_id: MessageId | None
    received_at: datetime | None
    sender: str
    subject: str
    case_ref: str | None
    unsure: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """What T3 writes into a worked message."""

    claim: Claim
    held: bool
    disposition: Disposition
    mark: Mark
    why: str
    no_answer: str = ""
    case_id: CaseId | None = None
    outcome: str | None = None
    security: float | None = None
    spam: float | None = None
    reasons: tuple[dict[str, object], ...] = ()
    sender: str = ""
    subject: str = ""
    header_message_id: str | None = None
    content_sha256: str | None = None
    encrypted: bool = False
    model: str = ""  # which sorter said so


@dataclass(frozen=True, slots=True)
class OutboundClaim:
    """A row of the outbox claimed for one attempt. `frozen` is None before the first one."""

    id: OutboundId
    token: int
    attempt: int
    unknown_outcomes: int
    mailbox: str
    case_id: CaseId | None
    case_ref: str | None
    cause: str
    kind: str
    recipient: str
    role: str
    message_id: str
    template: str
    context: dict[str, object]
    in_reply_to: str | None
    references: tuple[str, ...]
    attached_message: MessageId | None
    about_message: MessageId | None
    created_at: datetime
    expires_at: datetime
    frozen: bytes | None
    about_received_at: datetime | None = None  # of the message that it answers or tells of


@dataclass(frozen=True, slots=True)
class Bounced:
    """A row of the outbox that came back, and what was said, in one harmless line."""

    id: OutboundId
    what: str


class Settlement(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    RETRY = "waiting"


@dataclass(frozen=True, slots=True)
class Settled:
    """What T6 writes into a row of the outbox."""

    claim: OutboundClaim
    settlement: Settlement
    reply: str
    due_at: datetime
    unknown: bool = False  # this attempt's outcome is unknown
