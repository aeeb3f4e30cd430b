"""The outbox's half of a transaction: claim, freeze, settle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql, chunks
from mailbox_service.adapters.database.tables import cases, message, outbound, outbound_chunk, setting
from mailbox_service.services import ports
from mailbox_service.services.ports import OutboundId

PAUSED = "outbox_paused"
FROZEN = "outbox_frozen"  # by a restore, until a person has looked at what would go out
INSTANCE = "instance"


class OutboxSql(Sql):
    """Rows of the outbox."""

    def outbox_paused(self) -> bool:
        stops = sa.select(sa.exists().where(setting.c.name.in_((PAUSED, FROZEN)), setting.c.value == "yes"))
        return bool(self.connection.scalar(stops))

    def pause_outbox(self, paused: bool) -> None:
        self.put_setting(PAUSED, "yes" if paused else "no")

    def instance(self, new: str) -> str:
        """The name of this database, made once: `new` where it has none yet."""
        insert = self.upsert(setting).values(name=INSTANCE, value=new).on_conflict_do_nothing()
        self.connection.execute(insert)
        return str(self.setting(INSTANCE))

    def outbound_named(self, message_ids: Sequence[str], ids: Sequence[OutboundId] = ()) -> list[ports.KnownOutbound]:
        # A redirect belongs to no case; the message it answered may be in one by now.
        case_id = sa.func.coalesce(outbound.c.case_id, message.c.case_id)
        named = outbound.c.message_id.in_(message_ids)
        rows = self.connection.execute(
            sa.select(
                outbound.c.message_id,
                outbound.c.recipient,
                outbound.c.kind,
                outbound.c.mailbox,
                case_id,
                cases.c.ref,
                sa.func.coalesce(cases.c.sealed, sa.false()),
                outbound.c.about_message_id,
                sa.func.coalesce(message.c.subject, ""),
                outbound.c.id,
            )
            .select_from(
                outbound.outerjoin(message, outbound.c.about_message_id == message.c.id).outerjoin(
                    cases, cases.c.id == case_id
                )
            )
            .where(sa.or_(named, outbound.c.id.in_(ids)) if ids else named)
            .order_by(outbound.c.id)
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
        self.connection.execute(self.upsert(outbound).on_conflict_do_nothing(), rows)

    # --- T4 ------------------------------------------------------------------------------------------------

    def claim_outbound(
        self, limit: int, now: datetime, lease: ports.Lease, mailboxes: Sequence[str]
    ) -> list[ports.OutboundClaim]:
        o = outbound.c
        wanted = (
            sa.select(o.id)
            .where(
                o.state == "waiting",
                o.due_at <= now,
                o.mailbox.in_(mailboxes),
                sa.or_(o.lease_until.is_(None), o.lease_until < now),
            )
            .order_by(o.priority, o.due_at, o.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = self.connection.scalars(
            outbound.update()
            .where(o.id.in_(wanted.scalar_subquery()))
            .values(
                attempts=o.attempts + 1, lease_token=o.lease_token + 1, lease_owner=lease.owner, lease_until=lease.until
            )
            .returning(o.id)
        ).all()
        return self.outbound_rows(ids) if ids else []

    def outbound_rows(self, ids: Sequence[int], *, with_bytes: bool = True) -> list[ports.OutboundClaim]:
        rows = self.connection.execute(
            sa.select(outbound, cases.c.ref, message.c.received_at)
            .select_from(
                outbound.outerjoin(cases, outbound.c.case_id == cases.c.id).outerjoin(
                    message, outbound.c.about_message_id == message.c.id
                )
            )
            .where(outbound.c.id.in_(ids))
            .order_by(outbound.c.priority, outbound.c.due_at, outbound.c.id)
        ).all()
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
        self.connection.execute(
            outbound.update().where(outbound.c.id.in_([c.id for c, _ in mine])).values(frozen_at=now)
        )
        self.connection.execute(
            outbound_chunk.insert(),
            [{"outbound_id": claim.id, "seq": n, "data": piece} for claim, data in mine for n, piece in chunks(data)],
        )
        return ours

    def _still_ours(self, claims: Sequence[ports.OutboundClaim]) -> set[OutboundId]:
        tokens = {claim.id: claim.token for claim in claims}
        rows = self.connection.execute(
            sa.select(outbound.c.id, outbound.c.lease_token)
            .where(outbound.c.id.in_(tokens), outbound.c.state == "waiting")
            .order_by(outbound.c.id)
            .with_for_update()
        )
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
            self.connection.execute(
                outbound.update()
                .where(outbound.c.id == sa.bindparam("b_id"))
                .values(
                    state=sa.bindparam("b_state"),
                    last_reply=sa.bindparam("b_reply"),
                    due_at=sa.bindparam("b_due"),
                    unknown_outcomes=outbound.c.unknown_outcomes + sa.bindparam("b_unknown"),
                    finished_at=sa.bindparam("b_finished"),
                    lease_until=None,
                ),
                values,
            )
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
