"""The throw-away PostgreSQL does what the database and fault tests take for granted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.peers import postgres as peer
from tests.peers.postgres import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer(fsync=False)
    try:
        running.start()
        yield running
    finally:
        running.remove()


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, autocommit=True)


def test_every_database_is_new_and_empty(server: PostgresServer) -> None:
    first, second = server.database(), server.database()
    assert first != second
    with connect(first) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    with connect(second) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_committed_outlives_the_server(server: PostgresServer, end: str) -> None:
    url = server.database()
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    open_connection = connect(url)
    getattr(server, end)()
    with pytest.raises(psycopg.OperationalError):
        open_connection.execute("SELECT 1")
    open_connection.close()
    with pytest.raises(psycopg.OperationalError):
        connect(url)
    server.start()
    with connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_nothing_is_left_after_remove() -> None:
    server = PostgresServer(fsync=False)
    server.start()
    url = server.database()
    server.remove()
    assert not server.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        connect(url)


def test_a_missing_postgresql_fails_and_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(pytest.fail.Exception, match="apt install postgresql"):
        peer._binaries()
