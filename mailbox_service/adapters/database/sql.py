"""What the halves of a transaction share."""

from __future__ import annotations

from collections.abc import Sequence
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

    def insert_numbered(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Insert `rows` into a table whose primary key is `id`; their ids, in the order of the rows."""
        if self.connection.dialect.name != "postgresql":
            return list(self.connection.scalars(_insert_returning(table), rows))
        # With RETURNING all rows would be one long statement, read anew by the driver and by the server each time.
        ids = sorted(self.connection.scalars(_next_ids(table), {"b_count": len(rows)}))
        self.connection.execute(table.insert(), [row | {"id": id_} for row, id_ in zip(rows, ids, strict=True)])
        return ids

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
def _insert_returning(table: sa.Table) -> Any:
    return table.insert().returning(table.c.id, sort_by_parameter_order=True)


@cache
def _next_ids(table: sa.Table) -> Any:
    return sa.select(sa.func.nextval(f"{table.name}_id_seq")).select_from(
        sa.func.generate_series(1, sa.bindparam("b_count"))
    )


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
