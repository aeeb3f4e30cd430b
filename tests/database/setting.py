"""Both databases, migrated and empty, one of its own for each test. Test ids contain `sqlite` or `postgres`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from mailbox_service.adapters.database import migrating
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import metadata
from mailbox_service.services.ports import FolderId, Lease, NewMail, NewMessage, Origin, RawMessage, SourceKind
from tests.peers.postgres import PostgresServer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LEASE = Lease("worker-0", NOW + timedelta(minutes=2))
SOON = timedelta(seconds=1)

NewUrl = Callable[[], str]


def migrated(url: str) -> None:
    database = Database.open(url)
    try:
        migrating.migrate(database)
    finally:
        database.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to copy: a copy is much quicker than the migrations."""
    path = tmp_path_factory.mktemp("migrated") / "mailbox.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The URL of a database that the tests use one after the other: emptying is quicker than making a new one."""
    url = postgres.database()
    migrated(url)
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without any rows."""
    return fresh_database(request.param, request, tmp_path)


def fresh_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a migrated `kind` (sqlite, postgres) without any rows; of postgres there is one at a time."""
    if kind == "sqlite":
        path = folder / "mailbox.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        path.chmod(0o600)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("migrated_postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        # Whoever a former test killed may still hold locks.
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(f"truncate {tables} restart identity cascade".encode())
    return url


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """For what only SQLite can show."""
    shutil.copy(migrated_sqlite, tmp_path / "mailbox.db")
    return f"sqlite:///{tmp_path / 'mailbox.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'mailbox.db'}"
    url: str = request.getfixturevalue("postgres").database()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    yield opened
    opened.close()


# --- values ------------------------------------------------------------------------------------------------


def new(
    data: bytes,
    *,
    mailbox: str = "security",
    folder: FolderId | None = None,
    uid: int | None = None,
    junk: bool = False,
    quiet: bool = False,
    received_at: datetime = NOW,
) -> NewMessage:
    kind = SourceKind.IMPORT if folder is None else SourceKind.IMAP
    origin = Origin(kind, mailbox, folder_id=folder, uid=uid, junk=junk, quiet=quiet)
    return NewMessage(RawMessage(data, origin, received_at), sha256(data).hexdigest())


def mail(
    cause: str = "message:1", kind: str = "redirect", recipient: str = "a@x.example", priority: int = 50
) -> NewMail:
    return NewMail(
        mailbox="security",
        cause=cause,
        kind=kind,
        recipient=recipient,
        role="reporter",
        message_id=f"<{cause}.{kind}.{recipient}>",
        template=kind,
        context={"a": "b"},
        priority=priority,
    )
