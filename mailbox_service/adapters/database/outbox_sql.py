"""The outbox's half of a transaction: claim, freeze, settle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from mailbox_service.adapters.database.sql import Sql, chunks
from mailbox_service.adapters.database.tables import cases, message, outbound, outbound_chunk, setting
from mailbox_service.services import ports
from mailbox_service.services.ports import OutboundId

PAUSED = "outbox_paused"
FROZEN = "outbox_frozen"  # by a restore, until a person has looked at what would go out
INSTANCE = "instance"


# The statements of every mail's way. Built once: that costs as much as the database does to carry them out.
_o = outbound.c
_IDS = _o.id.in_(sa.bindparam("b_ids", expanding=True))


def _claim_of(*wanted: sa.ColumnElement[bool]) -> ReturningUpdate[Any]:
    due = (
        sa.select(_o.id)
        .where(
            _o.state == "waiting",
            _o.due_at <= sa.bindparam("b_now"),
            _o.mailbox.in_(sa.bindparam("b_mailboxes", expanding=True)),
            sa.or_(_o.lease_until.is_(None), _o.lease_until < sa.bindparam("b_now")),
            *wanted,
        )
        .order_by(_o.priority, _o.due_at, _o.id)
        .limit(sa.bindparam("b_limit"))
        .with_for_update(skip_locked=True)
    )
    return (
        outbound.update()
        .where(_o.id.in_(due.scalar_subquery()))
        .values(
            attempts=_o.attempts + 1,
            lease_token=_o.lease_token + 1,
            lease_owner=sa.bindparam("b_owner"),
            lease_until=sa.bindparam("b_until"),
        )
        .returning(_o.id)
    )


_CLAIM = _claim_of()
_CLAIM_KINDS = _claim_of(_o.kind.in_(sa.bindparam("b_kinds", expanding=True)))
_ROWS = (
    sa.select(outbound, cases.c.ref, message.c.received_at)
    .select_from(
        outbound.outerjoin(cases, _o.case_id == cases.c.id).outerjoin(message, _o.about_message_id == message.c.id)
    )
    .where(_IDS)
    .order_by(_o.priority, _o.due_at, _o.id)
)
_TOKENS = sa.select(_o.id, _o.lease_token).where(_IDS, _o.state == "waiting").order_by(_o.id).with_for_update()
# A redirect belongs to no case; the message it answered may be in one by now.
_case_id = sa.func.coalesce(_o.case_id, message.c.case_id)
_by_name = _o.message_id.in_(sa.bindparam("b_names", expanding=True))
_KNOWN = (
    sa.select(
        _o.message_id,
        _o.recipient,
        _o.kind,
        _o.mailbox,
        _case_id,
        cases.c.ref,
        sa.func.coalesce(cases.c.sealed, sa.false()),
        _o.about_message_id,
        sa.func.coalesce(message.c.subject, ""),
        _o.id,
        _o.role,
        _o.created_at,
    )
    .select_from(
        outbound.outerjoin(message, _o.about_message_id == message.c.id).outerjoin(cases, cases.c.id == _case_id)
    )
    .order_by(_o.id)
)
_NAMED = _KNOWN.where(_by_name)
_NAMED_OR_NUMBERED = _KNOWN.where(sa.or_(_by_name, _IDS))
_STOPPED = sa.select(sa.exists().where(setting.c.name.in_((PAUSED, FROZEN)), setting.c.value == "yes"))
_CHUNKS = outbound_chunk.insert()
_FREEZE = outbound.update().where(_IDS).values(frozen_at=sa.bindparam("b_now"))
_SETTLE = (
    outbound.update()
    .where(_o.id == sa.bindparam("b_id"))
    .values(
        state=sa.bindparam("b_state"),
        last_reply=sa.bindparam("b_reply"),
        due_at=sa.bindparam("b_due"),
        unknown_outcomes=_o.unknown_outcomes + sa.bindparam("b_unknown"),
        finished_at=sa.bindparam("b_finished"),
        lease_until=None,
    )
)


class OutboxSql(Sql):
    """Rows of the outbox."""

    def outbox_paused(self) -> bool:
        return bool(self.connection.scalar(_STOPPED))

    def pause_outbox(self, paused: bool) -> None:
        self.put_setting(PAUSED, "yes" if paused else "no")

    def instance(self, new: str) -> str:
        """The name of this database, made once: `new` where it has none yet."""
        self.connection.execute(self.or_leave(setting), {"name": INSTANCE, "value": new})
        return str(self.setting(INSTANCE))

    def outbound_named(self, message_ids: Sequence[str], ids: Sequence[OutboundId] = ()) -> list[ports.KnownOutbound]:
        rows = self.connection.execute(
            _NAMED_OR_NUMBERED if ids else _NAMED,
            {"b_names": list(message_ids)} | ({"b_ids": list(ids)} if ids else {}),
        )
        return [ports.KnownOutbound(*tuple(row)) for row in rows]

    def add_mails(self, mails: Sequence[ports.NewMail], now: datetime, expires_at: datetime) -> None:
        if not mails:
            return
        rows = [
            {
                "mailbox": m.mailbox,
                "case_id": m.case_id,
                "cause": m.cause,
                "kind": m.kind,
                "recipient": m.recipient,
                "role": m.role,
                "message_id": m.message_id,
                "template": m.template,
                "context": m.context,
                "in_reply_to": m.in_reply_to,
                "reference_ids": list(m.references),
                "attached_message_id": m.attached_message,
                "about_message_id": m.about_message,
                "priority": m.priority,
                "state": "shadow" if m.shadow else "waiting",
                "due_at": now,
                "created_at": now,
                "expires_at": expires_at,
                "last_reply": "",
            }
            for m in mails
        ]
        self.connection.execute(self.or_leave(outbound), rows)

    # --- T4 ------------------------------------------------------------------------------------------------

    def claim_outbound(
        self,
        limit: int,
        now: datetime,
        lease: ports.Lease,
        mailboxes: Sequence[str],
        kinds: Collection[str] | None = None,
    ) -> list[ports.OutboundClaim]:
        ids = self.connection.scalars(
            _CLAIM if kinds is None else _CLAIM_KINDS,
            {
                "b_now": now,
                "b_mailboxes": list(mailboxes),
                "b_limit": limit,
                "b_owner": lease.owner,
                "b_until": lease.until,
            }
            | ({} if kinds is None else {"b_kinds": sorted(kinds)}),
        ).all()
        return self.outbound_rows(ids) if ids else []

    def outbound_rows(self, ids: Sequence[int], *, with_bytes: bool = True) -> list[ports.OutboundClaim]:
        rows = self.connection.execute(_ROWS, {"b_ids": list(ids)}).all()
        frozen = self._frozen([row.id for row in rows if row.frozen_at is not None and with_bytes])
        return [_claim(row, frozen.get(row.id)) for row in rows]

    def _frozen(self, ids: Sequence[int]) -> dict[int, bytes]:
        pieces: dict[int, list[bytes]] = {}
        if ids:
            for row in self.connection.execute(
                sa.select(outbound_chunk.c.outbound_id, outbound_chunk.c.data)
                .where(outbound_chunk.c.outbound_id.in_(ids))
                .order_by(outbound_chunk.c.outbound_id, outbound_chunk.c.seq)
            ):
                pieces.setdefault(row.outbound_id, []).append(row.data)
        return {id_: b"".join(parts) for id_, parts in pieces.items()}

    def unclaim_outbound(self, claims: Sequence[ports.OutboundClaim]) -> None:
        if claims:
            self.connection.execute(
                outbound.update()
                .where(outbound.c.id.in_([claim.id for claim in claims]))
                .values(attempts=outbound.c.attempts - 1, lease_until=None)
            )

    # --- T5 ------------------------------------------------------------------------------------------------

    def freeze(self, rows: Sequence[tuple[ports.OutboundClaim, bytes]], now: datetime) -> set[OutboundId]:
        ours = self._still_ours([claim for claim, _ in rows])
        mine = [(claim, data) for claim, data in rows if claim.id in ours]
        if not mine:
            return set()
        self.connection.execute(_FREEZE, {"b_ids": [c.id for c, _ in mine], "b_now": now})
        self.connection.execute(
            _CHUNKS,
            [{"outbound_id": claim.id, "seq": n, "data": piece} for claim, data in mine for n, piece in chunks(data)],
        )
        return ours

    def _still_ours(self, claims: Sequence[ports.OutboundClaim]) -> set[OutboundId]:
        tokens = {claim.id: claim.token for claim in claims}
        rows = self.connection.execute(_TOKENS, {"b_ids": list(tokens)})
        return {OutboundId(r.id) for r in rows if r.lease_token == tokens[OutboundId(r.id)]}

    # --- T6 ------------------------------------------------------------------------------------------------

    def settle(self, rows: Sequence[ports.Settled], now: datetime) -> set[OutboundId]:
        ours = self._still_ours([row.claim for row in rows])
        values = [
            {
                "b_id": row.claim.id,
                "b_state": row.settlement.value,
                "b_reply": row.reply,
                "b_due": row.due_at,
                "b_unknown": int(row.unknown),
                "b_finished": None if row.settlement is ports.Settlement.RETRY else now,
            }
            for row in rows
            if row.claim.id in ours
        ]
        if values:
            self.connection.execute(_SETTLE, values)
        return ours

    # --- what comes back -----------------------------------------------------------------------------------

    def bounced(self, bounces: Sequence[ports.Bounced], now: datetime) -> list[ports.OutboundClaim]:
        o = outbound.c
        fresh = [
            one.id
            for one in sorted(bounces, key=lambda one: one.id)
            if self.connection.execute(
                outbound.update()
                .where(o.id == one.id, o.bounced_at.is_(None), o.attempts > 0)
                .values(bounced_at=now, bounce=one.what)
            ).rowcount
        ]
        return self.outbound_rows(fresh, with_bytes=False) if fresh else []

    def reached_nobody(self, causes: Sequence[str]) -> set[str]:
        o = outbound.c
        lost = sa.or_(o.state == "failed", o.bounced_at.is_not(None))
        rows = self.connection.execute(
            sa.select(o.cause)
            .where(o.cause.in_(causes), o.role == "maintainer")
            .group_by(o.cause)
            .having(sa.func.sum(sa.case((lost, 0), else_=1)) == 0)
        )
        return {str(row.cause) for row in rows}

    def retry_outbound(self, outbound_id: OutboundId, now: datetime, expires_at: datetime) -> bool:
        """Make a row that waits, failed or bounced due at once, with a new time to live. False when it did neither."""
        return bool(
            self.connection.execute(
                outbound.update()
                .where(
                    outbound.c.id == outbound_id,
                    sa.or_(outbound.c.state.in_(("waiting", "failed")), outbound.c.bounced_at.is_not(None)),
                )
                .values(
                    state="waiting",
                    due_at=now,
                    expires_at=expires_at,
                    finished_at=None,
                    unknown_outcomes=0,
                    bounced_at=None,
                    bounce=None,
                )
            ).rowcount
        )


def _claim(row: sa.Row[Any], frozen: bytes | None) -> ports.OutboundClaim:
    return ports.OutboundClaim(
        id=OutboundId(row.id),
        token=row.lease_token,
        attempt=row.attempts,
        unknown_outcomes=row.unknown_outcomes,
        mailbox=row.mailbox,
        case_id=row.case_id,
        case_ref=row.ref,
        cause=row.cause,
        kind=row.kind,
        recipient=row.recipient,
        role=row.role,
        message_id=row.message_id,
        template=row.template,
        context=row.context or {},
        in_reply_to=row.in_reply_to,
        references=tuple(row.reference_ids),
        attached_message=row.attached_message_id,
        about_message=row.about_message_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        frozen=frozen,
        about_received_at=row.received_at,
    )
