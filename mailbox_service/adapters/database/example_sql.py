"""What people say that messages are. Of a message that was judged twice both rows stay; the later one counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import cases, example, message
from mailbox_service.core.labels import Label, Said
from mailbox_service.services.ports import CaseId, MessageId

_COPIED = ("outcome", "security", "spam", "model")


class ExampleSql(Sql):
    """Examples: kept, counted, read."""

    def add_examples(self, messages: Sequence[MessageId], label: str, said: str, by: str, now: datetime) -> None:
        if messages:
            self._add(message.c.id.in_(messages), label, said, by, now)

    def correct_answers(self, case: CaseId, label: str, by: str, now: datetime) -> None:
        """A case turned out to be none: so did the messages in it whose senders had said that they are reports."""
        claimed = sa.exists().where(example.c.message_id == message.c.id, example.c.said == Said.ANSWERED.value)
        self._add(sa.and_(message.c.case_id == case, claimed), label, Said.CLOSED.value, by, now)

    def _add(self, which: sa.ColumnElement[bool], label: str, said: str, by: str, now: datetime) -> None:
        told = {"label": Label(label).value, "said": Said(said).value, "said_by": by, "at": now}
        values = [sa.literal(value, example.c[name].type).label(name) for name, value in told.items()]
        rows = sa.select(message.c.id, *values, *(message.c[name] for name in _COPIED)).where(which)
        self.connection.execute(example.insert().from_select(["message_id", *told, *_COPIED], rows))

    def count_examples(self, of: str | None = None) -> list[dict[str, Any]]:
        """How many messages have each label, by mailbox and by how it was said last."""
        keys = (message.c.mailbox, example.c.label, example.c.said)
        query = sa.select(*keys, sa.func.count().label("count")).select_from(_LAST).group_by(*keys).order_by(*keys)
        if of is not None:
            query = query.where(message.c.mailbox == of)
        return [dict(row._mapping) for row in self.connection.execute(query.where(_COUNTS))]

    def examples_after(self, after: int, limit: int, of: str | None = None) -> list[dict[str, Any]]:
        """The next `limit` examples that count, in the order in which they were said, without their texts."""
        hidden = sa.or_(message.c.encrypted, sa.func.coalesce(cases.c.sealed, sa.false()))
        query = (
            sa.select(
                example,
                message.c.mailbox,
                message.c.received_at,
                message.c.subject,
                message.c.partial,
                message.c.disposition,
                hidden.label("hidden"),
            )
            .select_from(_LAST.outerjoin(cases, message.c.case_id == cases.c.id))
            .where(example.c.id > after, _COUNTS)
            .order_by(example.c.id)
            .limit(limit)
        )
        if of is not None:
            query = query.where(message.c.mailbox == of)
        return [dict(row._mapping) for row in self.connection.execute(query)]


_later = example.alias("later")
_LAST = example.join(message, example.c.message_id == message.c.id)
_COUNTS = sa.not_(sa.exists().where(_later.c.message_id == example.c.message_id, _later.c.id > example.c.id))
