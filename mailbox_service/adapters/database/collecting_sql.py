"""Counting answers, and collecting lines for the mails that tell of many things at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import budget, cases, collected, message
from mailbox_service.services import ports

# Built once: that costs as much as the database does to carry it out.
_BUDGETS = sa.select(budget.c.name, budget.c.window_start, budget.c.used).where(
    budget.c.name.in_(sa.bindparam("b_names", expanding=True)),
    budget.c.window_start.in_(sa.bindparam("b_windows", expanding=True)),
)


class CollectingSql(Sql):
    """Budgets and collected lines."""

    def budgets(self, names: Sequence[tuple[str, datetime]]) -> dict[tuple[str, datetime], int]:
        if not names:
            return {}
        wanted = set(names)
        rows = self.connection.execute(
            _BUDGETS, {"b_names": list({n for n, _ in wanted}), "b_windows": list({w for _, w in wanted})}
        )
        return {(r.name, r.window_start): r.used for r in rows if (r.name, r.window_start) in wanted}

    def spend(self, used: dict[tuple[str, datetime], int]) -> None:
        if not used:
            return
        self.connection.execute(
            self.or_add(budget, "used"),
            # Sorted, so that two workers never wait for each other.
            [{"name": n, "window_start": w, "used": count} for (n, w), count in sorted(used.items())],
        )

    def forget_budgets(self, before: datetime) -> None:
        self.connection.execute(budget.delete().where(budget.c.window_start < before))

    def add_collected(self, items: Sequence[ports.CollectedItem], now: datetime) -> None:
        if items:
            self.connection.execute(
                collected.insert(),
                [
                    {
                        "mailbox": i.mailbox,
                        "channel": i.channel,
                        "recipient": i.recipient,
                        "at": now,
                        "message_id": i.message_id,
                        "case_id": i.case_id,
                        "section": i.section,
                        "line": i.line,
                    }
                    for i in items
                ],
            )

    def due_channels(self) -> list[tuple[str, str, str, datetime, datetime]]:
        c = collected.c
        rows = self.connection.execute(
            sa.select(c.mailbox, c.channel, c.recipient, sa.func.min(c.at), sa.func.max(c.at))
            .where(c.cause.is_(None))
            .group_by(c.mailbox, c.channel, c.recipient)
            .order_by(c.mailbox, c.channel, c.recipient)
        )
        return [(r[0], r[1], r[2], r[3], r[4]) for r in rows]

    def collect(
        self, name_of_mailbox: str, channel: str, recipient: str, limit: int
    ) -> tuple[str, list[ports.CollectedLine]]:
        c = collected.c
        wanted = (
            sa.select(c.id)
            .where(c.cause.is_(None), c.mailbox == name_of_mailbox, c.channel == channel, c.recipient == recipient)
            .order_by(c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = list(self.connection.scalars(wanted))
        # Named after what is in it: two workers that collect at the same moment make two mails, not one and a lost one.
        cause = f"{name_of_mailbox}/{channel}:{ids[0] if ids else 0}"
        self.connection.execute(collected.update().where(c.id.in_(ids)).values(cause=cause))
        sealed = sa.or_(cases.c.sealed.is_(True), message.c.encrypted.is_(True))
        rows = self.connection.execute(
            sa.select(
                c.section,
                c.line,
                c.at,
                c.message_id,
                message.c.received_at,
                sa.case((sealed, ""), else_=message.c.sender).label("sender"),
                sa.case((sealed, ""), else_=message.c.subject).label("subject"),
                cases.c.ref,
                cases.c.unsure,
            )
            .select_from(
                collected.outerjoin(cases, c.case_id == cases.c.id).outerjoin(message, c.message_id == message.c.id)
            )
            .where(c.id.in_(ids))
            .order_by(c.id)
        )
        return cause, [
            ports.CollectedLine(
                r.section,
                r.line,
                r.at,
                r.message_id,
                r.received_at,
                r.sender or "",
                r.subject or "",
                r.ref,
                bool(r.unsure),
            )
            for r in rows
        ]
