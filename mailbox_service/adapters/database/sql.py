"""What the halves of a transaction share."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mailbox_service.adapters.database.tables import setting

# About 1 MiB: one row stays far below every server's limits, and a large message is never one value.
CHUNK_BYTES = 1 << 20


class Sql:
    """Statements over one connection, inside the transaction its owner began."""

    connection: sa.Connection

    def or_leave(self, table: sa.Table) -> Any:
        """INSERT that leaves alone what is there already."""
        return _or_leave(self.connection.dialect.name, table)

    def or_add(self, table: sa.Table, column: str) -> Any:
        """INSERT that adds to `column` where the row is there already."""
        return _or_add(self.connection.dialect.name, table, column)

    def setting(self, name: str) -> str | None:
        """One small fact that belongs to the database as a whole."""
        return self.connection.scalar(sa.select(setting.c.value).where(setting.c.name == name))

    def put_setting(self, name: str, value: str) -> None:
        insert = _insert(self.connection.dialect.name, setting).values(name=name, value=value)
        self.connection.execute(
            insert.on_conflict_do_update(index_elements=[setting.c.name], set_={"value": insert.excluded.value})
        )


# Each is built once: building a statement costs as much as the database does to carry it out. Typed Any, because the
# two dialects' INSERT ... ON CONFLICT share no base class.


def _insert(dialect: str, table: sa.Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _or_leave(dialect: str, table: sa.Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _or_add(dialect: str, table: sa.Table, column: str) -> Any:
    insert = _insert(dialect, table)
    total = table.c[column] + insert.excluded[column]
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_={column: total})


def chunks(data: bytes) -> list[tuple[int, bytes]]:
    """`data` in numbered pieces; an empty message has one empty piece."""
    return [(n, data[i : i + CHUNK_BYTES]) for n, i in enumerate(range(0, len(data) or 1, CHUNK_BYTES))]
