"""What the services ask of the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from mailbox_service.services.ports.casework import Casework
from mailbox_service.services.ports.deciding import Deciding
from mailbox_service.services.ports.ids import CaseId, FolderId, MessageId, OutboundId, T
from mailbox_service.services.ports.incoming import FolderState, MarkJob, MarkResult
from mailbox_service.services.ports.openpgp import Pins, Seen
from mailbox_service.services.ports.rows import (
    Bounced,
    Claim,
    CollectedItem,
    CollectedLine,
    Finished,
    JournalEntry,
    KnownMessage,
    KnownOutbound,
    KnownSketch,
    Lease,
    NewMail,
    NewMessage,
    OpenCase,
    OutboundClaim,
    Settled,
)


class Transaction(Casework, Deciding, Pins, Seen, Protocol):
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

    def open_sketches(self, mailbox: str, after: CaseId | None, limit: int) -> list[KnownSketch]:
        """The newest `limit` open cases of `mailbox` that have a sketch and came after `after`, oldest first."""
        ...

    def closed_among(self, cases: Sequence[CaseId]) -> set[CaseId]:
        """Those of `cases` that are closed."""
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

    def add_examples(self, messages: Sequence[MessageId], label: str, said: str, by: str, now: datetime) -> None:
        """What somebody says these messages are, beside what the sorter has said. `label` and `said`: core/labels."""
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

    def claim_outbound(
        self, limit: int, now: datetime, lease: Lease, mailboxes: Sequence[str], kinds: Collection[str] | None = None
    ) -> list[OutboundClaim]:
        """T4: rows that are due (only of these `kinds`), the attempt counted; what matters most first."""
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
