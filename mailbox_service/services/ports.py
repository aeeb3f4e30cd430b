"""What the services need from outside, and the values that cross that border.

Adapters implement the protocols; `app/` puts the two together. Times are aware `datetime`s in UTC.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol, TypeVar

from mailbox_service.core.case import Event
from mailbox_service.core.routing import Disposition

MessageId = NewType("MessageId", int)  # row of table message: what `message show` calls ID
OutboundId = NewType("OutboundId", int)
CaseId = NewType("CaseId", int)
FolderId = NewType("FolderId", int)

T = TypeVar("T")
Clock = Callable[[], datetime]


# --- what comes in -----------------------------------------------------------------------------------------


class SourceKind(StrEnum):
    IMAP = "imap"
    IMPORT = "import"
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where raw bytes came from; `folder_id` and `uid` are the source key of IMAP (RFC 3501 §2.3.1.1)."""

    kind: SourceKind
    mailbox: str
    folder_id: FolderId | None = None
    uid: int | None = None
    junk: bool = False  # found in a Junk folder
    quiet: bool = False  # older than the first contact, or imported: causes no mail to a reporter
    note: str = ""  # file name of an import, for people


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as a source hands it over. `data` is byte for byte what the source has."""

    data: bytes
    origin: Origin
    received_at: datetime
    envelope_from: str | None = None  # reverse-path where the source knows it; "" is the null reverse-path
    envelope_to: str | None = None
    full_size_bytes: int | None = None  # set when `data` is only the header of a message too large to fetch


@dataclass(frozen=True, slots=True)
class FolderState:
    """What is on file about one IMAP folder in one UIDVALIDITY."""

    id: FolderId
    mailbox: str
    name: str  # as people write it (decoded)
    uidvalidity: int
    first_uidnext: int  # UIDNEXT at the mailbox's first contact; 0 when the folder was met later
    first_contact_at: datetime  # of the mailbox, not of the folder
    restored_at: datetime | None = None  # when the database came from a backup: what is older was answered before


class Mark(StrEnum):
    """What the server is told about a message once its fate is committed."""

    PROCESSED = "processed"  # a case, attached, automatic mail, a bounce
    REDIRECTED = "redirected"
    SPAM = "spam"
    HELD = "held"


# What the server is told of each disposition. By its plain value too, as the database has it.
MARK_OF: dict[str, Mark] = {
    Disposition.CASE: Mark.PROCESSED,
    Disposition.ATTACHED: Mark.PROCESSED,
    Disposition.AUTOMATIC: Mark.PROCESSED,
    Disposition.BOUNCE: Mark.PROCESSED,
    Disposition.REDIRECT: Mark.REDIRECTED,
    Disposition.SPAM: Mark.SPAM,
    Disposition.HOLD: Mark.HELD,
}


@dataclass(frozen=True, slots=True)
class MarkJob:
    """One message on the server that still has to be flagged or moved."""

    source_id: int
    folder_id: FolderId
    uid: int
    mark: Mark
    attempts: int


class MarkResult(StrEnum):
    DONE = "done"
    GONE = "gone"  # no longer on the server (moved or expunged by somebody else)
    RETRY = "retry"


# --- what goes out -----------------------------------------------------------------------------------------


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


# --- rows, as they cross the border to storage ---------------------------------------------------------------


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


# --- storage -----------------------------------------------------------------------------------------------


class Transaction(Protocol):
    """Everything the services ask of the database, inside one transaction. No method commits."""

    # intake: T1, T2
    def open_folder(
        self, mailbox: str, name: str, uidvalidity: int, uidnext: int, junk: bool, first_run: bool, now: datetime
    ) -> FolderState:
        """The folder's state, made where there is none. `first_run`: its mailbox was met moments ago."""
        ...

    def missing_uids(self, folder: FolderId, uids: Sequence[int]) -> list[int]: ...
    def folder_caught_up(self, folder: FolderId, now: datetime) -> None: ...
    def store(self, batch: Sequence[NewMessage], now: datetime, lease: Lease | None) -> list[Claim]:
        """T1: evidence and origin of each message. Returns claims on those that were not on file before.

        Without a lease the claims are void, and only name what is new: the messages wait for whoever looks first.
        """
        ...

    def claim_messages(self, limit: int, now: datetime, lease: Lease, mailboxes: Sequence[str]) -> list[Claim]:
        """T2: messages of `mailboxes` that wait, each attempt counted. One that failed before is claimed alone."""
        ...

    def exhausted_messages(self, attempts: int, now: datetime, mailboxes: Sequence[str]) -> list[Claim]:
        """Messages whose last lease lapsed after `attempts` attempts; to be held."""
        ...

    def release_leases(self, owner: str, now: datetime) -> int:
        """Give back all that `owner` had claimed before it died. Returns the number of rows."""
        ...

    def return_message(self, claim: Claim, due_at: datetime) -> None:
        """The attempt failed: due again later, its count kept."""
        ...

    def raw(self, message: MessageId) -> bytes:
        """The stored bytes. Raises: NotFound."""
        ...

    # intake: T3
    def still_claimed(self, claims: Sequence[Claim]) -> set[MessageId]:
        """Those whose fencing token is still the row's; locks the rows."""
        ...

    def outbound_named(self, message_ids: Sequence[str], ids: Sequence[OutboundId] = ()) -> list[KnownOutbound]:
        """The rows with one of these Message-IDs or numbers."""
        ...

    def messages_named(self, message_ids: Sequence[str]) -> list[KnownMessage]: ...
    def budgets(self, names: Sequence[tuple[str, datetime]]) -> dict[tuple[str, datetime], int]: ...
    def spend(self, used: dict[tuple[str, datetime], int]) -> None:
        """Add the given numbers to the budgets."""
        ...

    def open_cases(self, cases: Sequence[OpenCase], now: datetime) -> None:
        """Give each new case its number, row, `id` and `ref`."""
        ...

    def add_journal(self, entries: Sequence[JournalEntry], now: datetime) -> None: ...
    def seal(self, cases: Sequence[CaseId]) -> None: ...
    def add_mails(self, mails: Sequence[NewMail], now: datetime, expires_at: datetime) -> None:
        """Put mails into the outbox; one whose (cause, kind, recipient) is there already changes nothing."""
        ...

    def add_collected(self, items: Sequence[CollectedItem], now: datetime) -> None: ...
    def finish(self, results: Sequence[Finished], now: datetime) -> None:
        """Messages reach their final state, and the server may be told. Raises: LostLease."""
        ...

    def cases_of(self, ids: Sequence[CaseId]) -> list[OpenCase]:
        """The cases of these ids."""
        ...

    def send_into_case(self, message: MessageId, case: CaseId, now: datetime) -> None:
        """An earlier message joins a case: it is worked once more, and the maintainers are shown it."""
        ...

    # telling the server
    def has_mark_jobs(self, folder: FolderId, now: datetime) -> bool: ...
    def mark_jobs(self, folder: FolderId, limit: int, now: datetime, lease: Lease) -> list[MarkJob]:
        """Claims jobs that are due, until the lease lapses or `marked` says what became of them."""
        ...

    def marked(self, results: Sequence[tuple[MarkJob, MarkResult, datetime]]) -> None: ...

    # facts of the whole
    def setting(self, name: str) -> str | None:
        """One small fact that belongs to the database as a whole; None where it was never put."""
        ...

    def put_setting(self, name: str, value: str) -> None: ...

    # outbox: T4, T5, T6
    def outbox_paused(self) -> bool:
        """Whether nothing may leave: a person paused the outbox, or it is frozen since a restore."""

    def pause_outbox(self, paused: bool) -> None: ...
    def frozen_since(self) -> datetime | None:
        """When the database came from a backup, if nobody has said since that it may send; else None."""

    def claim_outbound(self, limit: int, now: datetime, lease: Lease, mailboxes: Sequence[str]) -> list[OutboundClaim]:
        """T4: rows that are due, the attempt counted; what matters most first."""
        ...

    def unclaim_outbound(self, claims: Sequence[OutboundClaim]) -> None:
        """Give rows back that were claimed in this transaction; the attempt does not count."""
        ...

    def freeze(self, rows: Sequence[tuple[OutboundClaim, bytes]], now: datetime) -> set[OutboundId]:
        """T5: the bytes of each row, for ever. Returns the rows still ours; the others must not be sent."""
        ...

    def settle(self, rows: Sequence[Settled], now: datetime) -> set[OutboundId]:
        """T6. Returns the rows that were still ours."""
        ...

    # outbox: what comes back
    def bounced(self, bounces: Sequence[Bounced], now: datetime) -> list[OutboundClaim]:
        """Record it. Returns the rows that were attempted and had not come back before, without their bytes."""
        ...

    def reached_nobody(self, causes: Sequence[str]) -> set[str]:
        """Those of `causes` whose mails to maintainers have all failed or come back."""
        ...

    # collected mails
    def due_channels(self) -> list[tuple[str, str, str, datetime, datetime]]:
        """(mailbox, channel, recipient, oldest, newest) of everything that waits to be collected."""
        ...

    def collect(self, mailbox: str, channel: str, recipient: str, limit: int) -> tuple[str, list[CollectedLine]]:
        """Take at most `limit` waiting items, oldest first, marking them as told by the cause that is returned."""
        ...

    def backlog_settled(self, mailbox: str) -> bool:
        """No quiet message of the mailbox waits, and all its folders were compared once."""
        ...

    def forget_budgets(self, before: datetime) -> None: ...


