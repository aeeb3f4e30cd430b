"""The intake's half of a transaction: messages, their sources, cases and their journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.restored_sql import RESTORED_AT, UNOPENED, moment_of
from mailbox_service.adapters.database.sql import Sql, chunks
from mailbox_service.adapters.database.tables import (
    folder,
    mailbox,
    message,
    message_chunk,
    outbound,
    source,
)
from mailbox_service.errors import LostLease, NotFound
from mailbox_service.services import ports
from mailbox_service.services.ports import MARK_OF, Mark, MessageId

CLAIM_COLUMNS = (
    message.c.id,
    message.c.lease_token,
    message.c.attempts,
    message.c.mailbox,
    message.c.source,
    message.c.received_at,
    message.c.junk,
    message.c.quiet,
    message.c.partial,
    message.c.size_bytes,
    message.c.envelope_from,
    message.c.envelope_to,
    message.c.disposition,
    message.c.decided_by,
    message.c.case_id,
)


# Built once: that costs as much as the database does to carry them out.
_ON_FILE = (
    sa.select(
        message.c.id,
        message.c.mailbox,
        message.c.sha256,
        message.c.state,
        message.c.junk,
        message.c.disposition,
        message.c.decided_by,
    )
    # The mailbox is the first column of the index: without it, SQLite reads the whole table.
    .where(
        message.c.mailbox.in_(sa.bindparam("b_mailboxes", expanding=True)),
        message.c.sha256.in_(sa.bindparam("b_digests", expanding=True)),
    )
    .order_by(message.c.id)
    # Whoever finishes one of these meanwhile waits, and then finds the new source too.
    .with_for_update(read=True)
)
_TOKENS = (
    sa.select(message.c.id, message.c.lease_token)
    .where(message.c.id.in_(sa.bindparam("b_ids", expanding=True)), message.c.state == "waiting")
    .order_by(message.c.id)
    .with_for_update()
)
_MARK = (
    source.update()
    .where(source.c.message_id.in_(sa.bindparam("b_ids", expanding=True)), source.c.folder_id.is_not(None))
    .values(mark=sa.bindparam("b_mark"), mark_state="waiting", mark_due_at=sa.bindparam("b_now"))
)
_CHUNKS = message_chunk.insert()
_s = source.c
_MARKS_DUE = sa.select(_s.id).where(
    _s.mark_state == "waiting", _s.folder_id == sa.bindparam("b_folder"), _s.mark_due_at <= sa.bindparam("b_now")
)
_HAS_MARKS_DUE = sa.select(_MARKS_DUE.limit(1).exists())
_NEXT_MARKS = (
    _MARKS_DUE.order_by(_s.mark_due_at, _s.id).limit(sa.bindparam("b_limit")).with_for_update(skip_locked=True)
)
_CLAIM_MARKS = (
    source.update()
    .where(_s.id.in_(sa.bindparam("b_ids", expanding=True)))
    .values(mark_due_at=sa.bindparam("b_until"), mark_owner=sa.bindparam("b_owner"))
    .returning(_s.id, _s.folder_id, _s.uid, _s.mark, _s.mark_attempts)
)
# The mark is compared too: a person may have decided anew while the server was told the old one.
_MARKED = (
    source.update()
    .where(_s.id == sa.bindparam("b_id"), _s.mark == sa.bindparam("b_mark"))
    .values(
        mark_state=sa.bindparam("b_state"),
        mark_due_at=sa.bindparam("b_due"),
        mark_attempts=_s.mark_attempts + 1,
    )
)


@cache
def _finish(columns: tuple[str, ...]) -> sa.Update:
    return (
        message.update()
        .where(
            message.c.id == sa.bindparam("b_id"),
            message.c.lease_token == sa.bindparam("b_token"),
            message.c.state == "waiting",
        )
        .values({name: sa.bindparam(f"b_{name}") for name in columns})
    )


class IntakeSql(Sql):
    """Folders, evidence, claims, and what the server is told."""

    # --- folders -------------------------------------------------------------------------------------------

    def open_folder(
        self, of: str, name: str, uidvalidity: int, uidnext: int, junk: bool, first_run: bool, now: datetime
    ) -> ports.FolderState:
        c = self.connection
        contact = c.scalar(sa.select(mailbox.c.first_contact_at).where(mailbox.c.name == of))
        if contact is None:
            contact, first_run = now, True
            c.execute(mailbox.insert().values(name=of, first_contact_at=now))
        known = c.execute(
            sa.select(folder.c.id, folder.c.uidvalidity, folder.c.first_uidnext).where(
                folder.c.mailbox == of, folder.c.name == name
            )
        ).all()
        restored_at = moment_of(self.setting(RESTORED_AT))
        if restored_at is not None and contact > restored_at:
            restored_at = None  # a mailbox that was met later has nothing from before
        unopened = any(row.first_uidnext == UNOPENED for row in known)
        for row in known:
            if row.uidvalidity == uidvalidity:
                first = row.first_uidnext if row.first_uidnext != UNOPENED else self._first_look(row.id, uidnext)
                return ports.FolderState(ports.FolderId(row.id), of, name, uidvalidity, first, contact, restored_at)
        self._leave_behind([row.id for row in known], now)
        # Mail that lies in a folder at the first contact was there before the service. Not so after a change of
        # UIDVALIDITY, nor in a folder that appears later; there the dates tell.
        first_uidnext = uidnext if unopened or (first_run and not known) else 0
        new = c.scalar(
            folder.insert()
            .values(mailbox=of, name=name, uidvalidity=uidvalidity, first_uidnext=first_uidnext, junk=junk)
            .returning(folder.c.id)
        )
        folder_id = ports.FolderId(new or 0)
        return ports.FolderState(folder_id, of, name, uidvalidity, first_uidnext, contact, restored_at)

    def _first_look(self, folder_id: int, uidnext: int) -> int:
        """The first look into a folder after a restore is like the first contact: what lies there was there before."""
        self.connection.execute(
            folder.update().where(folder.c.id == folder_id).values(first_uidnext=uidnext, caught_up_at=None)
        )
        return uidnext

    def _leave_behind(self, former: Sequence[int], now: datetime) -> None:
        """Nobody looks into a former UIDVALIDITY any more: no summary waits for it, and its UIDs name nothing."""
        if former:
            self.connection.execute(
                folder.update().where(folder.c.id.in_(former), folder.c.caught_up_at.is_(None)).values(caught_up_at=now)
            )
            self.connection.execute(
                folder.update()
                .where(folder.c.id.in_(former), folder.c.first_uidnext == UNOPENED)
                .values(first_uidnext=0)
            )
            self.connection.execute(
                source.update()
                .where(source.c.folder_id.in_(former), source.c.mark_state == "waiting")
                .values(mark_state="gone")
            )

    def missing_uids(self, folder_id: ports.FolderId, uids: Sequence[int]) -> list[int]:
        if not uids:
            return []
        on_file = set(
            self.connection.scalars(
                sa.select(source.c.uid).where(
                    source.c.folder_id == folder_id, source.c.uid.between(min(uids), max(uids))
                )
            )
        )
        return sorted(set(uids) - on_file)

    def folder_caught_up(self, folder_id: ports.FolderId, now: datetime) -> None:
        self.connection.execute(
            folder.update().where(folder.c.id == folder_id, folder.c.caught_up_at.is_(None)).values(caught_up_at=now)
        )

    def backlog_settled(self, name_of_mailbox: str) -> bool:
        unfinished = sa.or_(
            sa.exists().where(folder.c.mailbox == name_of_mailbox, folder.c.caught_up_at.is_(None)),
            sa.exists().where(
                message.c.state == "waiting", message.c.mailbox == name_of_mailbox, message.c.quiet.is_(True)
            ),
        )
        return not self.connection.scalar(sa.select(unfinished))

    # --- T1: evidence --------------------------------------------------------------------------------------

    def store(self, batch: Sequence[ports.NewMessage], now: datetime, lease: ports.Lease | None) -> list[ports.Claim]:
        known = self._on_file({(item.raw.origin.mailbox, item.sha256) for item in batch})
        fresh: dict[tuple[str, str], ports.NewMessage] = {}
        for item in batch:
            key = (item.raw.origin.mailbox, item.sha256)
            if key not in known:
                fresh.setdefault(key, item)
        ids = self._insert_messages(list(fresh.values()), now, lease)
        of = {key: row.id for key, row in known.items()} | ids
        self._insert_sources(batch, of, known, now)
        self._rescue_from_junk(batch, known, now)
        return [_first_claim(fresh[key], MessageId(id_)) for key, id_ in ids.items()]

    def _on_file(self, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Any]:
        rows = self.connection.execute(
            _ON_FILE, {"b_mailboxes": list({of for of, _ in wanted}), "b_digests": list({sha for _, sha in wanted})}
        )
        return {(row.mailbox, row.sha256): row for row in rows}

    def _insert_messages(
        self, fresh: list[ports.NewMessage], now: datetime, lease: ports.Lease | None
    ) -> dict[tuple[str, str], int]:
        if not fresh:
            return {}
        rows = [
            {
                "mailbox": item.raw.origin.mailbox,
                "sha256": item.sha256,
                "size_bytes": item.raw.full_size_bytes or len(item.raw.data),
                "partial": item.raw.full_size_bytes is not None,
                "source": item.raw.origin.kind.value,
                "junk": item.raw.origin.junk,
                "quiet": item.raw.origin.quiet,
                "envelope_from": item.raw.envelope_from,
                "envelope_to": item.raw.envelope_to,
                "received_at": item.raw.received_at,
                "stored_at": now,
                "state": "waiting",
                "attempts": 1 if lease is not None else 0,
                "lease_token": 1,
                "lease_owner": lease.owner if lease is not None else None,
                "lease_until": lease.until if lease is not None else None,
                "due_at": now,
                "why": "",
                "no_answer": "",
                "sender": "",
                "subject": "",
            }
            for item in fresh
        ]
        ids = self.insert_numbered(message, rows)
        pieces = [
            {"message_id": id_, "seq": n, "data": piece}
            for id_, item in zip(ids, fresh, strict=True)
            for n, piece in chunks(item.raw.data)
        ]
        self.connection.execute(_CHUNKS, pieces)
        return {(i.raw.origin.mailbox, i.sha256): id_ for i, id_ in zip(fresh, ids, strict=True)}

    def _insert_sources(
        self,
        batch: Sequence[ports.NewMessage],
        ids: dict[tuple[str, str], int],
        known: dict[tuple[str, str], Any],
        now: datetime,
    ) -> None:
        rows = []
        for item in batch:
            origin = item.raw.origin
            key = (origin.mailbox, item.sha256)
            before = known.get(key)
            if before is not None and origin.folder_id is None:
                continue  # the same import once more; it has no source key that would tell
            # A further copy of a message whose fate is known is marked like the first, unless the copy changes it.
            fate_known = before is not None and before.state != "waiting" and not _rescues(item, before)
            mark = MARK_OF.get(before.disposition or "") if before is not None and fate_known else None
            rows.append(
                {
                    "message_id": ids[key],
                    "kind": origin.kind.value,
                    "folder_id": origin.folder_id,
                    "uid": origin.uid,
                    "note": origin.note,
                    "seen_at": now,
                    "mark": mark.value if mark else None,
                    "mark_state": "waiting" if mark and origin.folder_id is not None else "none",
                    "mark_due_at": now if mark and origin.folder_id is not None else None,
                }
            )
        if rows:
            self.connection.execute(self.or_leave(source), rows)

    def _rescue_from_junk(
        self, batch: Sequence[ports.NewMessage], known: dict[tuple[str, str], Any], now: datetime
    ) -> None:
        """A message that somebody moved out of Junk is looked at once more, as mail of the inbox."""
        rescued: dict[bool, list[int]] = {False: [], True: []}
        for item in batch:
            before = known.get((item.raw.origin.mailbox, item.sha256))
            if before is not None and _rescues(item, before):
                rescued[item.raw.origin.quiet].append(before.id)
        for quiet, ids in rescued.items():
            if ids:
                values = {"state": "waiting", "junk": False, "attempts": 0, "lease_until": None, "due_at": now}
                # Rescued before a restore, it was answered then.
                values |= {"quiet": True} if quiet else {}
                self.connection.execute(message.update().where(message.c.id.in_(ids)).values(values))

    # --- T2: claims ----------------------------------------------------------------------------------------

    def claim_messages(
        self, limit: int, now: datetime, lease: ports.Lease, mailboxes: Sequence[str]
    ) -> list[ports.Claim]:
        free = sa.and_(
            message.c.state == "waiting",
            message.c.mailbox.in_(mailboxes),
            message.c.due_at <= now,
            sa.or_(message.c.lease_until.is_(None), message.c.lease_until < now),
        )
        # What failed before is claimed alone: a message that kills its worker must not take others along.
        for rows_wanted, tried in ((limit, message.c.attempts == 0), (1, message.c.attempts > 0)):
            wanted = (
                sa.select(message.c.id)
                .where(free, tried)
                # The fewest attempts first: what waits beside a poisonous message is not held up until that is held.
                .order_by(message.c.attempts, message.c.due_at, message.c.id)
                .limit(rows_wanted)
                .with_for_update(skip_locked=True)
            )
            claimed = self._claim(wanted, lease)
            if claimed:
                return claimed
        return []

    def _claim(self, wanted: sa.Select[Any], lease: ports.Lease) -> list[ports.Claim]:
        rows = self.connection.execute(
            message.update()
            .where(message.c.id.in_(wanted.scalar_subquery()))
            .values(
                attempts=message.c.attempts + 1,
                lease_token=message.c.lease_token + 1,
                lease_owner=lease.owner,
                lease_until=lease.until,
            )
            .returning(*CLAIM_COLUMNS)
        )
        return sorted((_claim(row) for row in rows), key=lambda claim: claim.id)

    def exhausted_messages(self, attempts: int, now: datetime, mailboxes: Sequence[str]) -> list[ports.Claim]:
        rows = self.connection.execute(
            sa.select(*CLAIM_COLUMNS)
            .where(
                message.c.state == "waiting",
                message.c.mailbox.in_(mailboxes),
                message.c.attempts >= attempts,
                sa.or_(message.c.lease_until.is_(None), message.c.lease_until < now),
            )
            .limit(50)
            .with_for_update(skip_locked=True)
        )
        return [_claim(row) for row in rows]

    def release_leases(self, owner: str, now: datetime) -> int:
        released = 0
        for table in (message, outbound):
            released += self.connection.execute(
                table.update()
                .where(table.c.state == "waiting", table.c.lease_owner == owner, table.c.lease_until > now)
                .values(lease_until=None)
            ).rowcount
        released += self.connection.execute(
            source.update()
            .where(source.c.mark_state == "waiting", source.c.mark_owner == owner, source.c.mark_due_at > now)
            .values(mark_due_at=now, mark_owner=None)
        ).rowcount
        return released

    def return_message(self, claim: ports.Claim, due_at: datetime) -> None:
        self.connection.execute(
            message.update()
            .where(message.c.id == claim.id, message.c.lease_token == claim.token, message.c.state == "waiting")
            .values(lease_until=None, due_at=due_at)
        )

    def raw(self, message_id: MessageId) -> bytes:
        pieces = self.connection.scalars(
            sa.select(message_chunk.c.data)
            .where(message_chunk.c.message_id == message_id)
            .order_by(message_chunk.c.seq)
        ).all()
        if not pieces:
            raise NotFound(f"no message {message_id}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # --- T3: what became of it -----------------------------------------------------------------------------

    def still_claimed(self, claims: Sequence[ports.Claim]) -> set[MessageId]:
        tokens = {claim.id: claim.token for claim in claims}
        rows = self.connection.execute(_TOKENS, {"b_ids": list(tokens)})
        return {MessageId(row.id) for row in rows if row.lease_token == tokens[MessageId(row.id)]}

    def finish(self, results: Sequence[ports.Finished], now: datetime) -> None:
        if not results:
            return
        rows = [_finished_values(r) for r in results]
        changed = self.connection.execute(
            _finish(tuple(rows[0])),
            [
                {"b_id": r.claim.id, "b_token": r.claim.token} | {f"b_{name}": value for name, value in row.items()}
                for r, row in zip(results, rows, strict=True)
            ],
        ).rowcount
        if changed != len(results):
            raise LostLease("a message was claimed by another worker")
        for mark in sorted({r.mark for r in results}):
            ids = [r.claim.id for r in results if r.mark is mark]
            self.connection.execute(_MARK, {"b_ids": ids, "b_mark": mark.value, "b_now": now})

    # --- telling the server --------------------------------------------------------------------------------

    def has_mark_jobs(self, folder_id: ports.FolderId, now: datetime) -> bool:
        return bool(self.connection.scalar(_HAS_MARKS_DUE, {"b_folder": folder_id, "b_now": now}))

    def mark_jobs(
        self, folder_id: ports.FolderId, limit: int, now: datetime, lease: ports.Lease
    ) -> list[ports.MarkJob]:
        ids = self.connection.scalars(_NEXT_MARKS, {"b_folder": folder_id, "b_now": now, "b_limit": limit}).all()
        if not ids:
            return []
        rows = self.connection.execute(_CLAIM_MARKS, {"b_ids": ids, "b_until": lease.until, "b_owner": lease.owner})
        return sorted(
            (
                ports.MarkJob(r.id, ports.FolderId(r.folder_id), r.uid, Mark(r.mark), r.mark_attempts, lease.until)
                for r in rows
            ),
            key=lambda job: job.uid,
        )

    def marked(self, results: Sequence[tuple[ports.MarkJob, ports.MarkResult, datetime]]) -> None:
        if not results:
            return
        state = {ports.MarkResult.DONE: "done", ports.MarkResult.GONE: "gone", ports.MarkResult.RETRY: "waiting"}
        self.connection.execute(
            _MARKED,
            [
                {"b_id": job.source_id, "b_mark": job.mark.value, "b_state": state[result], "b_due": due}
                for job, result, due in results
            ],
        )


def _rescues(item: ports.NewMessage, before: Any) -> bool:
    """Did somebody move a message that is on file out of Junk, and no person decide about it?

    An import moves nothing, and must not have reporters answered.
    """
    moved = before.junk and not item.raw.origin.junk and item.raw.origin.folder_id is not None
    return moved and before.disposition in ("spam", "hold") and before.decided_by is None


def _first_claim(item: ports.NewMessage, id_: MessageId) -> ports.Claim:
    raw = item.raw
    return ports.Claim(
        id=id_,
        token=1,
        attempt=1,
        mailbox=raw.origin.mailbox,
        source=raw.origin.kind,
        received_at=raw.received_at,
        junk=raw.origin.junk,
        quiet=raw.origin.quiet,
        partial=raw.full_size_bytes is not None,
        size_bytes=raw.full_size_bytes or len(raw.data),
        envelope_from=raw.envelope_from,
        envelope_to=raw.envelope_to,
        decided=None,
        case_id=None,
        data=raw.data,
    )


def _claim(row: Any) -> ports.Claim:
    return ports.Claim(
        id=MessageId(row.id),
        token=row.lease_token,
        attempt=row.attempts,
        mailbox=row.mailbox,
        source=ports.SourceKind(row.source),
        received_at=row.received_at,
        junk=row.junk,
        quiet=row.quiet,
        partial=row.partial,
        size_bytes=row.size_bytes,
        envelope_from=row.envelope_from,
        envelope_to=row.envelope_to,
        decided=row.disposition if row.decided_by else None,
        case_id=row.case_id,
        data=None,
    )


def _finished_values(result: ports.Finished) -> dict[str, Any]:
    return {
        "state": "held" if result.held else "done",
        "disposition": result.disposition.value,
        "why": result.why,
        "no_answer": result.no_answer,
        "case_id": result.case_id,
        "outcome": result.outcome,
        "security": result.security,
        "spam": result.spam,
        "reasons": list(result.reasons),
        "sender": result.sender,
        "subject": result.subject,
        "header_message_id": result.header_message_id,
        "content_sha256": result.content_sha256,
        "encrypted": result.encrypted,
        "model": result.model,
        "lease_until": None,
    }
