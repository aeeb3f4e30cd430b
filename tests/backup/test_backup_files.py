"""The file itself: written whole or not at all, and taken from nobody on trust."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mailbox_service.adapters.database.backup_file import APPLICATION_ID, BackupReader
from mailbox_service.adapters.database.portable import tallied
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.secrets import KEY_BYTES, TokenSecrets
from mailbox_service.errors import BrokenFile, CannotWrite, NotFound
from tests.backup.setting import Life, NewDatabase, back_up, contents, restore, secrets_in


@pytest.fixture
def backup(life: Life, tmp_path: Path) -> Path:
    return Path(shutil.copy(life.backup, tmp_path / "backup"))


def test_only_its_owner_can_read_it(life: Life, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        back_up(life.database, tmp_path / "mine")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_it_holds_every_generation_of_the_secret(life: Life) -> None:
    reader = BackupReader.open(life.backup)
    assert reader.secrets() == secrets_in(life.folder).all
    reader.close()


def test_a_full_disk_leaves_nothing_half_behind(life: Life, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(CannotWrite, match=r"cannot write .*mine"):
            back_up(life.database, tmp_path / "mine")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(life: Life, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="No such file"):
        back_up(life.database, tmp_path / "nowhere" / "mine")
    with pytest.raises(NotFound, match="No such file"):
        BackupReader.open(tmp_path / "nowhere" / "mine")


# --- what is no backup -------------------------------------------------------------------------------------


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def in_schema(sql: str) -> Callable[[Path], None]:
    """A schema that SQLite itself would refuse to make, written into the file as a forger would."""

    def forge(path: Path) -> None:
        execute(path, "PRAGMA writable_schema=ON", sql)

    return forge


def in_manifest(**changes: object) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        connection = sqlite3.connect(path)
        (text,) = connection.execute("select manifest from backup_manifest").fetchone()
        connection.execute("update backup_manifest set manifest = ?", (json.dumps(json.loads(text) | changes),))
        connection.commit()
        connection.close()

    return forge


def by_sql(*statements: str) -> Callable[[Path], None]:
    return lambda path: execute(path, *statements)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    """One bit of one mail."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"x\r\nx\r\n")] ^= 1
    path.write_bytes(data)


def noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = bytes(8192)
    path.write_bytes(data)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def a_database(path: Path) -> None:
    path.unlink()
    execute(path, "create table message (id)")


def a_bare_schema(path: Path) -> None:
    path.unlink()
    execute(path, f"PRAGMA application_id={APPLICATION_ID}", "create table message (id)")


