"""Deliberate defects, each put into one life of the service; the judge has to notice every one of them.

They change the program from outside, at doors that it will keep: SQL as it is sent, and the methods of its ports.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from mailbox_service.adapters.database import storage
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.imap import settings, source
from mailbox_service.adapters.imap.session import Session
from mailbox_service.services.deliveries import Deliveries
from mailbox_service.services.intake import Intake
from mailbox_service.services.ports import OutboundClaim, RawMessage
from mailbox_service.services.processing import Processing
from mailbox_service.sorting import Sortable, Verdict
from mailbox_service.sorting.learned.sorter import TrainedSorter

UNIQUE_KEYS = (
    ("message", "uq_message_mailbox_sha256", "mailbox, sha256"),
    ("source", "uq_source_folder_id_uid", "folder_id, uid"),
)


def _replace(owner: type, **methods: Callable[..., Any]) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


def _rewrite_sql(pattern: str, replacement: str) -> None:
    found = re.compile(pattern)

    def rewritten(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return found.sub(replacement, statement), parameters

    event.listen(sa.Engine, "before_cursor_execute", rewritten, retval=True)


def flag_before_commit() -> None:
    """The server is told as soon as a message is fetched."""
    accounts: list[Any] = []
    making, accepting = source.ImapSource.__init__, Intake.accept

    def made(self: Any, mailbox: str, account: Any, *rest: Any, **more: Any) -> None:
        accounts.append(account)
        making(self, mailbox, account, *rest, **more)

    async def accept(self: Intake, batch: Sequence[RawMessage]) -> None:
        async with Session(accounts[0], settings.Deadlines()) as session:
            await session.open("INBOX", writable=True)
            await session.store([m.origin.uid for m in batch if m.origin.uid], ["\\Flagged"])
        await accepting(self, batch)

    _replace(source.ImapSource, __init__=made)
    _replace(Intake, accept=accept)


def no_fencing_token() -> None:
    """A claim does not move the token, so that a worker whose lease lapsed still passes for the holder."""
    _rewrite_sql(r"\blease_token \+ ", "lease_token + 0 * ")


def mail_not_frozen() -> None:
    """Bytes and Message-ID are made anew for each attempt."""
    claiming, composing = SqlTransaction.claim_outbound, Processing.compose_one

    def claim(self: SqlTransaction, *arguments: Any) -> list[OutboundClaim]:
        return [replace(one, frozen=None) for one in claiming(self, *arguments)]

    def freeze(self: SqlTransaction, rows: Sequence[tuple[OutboundClaim, bytes]], now: Any) -> set[Any]:
        return {one.id for one, _ in rows}

    def compose(self: Processing, row: OutboundClaim, attachment: bytes | None) -> bytes:
        return composing(self, replace(row, message_id=f"<{uuid.uuid4()}@example.org>"), attachment)

    _replace(SqlTransaction, claim_outbound=claim, freeze=freeze)
    _replace(Processing, compose_one=compose)


def outcome_not_recorded() -> None:
    """What became of a mail is forgotten."""
    _replace(SqlTransaction, settle=lambda self, rows, now: {row.claim.id for row in rows})


def message_dropped() -> None:
    """The first message of each batch is taken for stored."""
    accepting = Intake.accept

    async def accept(self: Intake, batch: Sequence[RawMessage]) -> None:
        await accepting(self, batch[1:])

    _replace(Intake, accept=accept)


def promise_before_commit() -> None:
    """A door answers for a message that is stored a moment later."""
    storing = Deliveries.deliver
    later: set[asyncio.Task[None]] = set()

    async def deliver(self: Deliveries, raw: RawMessage) -> None:
        later.add(asyncio.create_task(storing(self, raw)))

    _replace(Deliveries, deliver=deliver)


def commits_not_synced() -> None:
    """SQLite is told that a commit need not reach the disk (synchronous=NORMAL)."""
    storage.PRAGMAS = tuple(pragma.replace("=FULL", "=NORMAL") for pragma in storage.PRAGMAS)  # type: ignore[assignment]


def poison_kills() -> None:
    """No defect, but what a crash in C code or the kernel's OOM killer does: a certain mail ends the whole process."""
    sorting = TrainedSorter.sort

    def sort(self: TrainedSorter, mail: Sortable) -> Verdict:
        if "poison" in mail.subject:
            os.kill(os.getpid(), signal.SIGKILL)
        return sorting(self, mail)

    _replace(TrainedSorter, sort=sort)


BREAKAGES: dict[str, Callable[[], None]] = {
    breakage.__name__: breakage
    for breakage in (
        flag_before_commit,
        no_fencing_token,
        mail_not_frozen,
        outcome_not_recorded,
        message_dropped,
        promise_before_commit,
        commits_not_synced,
        poison_kills,
    )
}


def drop_unique_keys(url: str) -> None:
    """No key keeps a message, or a place on the server, from being on file twice. PostgreSQL only."""
    _alter(url, *(f"alter table {table} drop constraint {name}" for table, name, _ in UNIQUE_KEYS))


def restore_unique_keys(url: str) -> None:
    """Afterwards, for those who use the database next; what is in these tables is gone."""
    _alter(url, *(f"truncate {table} cascade" for table, _, _ in UNIQUE_KEYS))
    _alter(url, *(f"alter table {table} add constraint {name} unique ({key})" for table, name, key in UNIQUE_KEYS))


def _alter(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())
