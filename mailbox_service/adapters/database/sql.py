"""What the halves of a transaction share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mailbox_service.adapters.database.tables import setting

# About 1 MiB: one row stays far below every server's limits, and a large message is never one value.
CHUNK_BYTES = 1 << 20


class Sql:
    """Statements over one connection, inside the transaction its owner began."""

    connection: sa.Connection

    def upsert(self, table: sa.Table) -> Any:
        """INSERT of the dialect at hand, the one with ON CONFLICT. Typed Any: the two share no base class."""
        return postgresql.insert(table) if self.connection.dialect.name == "postgresql" else sqlite.insert(table)

    def setting(self, name: str) -> str | None:
        """One small fact that belongs to the database as a whole."""
        return self.connection.scalar(sa.select(setting.c.value).where(setting.c.name == name))

    def put_setting(self, name: str, value: str) -> None:
        insert = self.upsert(setting).values(name=name, value=value)
        self.connection.execute(
            insert.on_conflict_do_update(index_elements=[setting.c.name], set_={"value": insert.excluded.value})
        )


def chunks(data: bytes) -> list[tuple[int, bytes]]:
    """`data` in numbered pieces; an empty message has one empty piece."""
    return [(n, data[i : i + CHUNK_BYTES]) for n, i in enumerate(range(0, len(data) or 1, CHUNK_BYTES))]
