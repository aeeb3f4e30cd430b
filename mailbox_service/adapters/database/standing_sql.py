"""How much waits, and since when: what monitoring asks every few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mailbox_service.adapters.database.outbox_sql import OutboxSql
from mailbox_service.adapters.database.tables import folder, message, outbound, source


@dataclass(frozen=True, slots=True)
class Queue:
    """Things of one mailbox that wait: messages, held, mails, failed (mails) or marks."""

    mailbox: str
    name: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    paused: bool
    queues: tuple[Queue, ...]  # only those in which something is


class StandingSql(OutboxSql):
    """Reads by index only what waits: the cost does not grow with what is on file and done."""

    def standing(self) -> Standing:
        m, o, s = message.c, outbound.c, source.c
        count = sa.func.count()
        waits = (
            ("messages", sa.select(m.mailbox, count, sa.func.min(m.stored_at)).where(m.state == "waiting")),
            ("held", sa.select(m.mailbox, count, sa.func.min(m.stored_at)).where(m.state == "held")),
            ("mails", sa.select(o.mailbox, count, sa.func.min(o.created_at)).where(o.state == "waiting")),
            ("failed", sa.select(o.mailbox, count, sa.func.min(o.created_at)).where(o.state == "failed")),
        )
        queues = [
            Queue(mailbox, name, number, oldest)
            for name, query in waits
            for mailbox, number, oldest in self.connection.execute(query.group_by(query.selected_columns[0]))
        ]
        marks = (
            sa.select(folder.c.mailbox, count, sa.func.min(s.seen_at))
            .select_from(source.join(folder, s.folder_id == folder.c.id))
            .where(s.mark_state == "waiting")
            .group_by(folder.c.mailbox)
        )
        queues += [
            Queue(mailbox, "marks", number, oldest) for mailbox, number, oldest in self.connection.execute(marks)
        ]
        return Standing(self.outbox_paused(), tuple(queues))
