"""What the database promises, looked at row by row: bytes and digests, rows that belong together, states.

Read-only, over one snapshot, in bounded memory; daemons go on meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import policy
from email.parser import HeaderParser
from email.utils import getaddresses
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mailbox_service.adapters.database.portable import CHUNKS_AT_ONCE, ROWS_AT_ONCE
from mailbox_service.adapters.database.storage import describe
from mailbox_service.adapters.database.tables import (
    cases,
    confirmation,
    example,
    journal,
    message,
    message_chunk,
    metadata,
    outbound,
    outbound_chunk,
    source,
)
from mailbox_service.core.case import Event, Resolution, Stage
from mailbox_service.core.labels import Label, Said
from mailbox_service.core.routing import Disposition, Outcome
from mailbox_service.services.intake import Digest
from mailbox_service.services.ports import Mark, SourceKind
from mailbox_service.services.ports.casework import CONFIRMED

SHOWN_IDS = 20
# Far above any lease; a lease beyond it was written by a clock that was wrong, and nobody would claim the row.
LONGEST_LEASE = timedelta(days=1)
_WORKER = re.compile(r"worker-[0-9]{1,3}", re.ASCII)
Broken = Iterator[str]
Check = Callable[[sa.Connection], Iterator[str | None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise: how many things were looked at, and which of them break it."""

    promise: str
    checked: int
    broken: int
    ids: Sequence[str]  # of the first SHOWN_IDS broken ones, as `table id`

    @property
    def kept(self) -> bool:
        return not self.broken


def promises(connection: sa.Connection, now: datetime) -> Iterator[Finding]:
    """Each promise, looked at. One that cannot be looked at counts as broken."""
    checks: list[tuple[str, Check]] = [
        ("the schema is that of this program", _schema),
        ("the database file is sound", _sound),
        ("no row refers to one that is not there", _orphans),
        ("unique keys are unique", _duplicates),
        ("states and kinds are known ones", _states),
        ("leases are those of workers, and end soon", lambda c: _leases(c, now)),
        ("every message has its bytes, and they have its digest", _messages),
        ("every worked message has a disposition", _dispositions),
        ("every case has its journal, without gaps", _journals),
        ("every frozen mail is the one of its row", _mails),
        ("what was sent was frozen, and what is over has an end", _endings),
    ]
    for promise, check in checks:
        yield _looked_at(promise, check, connection)


def _looked_at(promise: str, check: Check, connection: sa.Connection) -> Finding:
    checked, broken = 0, 0
    ids: list[str] = []
    try:
        for one in check(connection):
            checked += 1
            if one is not None:
                broken += 1
                if len(ids) < SHOWN_IDS:
                    ids.append(one)
    except sa.exc.DBAPIError as error:
        # What cannot be read is broken too; the other promises are looked at all the same.
        return Finding(promise, checked, broken + 1, [*ids, f"cannot be read: {describe(error)}"])
    return Finding(promise, checked, broken, ids)


def _stream(connection: sa.Connection, query: sa.Select[Any], at_once: int = ROWS_AT_ONCE) -> sa.Result[Any]:
    return connection.execute(query, execution_options={"stream_results": True, "yield_per": at_once})


# --- the database as a whole -------------------------------------------------------------------------------


def _schema(connection: sa.Connection) -> Iterator[str | None]:
    found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    yield from [str(difference)[:200] for difference in found]
    if not found:
        yield None


def _sound(connection: sa.Connection) -> Iterator[str | None]:
    if connection.dialect.name == "postgresql":
        yield None  # the server checks its own pages
        return
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN_IDS})"):
        yield None if said == "ok" else str(said)[:200]
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"{row[0]} {row[1]}"


def _orphans(connection: sa.Connection) -> Iterator[str | None]:
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            parent, child = key.column, key.parent
            alias = parent.table.alias()
            there = sa.exists().where(alias.c[parent.name] == child)
            orphans = sa.select(*table.primary_key, child).where(child.is_not(None), sa.not_(there))
            yield None
            for row in _stream(connection, orphans):
                yield f"{table.name} {row[0]}: {child.name} {row[-1]}"


def _duplicates(connection: sa.Connection) -> Iterator[str | None]:
    for table in metadata.sorted_tables:
        keys = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint | sa.PrimaryKeyConstraint)]
        for key in keys:
            columns = list(key.columns)
            filled = [column.is_not(None) for column in columns]
            some = sa.func.min(table.c.id) if "id" in table.c else sa.func.min(columns[0])
            twice = sa.select(some).select_from(table).where(*filled).group_by(*columns).having(sa.func.count() > 1)
            yield None
            names = ", ".join(column.name for column in columns)
            for (one,) in _stream(connection, twice):
                yield f"{table.name} {one}: {names}" if "id" in table.c else f"{table.name}: {names}"


# --- states and leases -------------------------------------------------------------------------------------

_KNOWN: tuple[tuple[sa.Column[Any], Sequence[str]], ...] = (
    (message.c.state, ("waiting", "done", "held")),
    (message.c.source, tuple(SourceKind)),
    (message.c.disposition, tuple(Disposition)),
    (source.c.kind, tuple(SourceKind)),
    (source.c.mark, tuple(Mark)),
    (source.c.mark_state, ("none", "waiting", "done", "gone")),
    (outbound.c.state, ("waiting", "sent", "failed", "shadow", "withdrawn")),
    (cases.c.stage, tuple(Stage)),
    (cases.c.resolution, tuple(Resolution)),
    (confirmation.c.purpose, CONFIRMED),
    (journal.c.event, tuple(Event)),
    (example.c.label, tuple(Label)),
    (example.c.said, tuple(Said)),
    (example.c.outcome, tuple(Outcome)),
)


