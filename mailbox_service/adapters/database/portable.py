"""Rows as plain values that both databases, and a file, can hold: a row is the same values wherever it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mailbox_service.adapters.database.tables import UtcDateTime, metadata, storable
from mailbox_service.errors import BrokenFile

Value = None | int | float | str | bytes
Row = tuple[Value, ...]
T = TypeVar("T")

# What is in memory at a time: many small rows, or a few of up to a chunk each.
ROWS_AT_ONCE, CHUNKS_AT_ONCE = 500, 16


def tables_of(connection: sa.Connection) -> dict[str, sa.Table]:
    """The tables of ours that the database has, as they are there: its schema may be older than this program's."""
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name in metadata.tables)
    for table in found.tables.values():
        for column in table.columns:
            if isinstance(column.type, sa.DateTime):
                column.type = UtcDateTime()
            elif isinstance(column.type, sa.JSON):
                column.type = postgresql.JSONB(none_as_null=True) if _is_postgres(connection) else sa.JSON(True)
    return {table.name: table for table in found.sorted_tables}


def columns_of(table: sa.Table) -> list[str]:
    """The columns in the order of portable rows."""
    return [column.name for column in _sorted(table)]


def rows_of(connection: sa.Connection, table: sa.Table) -> Iterator[Row]:
    """All rows in the order of the primary key, read a few at a time."""
    columns = _sorted(table)
    outward = [_outward(column.type) for column in columns]
    query = sa.select(*columns).order_by(*(_bytewise(connection, column) for column in table.primary_key))
    for row in connection.execute(query, execution_options={"stream_results": True, "yield_per": _at_once(table)}):
        yield tuple(None if v is None else convert(v) for v, convert in zip(row, outward, strict=True))


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """Insert portable rows. Raises: BrokenFile when a value is none of its column."""
    inward = [(column.name, _inward(column.type)) for column in _sorted(table)]
    for portion in portions(rows, _at_once(table)):
        try:
            values = [
                {name: None if v is None else convert(v) for v, (name, convert) in zip(row, inward, strict=True)}
                for row in portion
            ]
        except (ValueError, TypeError, LookupError, RecursionError):
            raise BrokenFile(f"the backup is damaged: a value in {table.name} is not what it should be") from None
        connection.execute(table.insert(), values)


class Tally:
    """Counts and digests the rows that pass through it; equal digests mean equal rows in equal order."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.rows += 1
            # ascii(), because repr() depends on the Unicode version of the Python that runs it.
            self._digest.update(ascii([len(v) if isinstance(v, bytes) else v for v in row]).encode("ascii"))
            for value in row:
                if isinstance(value, bytes):
                    self._digest.update(value)
            yield row

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def tallied(rows: Iterable[Row]) -> Tally:
    """The tally of all `rows`."""
    tally = Tally()
    for _ in tally.over(rows):
        pass
    return tally


def portions(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while portion := list(islice(left, size)):
        yield portion


def _sorted(table: sa.Table) -> list[sa.Column[Any]]:
    # By name: a migration may leave columns in another order on one database than on the other.
    return sorted(table.columns, key=lambda column: column.name)


def _bytewise(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Text in the order of its bytes, as SQLite has it, whatever the language of a PostgreSQL server."""
    textual = isinstance(column.type, sa.String)
    return sa.collate(column, "C") if textual and _is_postgres(connection) else column


def _at_once(table: sa.Table) -> int:
    binary = any(isinstance(column.type, sa.LargeBinary) for column in table.columns)
    return CHUNKS_AT_ONCE if binary else ROWS_AT_ONCE


def _is_postgres(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


# --- values ------------------------------------------------------------------------------------------------


def _outward(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Value]:
    match kind:
        case UtcDateTime():
            return lambda v: v.astimezone(UTC).isoformat(timespec="microseconds")
        case sa.JSON():
            return lambda v: json.dumps(v, sort_keys=True)
        case sa.Boolean():
            return int
        case sa.LargeBinary():
            return bytes
        case sa.Float():
            return float
        case sa.Integer():
            return int
        case _:
            return storable


def _inward(kind: sa.types.TypeEngine[Any]) -> Callable[[Value], Any]:
    match kind:
        case UtcDateTime():
            return _moment
        case sa.JSON():
            return lambda v: json.loads(_a(v, str))
        case sa.Boolean():
            return lambda v: {0: False, 1: True}[_a(v, int)]
        case sa.LargeBinary():
            return lambda v: _a(v, bytes)
        case sa.Float():
            return lambda v: _a(v, float)
        case sa.Integer():
            return lambda v: _a(v, int)
        case _:
            return lambda v: _a(v, str)


def _moment(value: Value) -> datetime:
    moment = datetime.fromisoformat(_a(value, str))
    if moment.tzinfo is None:
        raise ValueError("nobody knows what a naive datetime means")
    return moment


def _a(value: Value, kind: type[T]) -> T:
    if type(value) is not kind:
        raise TypeError
    return value
