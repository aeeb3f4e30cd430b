"""From a database to a backup, and back: both databases write the same file, and either reads it."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import sqlalchemy as sa

from mailbox_service.adapters.database import migrating, schema
from mailbox_service.adapters.database.backup_file import SECRETS, BackupReader, BackupWriter
from mailbox_service.adapters.database.portable import (
    columns_of,
    insert,
    rows_of,
    tables_of,
    tallied,
)
from mailbox_service.adapters.database.storage import Database, describe
from mailbox_service.adapters.database.tables import metadata
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.errors import BrokenFile, PermanentError, Refused, TemporaryError


def copy_out(database: Database, writer: BackupWriter) -> tuple[str, str]:
    """Write every table as it is at this moment; daemons go on meanwhile. The schema's revision, and the instance.

    Raises: TemporaryError; PermanentError when the database is empty or made by a newer program; what `writer` does.
    """
    with database.snapshot() as connection:
        revision = schema.revision(connection)
        if revision is None:
            raise PermanentError("the database is empty; there is nothing to back up")
        if revision not in migrating.known_revisions():
            raise PermanentError(f"the database has schema {revision}, made by a newer version of this program")
        for table in tables_of(connection).values():
            binary = any(isinstance(column.type, sa.LargeBinary) for column in table.columns)
            try:
                writer.add(table.name, columns_of(table), rows_of(connection, table), binary=binary)
            except (ValueError, TypeError) as error:
                raise PermanentError(f"a value in {table.name} cannot be read; run `mailbox-service verify`") from error
        return revision, str(SqlTransaction(connection).setting("instance") or "")


def copy_in(database: Database, backup: BackupReader, now: datetime, instance: str) -> None:
    """Fill the empty `database` from `backup`, all or nothing, bring it up to date, and freeze its outbox.

    `instance` is its new name. Raises: Refused when the database is not empty; BrokenFile when the rows do not fit
    the schema or each other; PermanentError when the schema is newer than this program; TemporaryError.
    """
    revision = backup.manifest.revision
    if revision not in migrating.known_revisions():
        raise PermanentError(f"the backup has schema {revision}, made by a newer version of this program; use that one")
    try:
        with database.engine.begin() as connection:
            # A daemon that starts meanwhile waits, and finds the database restored.
            migrating.lock(connection)
            refuse_unless_empty(connection)
            migrating.upgrade(connection, revision)
            _load(connection, backup)
            migrating.upgrade(connection, "head")
            SqlTransaction(connection).begin_anew(now, instance)
    except (sa.exc.IntegrityError, sa.exc.DataError) as error:
        raise BrokenFile(f"the backup's rows contradict each other or the schema ({describe(error)})") from error
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise TemporaryError(f"database: {describe(error)}; nothing was restored") from error


def refuse_unless_empty(connection: sa.Connection) -> None:
    """Raises: Refused."""
    there = set(sa.inspect(connection).get_table_names()) & {*metadata.tables, "alembic_version"}
    if there:
        raise Refused(
            "the database is not empty, and a restore replaces nothing: move the SQLite file away together with its "
            "-wal and -shm, or name a new database in `database.url`"
        )


def _load(connection: sa.Connection, backup: BackupReader) -> None:
    tables = tables_of(connection)
    held = {name: list(c.columns) for name, c in backup.manifest.tables.items() if name != SECRETS}
    if held != {name: list(columns_of(table)) for name, table in tables.items()}:
        raise BrokenFile(f"the backup is damaged: its tables are not those of schema {backup.manifest.revision}")
    for name, table in tables.items():
        insert(connection, table, backup.rows(name))
        if connection.dialect.name == "postgresql" and "id" in table.columns:
            _count_on(connection, table)
    for name, table in tables.items():
        there, wanted = tallied(rows_of(connection, table)), backup.manifest.tables[name]
        if (there.rows, there.sha256) != (wanted.rows, wanted.sha256):
            raise BrokenFile(f"{name} came out of the database other than it went in; nothing was restored")


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """New rows are numbered after those of the backup."""
    highest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(highest, 1), highest.is_not(None))))