def _states(connection: sa.Connection) -> Iterator[str | None]:
    for column, known in _KNOWN:
        table = column.table
        strange = sa.select(table.c.id).where(column.is_not(None), column.not_in([str(one) for one in known]))
        yield None
        for (one,) in _stream(connection, strange):
            yield f"{table.name} {one}: {column.name}"


def _leases(connection: sa.Connection, now: datetime) -> Iterator[str | None]:
    for table in (message, outbound):
        c = table.c
        query = sa.select(c.id, c.state, c.attempts, c.lease_token, c.lease_owner, c.lease_until).where(
            sa.or_(c.lease_until.is_not(None), c.lease_owner.is_not(None), c.attempts < 0, c.lease_token < 0)
        )
        for row in _stream(connection, query):
            owned = row.lease_owner is not None and _WORKER.fullmatch(row.lease_owner)
            lapses = row.lease_until is None or (row.state == "waiting" and row.lease_until < now + LONGEST_LEASE)
            counted = row.attempts >= 0 and row.lease_token >= 0
            yield None if owned and lapses and counted else f"{table.name} {row.id}"


# --- messages ----------------------------------------------------------------------------------------------


def _messages(connection: sa.Connection) -> Iterator[str | None]:
    m, c = message.c, message_chunk.c
    query = (
        sa.select(m.id, m.sha256, m.size_bytes, m.partial, c.seq, c.data)
        .select_from(message.outerjoin(message_chunk, c.message_id == m.id))
        .order_by(m.id, c.seq)
    )
    current: Any = None
    digest, size, dense = Digest(), 0, True

    def verdict() -> str | None:
        whole = size < current.size_bytes if current.partial else size == current.size_bytes
        same = digest.hexdigest(current.size_bytes if current.partial else None) == current.sha256
        faults = [name for name, fine in (("chunks", dense), ("size", whole), ("digest", same)) if not fine]
        return f"message {current.id}: {', '.join(faults)}" if faults else None

    expected = 0
    for row in _stream(connection, query, CHUNKS_AT_ONCE):
        if current is None or row.id != current.id:
            if current is not None:
                yield verdict()
            current, digest, size, dense, expected = row, Digest(), 0, True, 0
        dense = dense and row.seq == expected
        expected += 1
        if row.data is not None:
            digest.update(row.data)
            size += len(row.data)
    if current is not None:
        yield verdict()


def _dispositions(connection: sa.Connection) -> Iterator[str | None]:
    m = message.c
    for row in _stream(connection, sa.select(m.id, m.disposition, m.case_id).where(m.state.in_(("done", "held")))):
        cased = row.disposition not in (Disposition.CASE, Disposition.ATTACHED) or row.case_id is not None
        yield None if row.disposition is not None and cased else f"message {row.id}"


# --- cases -------------------------------------------------------------------------------------------------


def _journals(connection: sa.Connection) -> Iterator[str | None]:
    j = journal.c
    f = journal.alias().c
    first = sa.select(f.event).where(f.case_id == cases.c.id).order_by(f.seq).limit(1).scalar_subquery()
    query = (
        sa.select(
            cases.c.id,
            cases.c.ref,
            cases.c.version,
            sa.func.count(j.id).label("entries"),
            sa.func.min(j.seq).label("lowest"),
            sa.func.max(j.seq).label("highest"),
            first.label("opened"),
        )
        .select_from(cases.outerjoin(journal, j.case_id == cases.c.id))
        .group_by(cases.c.id, cases.c.ref, cases.c.version)
        .order_by(cases.c.id)
    )
    for row in _stream(connection, query):
        dense = row.entries > 0 and row.lowest == 1 and row.highest == row.entries == row.version
        yield None if dense and row.opened == Event.OPENED else f"case {row.ref}"


# --- mails -------------------------------------------------------------------------------------------------


def _mails(connection: sa.Connection) -> Iterator[str | None]:
    o, c = outbound.c, outbound_chunk.c
    all_ = outbound_chunk.alias().c
    count = sa.select(sa.func.count()).where(all_.outbound_id == o.id).scalar_subquery().label("chunks")
    last = sa.select(sa.func.max(all_.seq)).where(all_.outbound_id == o.id).scalar_subquery().label("last")
    query = (
        sa.select(o.id, o.message_id, o.recipient, o.frozen_at, count, last, c.data)
        .select_from(outbound.outerjoin(outbound_chunk, sa.and_(c.outbound_id == o.id, c.seq == 0)))
        .where(sa.or_(o.frozen_at.is_not(None), c.data.is_not(None)))
        .order_by(o.id)
    )
    for row in _stream(connection, query, CHUNKS_AT_ONCE):
        whole = row.frozen_at is not None and row.data is not None and row.last == row.chunks - 1
        yield None if whole and _addressed(row.data, row.message_id, row.recipient) else f"mail {row.id}"


def _addressed(data: bytes, message_id: str, recipient: str) -> bool:
    head, blank, _ = bytes(data).partition(b"\r\n\r\n")
    # An address that is not ASCII is UTF-8 in the header (RFC 6532).
    headers = HeaderParser(policy=policy.compat32).parsestr((head + blank).decode("utf-8", "replace"))
    to = [address.lower() for _, address in getaddresses(headers.get_all("To", []))]
    found = [value.strip() for value in headers.get_all("Message-ID", [])]
    return found == [message_id] and to == [recipient.lower()]


def _endings(connection: sa.Connection) -> Iterator[str | None]:
    o = outbound.c
    for row in _stream(connection, sa.select(o.id, o.state, o.frozen_at, o.finished_at)):
        over = row.state in ("sent", "failed", "withdrawn")
        fine = (row.finished_at is not None) == over and (row.state != "sent" or row.frozen_at is not None)
        yield None if fine else f"mail {row.id}"
