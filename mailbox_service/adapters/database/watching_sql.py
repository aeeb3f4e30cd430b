"""What the vigil and the reconciliation ask: the signs by which neglect and loss show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import folder, mailbox, message, message_chunk, outbound, source
from mailbox_service.services.reconciliation import OnFile


class WatchingSql(Sql):
    """Counts and oldest moments of one mailbox. Read-only."""

    def held_because(self, of: str, why: str) -> int:
        m = message.c
        query = sa.select(sa.func.count()).where(m.state == "held", m.mailbox == of, m.why == why)
        return int(self.connection.scalar(query) or 0)

    def oldest_due_message(self, of: str, now: datetime) -> datetime | None:
        m = message.c
        query = sa.select(sa.func.min(m.due_at)).where(
            m.state == "waiting",
            m.mailbox == of,
            m.due_at <= now,
            sa.or_(m.lease_until.is_(None), m.lease_until < now),
        )
        found: datetime | None = self.connection.scalar(query)
        return found

    def first_expiry_of_waiting_mail(self, of: str) -> datetime | None:
        o = outbound.c
        query = sa.select(sa.func.min(o.expires_at)).where(o.state == "waiting", o.mailbox == of, o.kind != "canary")
        found: datetime | None = self.connection.scalar(query)
        return found

    def last_deliveries(self, of: str, recipients: list[str]) -> dict[str, str]:
        o = outbound.c
        newest = (
            sa.select(sa.func.max(o.id))
            .where(o.mailbox == of, o.recipient.in_(recipients), o.role == "maintainer")
            .where(o.state.in_(("sent", "failed")))
            .group_by(o.recipient)
        )
        became = sa.case((o.bounced_at.is_not(None), "failed"), else_=o.state).label("state")
        rows = self.connection.execute(sa.select(o.recipient, became).where(o.id.in_(newest)))
        return {row.recipient: row.state for row in rows}

    # --- reconciliation ------------------------------------------------------------------------------------

    def sources_between(self, of: str, name: str, uidvalidity: int, first: int, last: int) -> dict[int, OnFile]:
        has_bytes = sa.exists().where(message_chunk.c.message_id == message.c.id, message_chunk.c.seq == 0)
        rows = self.connection.execute(
            sa.select(source.c.uid, message.c.size_bytes, message.c.partial, has_bytes.label("has_bytes"))
            .select_from(source.join(message, source.c.message_id == message.c.id))
            .where(source.c.folder_id.in_(_folder(of, name, uidvalidity)), source.c.uid.between(first, last))
        )
        return {row.uid: OnFile(row.size_bytes, row.partial, bool(row.has_bytes)) for row in rows}

    def count_sources(self, of: str, name: str, uidvalidity: int) -> int:
        query = sa.select(sa.func.count()).where(source.c.folder_id.in_(_folder(of, name, uidvalidity)))
        return int(self.connection.scalar(query) or 0)

    def digests_on_file(self, of: str, digests: Sequence[str]) -> set[str]:
        query = sa.select(message.c.sha256).where(message.c.mailbox == of, message.c.sha256.in_(digests))
        return set(self.connection.scalars(query))

    def first_contact(self, of: str) -> datetime | None:
        found: datetime | None = self.connection.scalar(
            sa.select(mailbox.c.first_contact_at).where(mailbox.c.name == of)
        )
        return found


def _folder(of: str, name: str, uidvalidity: int) -> sa.Select[tuple[int]]:
    return sa.select(folder.c.id).where(
        folder.c.mailbox == of, folder.c.name == name, folder.c.uidvalidity == uidvalidity
    )
