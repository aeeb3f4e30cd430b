"""Bringing the database to the schema that this version of the program wants."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailbox_service.adapters.database.storage import Database, describe
from mailbox_service.adapters.database.tables import metadata
from mailbox_service.errors import PermanentError, TemporaryError

# PostgreSQL: two daemons that start together must not migrate together.
MIGRATION_LOCK = 0x6D626F78
BUSY_TRIES, BUSY_PAUSE_SECONDS = 20, 0.5


def scripts_folder() -> Path:
    """`migrations/`: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise PermanentError("the migrations are not installed")


def migrate(database: Database) -> tuple[str | None, str | None]:
    """Apply what is missing, all or nothing. Returns the revisions before and after.

    Raises: TemporaryError when the database is away; PermanentError when it was made by a newer program.
    """
    for attempt in range(1, BUSY_TRIES + 1):
        try:
            return _migrate(database)
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            # Switching a new SQLite file to WAL meets others who do the same with SQLITE_BUSY at once, timeout or not.
            if "SQLITE_BUSY" not in describe(error) or attempt == BUSY_TRIES:
                raise TemporaryError(f"database: {describe(error)}") from error
        time.sleep(BUSY_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _migrate(database: Database) -> tuple[str | None, str | None]:
    with database.engine.begin() as connection:
        lock(connection)
        before = MigrationContext.configure(connection).get_current_revision()
        if before is not None and before not in known_revisions():
            raise PermanentError(f"the database has schema {before}, made by a newer version of this program")
        upgrade(connection, "head")
        return before, MigrationContext.configure(connection).get_current_revision()


def lock(connection: sa.Connection) -> None:
    """Nobody else migrates until this transaction ends; on SQLite it is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def upgrade(connection: sa.Connection, revision: str) -> None:
    """Apply what is missing up to `revision`, in the caller's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def known_revisions() -> set[str]:
    """All schemas that this program can read, old ones included."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def differences(database: Database) -> list[str]:
    """In what the database differs from the tables of this program; empty when they agree."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()))
    return config