WRONG: dict[str, Callable[[Path], None]] = {
    "cut short": cut,
    "one bit flipped": flipped,
    "pages overwritten": noise,
    "empty": nothing,
    "another SQLite file": a_database,
    "no manifest": a_bare_schema,
    "two manifests": by_sql("insert into backup_manifest select * from backup_manifest"),
    "a view": by_sql("create view w as select * from message"),
    "a trigger": by_sql("create trigger t after insert on message begin delete from message; end"),
    "an index on an expression": by_sql("create index i on message (abs(id))"),
    "a table too many": by_sql("create table more (a)"),
    "a table too few": by_sql("drop table journal"),
    "a view in place of a table": by_sql("alter table setting rename to s", "create view setting as select * from s"),
    "a generated column": in_schema("update sqlite_master set sql = replace(sql, '\"why\"', '\"why\" as (1)')"),
    "a schema that is none": in_schema("update sqlite_master set sql = 'create table x (' where name = 'setting'"),
    "a row too many": by_sql("insert into setting values ('outbox_paused', 'no')"),
    "a row too few": by_sql("delete from outbound where rowid = 1"),
    "a changed value": by_sql("update cases set reporter = 'mallory@example.org'"),
    "a value that is enormous": by_sql("update setting set value = zeroblob(20000000)"),
    "another format": in_manifest(format=2),
    "a manifest without tables": in_manifest(tables={}),
    "a manifest of lists": in_manifest(tables=[1, 2]),
    "a manifest with strange columns": in_manifest(tables={"backup_secret": {"columns": 5, "rows": 0, "sha256": ""}}),
    "a manifest with more": in_manifest(more=1),
    "a revision that is a list": in_manifest(revision=["0001"]),
    "a manifest that is no JSON": by_sql("update backup_manifest set manifest = '{'"),
    "a manifest of nothing": by_sql("update backup_manifest set manifest = null"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_exactly_a_backup_is_refused(what: str, backup: Path) -> None:
    WRONG[what](backup)
    with pytest.raises(BrokenFile, match="backup"):
        BackupReader.open(backup)


def forged(path: Path, statement: str) -> None:
    """A backup whose digests are right: its author made them so."""
    execute(path, statement)
    connection = sqlite3.connect(path)
    manifest = json.loads(connection.execute("select manifest from backup_manifest").fetchone()[0])
    for name, table in manifest["tables"].items():
        tally = tallied(iter(connection.execute(f"select * from {name}")))
        table |= {"rows": tally.rows, "sha256": tally.sha256}
    connection.execute("update backup_manifest set manifest = ?", (json.dumps(manifest),))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update message set received_at = 'yesterday'",
        "update message set received_at = '2026-01-01T00:00:00'",
        "update message set quiet = 7",
        "update message set attempts = 'many'",
        "update message set why = x'00ff'",
        "update message_chunk set data = 'text'",
        "update outbound set context = '{'",
        "update message set state = 'unheard of'",
        "update message set mailbox = null",
        "update message_chunk set message_id = 4711",
        "insert into cases select * from cases",
        "update cases set ref = 'SEC-2026-0001'",
    ],
)
def test_rows_that_do_not_fit_are_refused_as_a_whole(statement: str, backup: Path, new_database: NewDatabase) -> None:
    forged(backup, statement)
    database = new_database("sqlite")
    with pytest.raises(BrokenFile, match="backup"):
        restore(database, backup)
    assert contents(database) == {}


def test_values_that_only_one_database_takes_are_refused_by_the_other(backup: Path, postgres: object) -> None:
    forged(backup, "update message set attempts = 99999999999")
    database = Database.open(postgres.database())  # type: ignore[attr-defined]
    with pytest.raises(BrokenFile, match="backup"):
        restore(database, backup)
    assert contents(database) == {}
    database.close()


# --- the secrets -------------------------------------------------------------------------------------------


def test_an_absent_secret_is_put_back_as_it_was(life: Life, tmp_path: Path) -> None:
    keys = secrets_in(life.folder).all | {4: b"4" * KEY_BYTES}
    assert TokenSecrets.merge(tmp_path / "secret", keys) == 2
    assert secrets_in(tmp_path).all == keys
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert TokenSecrets.merge(tmp_path / "secret", keys) == 0


def test_a_secret_that_is_there_already_is_never_voided(tmp_path: Path) -> None:
    """The new host was started once before the restore, and made a first generation of its own."""
    mine = secrets_in(tmp_path).all
    theirs = {1: b"1" * KEY_BYTES, 2: b"2" * KEY_BYTES}
    assert TokenSecrets.merge(tmp_path / "secret", theirs) == 2
    merged = secrets_in(tmp_path).all
    assert merged[1] == mine[1]
    assert set(merged.values()) == {*mine.values(), *theirs.values()}


@pytest.mark.parametrize("keys", [{0: b"k" * KEY_BYTES}, {10**6: b"k" * KEY_BYTES}, {1: b"short"}])
def test_secrets_that_are_none_are_refused(keys: dict[int, bytes], tmp_path: Path) -> None:
    with pytest.raises(BrokenFile):
        TokenSecrets.merge(tmp_path / "secret", keys)
    assert list(tmp_path.iterdir()) == []
