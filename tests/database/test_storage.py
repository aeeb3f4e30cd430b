"""The database as a thing that goes away, fills up, and is shared by processes that die."""

from __future__ import annotations

import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database import storage
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import message, message_chunk
from mailbox_service.errors import TemporaryError
from tests.database.setting import LEASE, NOW, migrated, new
from tests.peers.postgres import PostgresServer


def stored(database: Database) -> int:
    return int(database.run(lambda tx: tx.connection.scalar(sa.select(sa.func.count()).select_from(message))) or 0)


HOLD_SLOT = """
import sys
from mailbox_service.adapters.database import storage
from mailbox_service.adapters.database.storage import Database
database = Database.open(sys.argv[1])
print(database.identity, flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process with a worker slot, and the slot's name."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_SLOT, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 30)[0]
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def identity_once_free(url: str, wanted: str) -> str:
    """PostgreSQL needs a moment to notice that a client died."""
    found = ""
    for _ in range(500):
        database = Database.open(url)
        found = database.identity
        database.close()
        if found == wanted:
            break
    return found


def test_each_living_worker_has_a_slot_of_its_own_and_the_slot_of_a_killed_one_is_free_again(database_url: str) -> None:
    with worker(database_url) as (first, slot), worker(database_url) as (_, other):
        assert (slot, other) == ("worker-0", "worker-1")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert identity_once_free(database_url, "worker-0") == "worker-0"


def test_an_identity_lasts_as_long_as_its_database_is_open(database_url: str) -> None:
    one, two = Database.open(database_url), Database.open(database_url)
    assert (one.identity, two.identity, one.identity) == ("worker-0", "worker-1", "worker-0")
    one.close()
    two.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_postgres_goes_away_and_comes_back(own_postgres: PostgresServer) -> None:
    url = own_postgres.database()
    migrated(url)
    database, other = Database.open(url), None
    try:
        assert database.identity == "worker-0"
        database.run(lambda tx: tx.store([new(b"before")], NOW, LEASE))
        for end in (own_postgres.stop, own_postgres.kill):
            end()
            with pytest.raises(TemporaryError) as caught:
                database.run(lambda tx: tx.store([new(b"while it is away")], NOW, LEASE))
            assert "while it is away" not in str(caught.value)
            own_postgres.start()
            assert stored(database) == 1
            # The lock of the slot ended with the server. Whoever took the slot meanwhile keeps it.
            other = other or Database.open(url)
            taken = other.identity
            assert database.identity != taken
    finally:
        database.close()
        if other is not None:
            other.close()


def test_a_full_disk_is_a_temporary_error_and_leaves_nothing_half_written(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    try:
        pages = database.run(lambda tx: tx.connection.scalar(sa.text("pragma page_count")))
        database.run(lambda tx: tx.connection.exec_driver_sql(f"pragma max_page_count = {pages + 50}"))
        database.run(lambda tx: tx.store([new(b"small")], NOW, LEASE))
        with pytest.raises(TemporaryError, match="SQLITE_FULL"):
            database.run(lambda tx: tx.store([new(b"also small"), new(b"large" * 500_000)], NOW, LEASE))
        chunks = database.run(lambda tx: tx.connection.scalar(sa.select(sa.func.count()).select_from(message_chunk)))
        assert (stored(database), chunks) == (1, 1)
        database.run(lambda tx: tx.connection.exec_driver_sql("pragma max_page_count = 100000"))
        assert len(database.run(lambda tx: tx.store([new(b"large" * 500_000)], NOW, LEASE))) == 1
    finally:
        database.close()


def test_a_read_only_file_is_a_temporary_error(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    try:
        database.run(lambda tx: tx.connection.exec_driver_sql("pragma query_only = on"))
        with pytest.raises(TemporaryError, match="READONLY"):
            database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
    finally:
        database.close()


def test_a_lock_held_by_somebody_else_is_waited_for_and_then_a_temporary_error(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        database.run(lambda tx: tx.connection.exec_driver_sql("pragma busy_timeout = 50"))
        holder.execute("begin immediate")
        with pytest.raises(TemporaryError, match="SQLITE_BUSY"):
            database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))
        holder.execute("rollback")
        assert len(database.run(lambda tx: tx.store([new(b"a")], NOW, LEASE))) == 1
    finally:
        holder.close()
        database.close()


def test_durability_is_as_promised_on_sqlite(database_url: str) -> None:
    database = Database.open(database_url)
    try:
        if database.is_sqlite:
            read = database.run(
                lambda tx: [
                    tx.connection.scalar(sa.text(f"pragma {name}"))
                    for name in ("journal_mode", "synchronous", "foreign_keys")
                ]
            )
            assert read == ["wal", 2, 1]
        else:
            assert database.run(lambda tx: tx.connection.scalar(sa.text("show synchronous_commit"))) == "on"
    finally:
        database.close()


def test_what_raises_in_a_transaction_is_raised_to_the_caller_and_undone(database: Database) -> None:
    def fails(tx: object) -> None:
        tx.store([new(b"a")], NOW, LEASE)  # type: ignore[attr-defined]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.run(fails)
    assert stored(database) == 0


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_daemon_that_stands_still_in_a_transaction_loses_its_locks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "IDLE_IN_TRANSACTION", "100ms")
    frozen, other = Database.open(database_url), Database.open(database_url)
    held = frozen.engine.connect()
    held.exec_driver_sql("lock table setting in exclusive mode")
    other.run(lambda tx: tx.put_setting("of", "the other"))
    assert other.run(lambda tx: tx.setting("of")) == "the other"
    held.invalidate()
    held.close()
    for database in (frozen, other):
        database.close()
