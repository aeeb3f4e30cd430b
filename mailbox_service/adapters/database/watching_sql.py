"""What the vigil asks: the signs by which neglect shows."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import message, outbound


class WatchingSql(Sql):
    """Counts and oldest moments of one mailbox. Read-only."""

    def held_because(self, mailbox: str, why: str) -> int:
        m = message.c
        query = sa.select(sa.func.count()).where(m.state == "held", m.mailbox == mailbox, m.why == why)
        return int(self.connection.scalar(query) or 0)

    def oldest_due_message(self, mailbox: str, now: datetime) -> datetime | None:
        m = message.c
        query = sa.select(sa.func.min(m.due_at)).where(
            m.state == "waiting",
            m.mailbox == mailbox,
            m.due_at <= now,
            sa.or_(m.lease_until.is_(None), m.lease_until < now),
        )
        found: datetime | None = self.connection.scalar(query)
        return found

    def first_expiry_of_waiting_mail(self, mailbox: str) -> datetime | None:
        o = outbound.c
        query = sa.select(sa.func.min(o.expires_at)).where(
            o.state == "waiting", o.mailbox == mailbox, o.kind != "canary"
        )
        found: datetime | None = self.connection.scalar(query)
        return found

    def last_deliveries(self, mailbox: str, recipients: list[str]) -> dict[str, str]:
        o = outbound.c
        newest = (
            sa.select(sa.func.max(o.id))
            .where(o.mailbox == mailbox, o.recipient.in_(recipients), o.role == "maintainer")
            .where(o.state.in_(("sent", "failed")))
            .group_by(o.recipient)
        )
        became = sa.case((o.bounced_at.is_not(None), "failed"), else_=o.state).label("state")
        rows = self.connection.execute(sa.select(o.recipient, became).where(o.id.in_(newest)))
        return {row.recipient: row.state for row in rows}