class Storage(Protocol):
    """The database. A transaction is a plain function run in the storage's own thread: it cannot await."""

    @property
    def identity(self) -> str:
        """This worker's name for leases: unique among the living, and taken over from the dead at a restart."""
        ...

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction and commit it; roll back when it raises.

        `work` may run more than once when two workers collide; it must not have effects outside.
        Raises: what `work` raises, and TemporaryError when the database is away, locked or full.
        """
        ...

    async def dispose(self) -> None: ...


class IntakeDoor(Protocol):
    """What a source of mail needs: the face of `services.intake.Intake` that adapters see."""

    async def open_folder(self, mailbox: str, name: str, uidvalidity: int, uidnext: int, *, junk: bool) -> FolderState:
        """The state of a folder, made on first contact (committed before it is returned)."""
        ...

    async def missing_uids(self, folder: FolderId, uids: Sequence[int]) -> list[int]:
        """Those of `uids` that are not on file yet, in ascending order."""
        ...

    async def accept(self, batch: Sequence[RawMessage]) -> None:
        """T1: store the batch durably. On return every message is committed; the source may be told.

        Idempotent by the source key. Waits when the work behind it is full (back-pressure).
        Raises: TemporaryError when nothing of the batch was stored; the source keeps its mail and tries again.
        """
        ...

    async def caught_up(self, folder: FolderId) -> None:
        """All the folder held at one moment is on file (called after each full comparison)."""
        ...

    async def has_mark_jobs(self, folder: FolderId) -> bool:
        """Whether `mark_jobs` would find any."""
        ...

    async def mark_jobs(self, folder: FolderId, limit: int) -> list[MarkJob]:
        """Messages of the folder whose fate is committed and that are due to be flagged or moved.

        They are the caller's for some minutes: two daemons that MOVE one message at the same time make two of it.
        """
        ...

    async def marked(self, results: Sequence[tuple[MarkJob, MarkResult]]) -> None:
        """Record what became of the jobs; RETRY is tried again with backoff."""
        ...

    def marks_waiting(self, mailbox: str) -> Awaitable[None]:
        """Returns when there may be new mark jobs in the mailbox. One caller a mailbox."""
        ...


class DeliveryDoor(Protocol):
    """What a door for pushed mail needs: the face of `services.deliveries.Deliveries` that adapters see."""

    async def deliver(self, raw: RawMessage) -> None:
        """T1 for one message. On return it is committed, and whoever pushed it may be told so.

        Idempotent by mailbox and content. Never waits for the work behind it. Cancelled, it may store the message all
        the same.
        Raises: StorageFull, TemporaryError, or anything unforeseen. Then the message may or may not be stored: whoever
        pushed it keeps it and tries again.
        """
        ...
