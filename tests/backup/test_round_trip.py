"""A backup of either database restores into either, all of it or nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database import migrating, restoration, schema
from mailbox_service.adapters.database.backup_file import BackupWriter
from mailbox_service.adapters.database.portable import Row, insert
from mailbox_service.adapters.database.storage import Database
from mailbox_service.errors import PermanentError, Refused
from tests.backup.setting import (
    RESTORED_AT,
    Life,
    NewDatabase,
    back_up,
    bench_of,
    broken_promises,
    contents,
    restore,
    rows,
)
from tests.services.bench import letter

# What a restore changes on purpose; everything else must come back as it was.
# `message`: what waited is quiet now; `folder`: it is looked at like at the first contact.
CHANGED = {"setting", "counter", "message", "folder"}


async def test_every_row_comes_back_and_the_service_goes_on(
    life: Life, empty: Database, new_database: NewDatabase, tmp_path: Path
) -> None:
    restore(empty, life.backup)
    after = contents(empty)
    assert after.keys() == life.contents.keys()
    assert {name for name in after if after[name] != life.contents[name]} == CHANGED
    assert broken_promises(empty) == {}
    # A column that is empty everywhere would prove nothing.
    (columns,) = rows(empty, "select * from cases where id = 2")
    assert [name for name, value in columns._mapping.items() if value is None] == ["closed_at", "sketch"]
    assert migrating.differences(empty) == []
    back_up(empty, tmp_path / "again")  # from there into the other one
    other = new_database("sqlite" if not empty.is_sqlite else "postgres")
    restore(other, tmp_path / "again", name="the third one")
    once_more = contents(other)
    assert {name for name in after if after[name] != once_more[name]} == CHANGED - {"message", "folder"}
    bench = bench_of(other, life.folder, now=RESTORED_AT)
    await bench.post(letter("report of today", "new@research.example"))
    assert [bench.messages()[-1][key] for key in ("id", "disposition")] == [7, "case"]
    assert broken_promises(other) == {}


async def test_a_backup_is_one_moment_and_no_writer_waits_for_it(database: Database, tmp_path: Path) -> None:
    bench = bench_of(database, tmp_path)
    await bench.post(letter("report one"))
    before = contents(database)
    done = threading.Event()

    class Watched(BackupWriter):
        def add(self, name: str, columns: Any, data: Iterable[Row], *, binary: bool = False) -> None:
            # Half way through the first table a daemon works a new report, from T1 to T6.
            def interrupted() -> Iterator[Row]:
                for row in data:
                    if not done.is_set():
                        done.set()
                        asyncio.run(_work())
                    yield row

            BackupWriter.add(self, name, columns, interrupted(), binary=binary)

    async def _work() -> None:
        await bench.post(letter("report meanwhile", "meanwhile@research.example"))
        assert await bench.deliver()

    def make() -> None:
        writer = Watched(tmp_path / "backup")
        restoration.copy_out(database, writer)
        writer.close()
        assert {name: c.rows for name, c in writer.tables.items()} == {n: len(r) for n, r in before.items()}

    await asyncio.to_thread(make)
    assert done.is_set()
    assert len(contents(database)["message"]) == len(before["message"]) + 1


def test_a_database_with_tables_is_never_restored_over(database: Database, tmp_path: Path) -> None:
    back_up(database, tmp_path / "backup")
    before = contents(database)
    with pytest.raises(Refused, match=r"not empty.*move the SQLite file away"):
        restore(database, tmp_path / "backup")
    assert contents(database) == before


@pytest.mark.parametrize("number", [1, 99], ids=["at the first table", "before the commit"])
def test_a_restore_that_is_killed_leaves_nothing_and_the_next_one_works(
    life: Life, empty: Database, empty_url: str, number: int
) -> None:
    pid = os.fork()
    if pid == 0:
        _restore_and_die(empty_url, life.backup, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert contents(empty) == {}
    restore(empty, life.backup)
    assert contents(empty)["outbound"] == life.contents["outbound"]


def _restore_and_die(url: str, path: Path, number: int) -> None:
    """Die at the n-th table, or just before the commit."""
    seen: list[str] = []

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watched(connection: sa.Connection, table: sa.Table, data: Iterable[Row]) -> None:
        seen.append(table.name)
        if len(seen) == number:
            die()
        insert(connection, table, data)

    try:
        restoration.insert = watched  # type: ignore[assignment,attr-defined]
        database = Database.open(url)
        sa.event.listen(database.engine, "commit", lambda _: die())
        restore(database, path)
    finally:
        os._exit(1)


def test_an_older_schema_is_brought_up_to_date(empty: Database, new_database: NewDatabase, tmp_path: Path) -> None:
    old, target = empty, new_database("sqlite")
    with old.engine.begin() as connection:
        migrating.upgrade(connection, "0001")
        connection.execute(sa.text("insert into setting values ('instance', 'old')"))
        connection.execute(sa.text("insert into mailbox values ('security', '2026-01-01 00:00:00.000000+00:00')"))
    assert back_up(old, tmp_path / "backup").revision == "0001"
    restore(target, tmp_path / "backup")
    with target.snapshot() as connection:
        assert schema.revision(connection) == schema.REVISION
    assert migrating.differences(target) == []
    assert list(rows(target, "select name from mailbox")) == [("security",)]


def test_rows_of_a_backup_go_through_the_migrations_that_came_after_it(
    life: Life, empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path / "migrations"
    (later / "versions").mkdir(parents=True)
    for script in migrating.scripts_folder().rglob("*.py"):
        (later / script.relative_to(migrating.scripts_folder())).write_text(script.read_text())
    (later / "versions" / "9000_later.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision, branch_labels, depends_on = '9000', '{schema.REVISION}', None, None\n"
        "def upgrade():\n"
        "    op.add_column('cases', sa.Column('shout', sa.Text()))\n"
        "    op.execute('update cases set shout = upper(stage)')\n"
    )
    monkeypatch.setattr(migrating, "scripts_folder", lambda: later)
    restore(empty, life.backup)
    assert {row.shout for row in rows(empty, "select shout from cases")} == {"RECEIVED", "NEEDS_INFO"}


def test_a_schema_of_a_newer_program_is_neither_backed_up_nor_restored(
    sqlite_url: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(sqlite_url)
    database.run(lambda tx: tx.connection.execute(sa.text("update alembic_version set version_num = '9999'")))
    with pytest.raises(PermanentError, match="9999, made by a newer version"):
        back_up(database, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "known_revisions", lambda: {"9999"})
        back_up(database, tmp_path / "backup")
    database.close()
    target = new_database("sqlite")
    with pytest.raises(PermanentError, match="9999, made by a newer version"):
        restore(target, tmp_path / "backup")
    assert contents(target) == {}


def test_an_empty_database_has_nothing_to_back_up(empty: Database, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="nothing to back up"):
        back_up(empty, tmp_path / "backup")
    assert list(tmp_path.glob("backup*")) == []
