"""`verify` names what is broken, one corruption at a time, and is silent about what is whole."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailbox_service.adapters.database.storage import Database
from mailbox_service.services.ports import RawMessage
from tests.backup.setting import Life, bench_of, broken_promises
from tests.database.setting import NOW
from tests.services.bench import letter

DIGEST = "every message has its bytes, and they have its digest"
JOURNAL = "every case has its journal, without gaps"
MAIL = "every frozen mail is the one of its row"
ENDS = "what was sent was frozen, and what is over has an end"
ORPHANS = "no row refers to one that is not there"
STATES = "states and kinds are known ones"
LEASES = "leases are those of workers, and end soon"
UNIQUE = "unique keys are unique"
SCHEMA = "the schema is that of this program"
SOUND = "the database file is sound"
WORKED = "every worked message has a disposition"
LATER = (NOW + timedelta(days=400)).strftime("%Y-%m-%d %H:%M:%S.000000")

CORRUPTIONS: list[tuple[str, str, list[str]]] = [
    ("update message_chunk set data = cast('other' as blob) where message_id = 1", DIGEST, ["message 1: size, digest"]),
    ("update message set sha256 = lower(hex(randomblob(32))) where id = 2", DIGEST, ["message 2: digest"]),
    ("update message set size_bytes = size_bytes + 1 where id = 3", DIGEST, ["message 3: size"]),
    ("update message set partial = true where id = 3", DIGEST, ["message 3: size, digest"]),
    ("delete from message_chunk where message_id = 4 and seq = 0", DIGEST, ["message 4: chunks, size, digest"]),
    ("delete from message_chunk where message_id = 1", DIGEST, ["message 1: chunks, size, digest"]),
    ("update message set disposition = null where id = 1", WORKED, ["message 1"]),
    ("update message set case_id = null where id = 1", WORKED, ["message 1"]),
    ("update journal set seq = 2 where case_id = 1", JOURNAL, ["case SEC-2026-0001"]),
    ("delete from journal where case_id = 2", JOURNAL, ["case SEC-2026-0002"]),
    ("update cases set version = 5 where id = 3", JOURNAL, ["case SEC-2026-0003"]),
    ("update journal set event = 'closed' where case_id = 1", JOURNAL, ["case SEC-2026-0001"]),
    ("update outbound set message_id = '<other@example.org>' where id = 1", MAIL, ["mail 1"]),
    ("update outbound set recipient = 'mallory@example.org' where id = 1", MAIL, ["mail 1"]),
    ("delete from outbound_chunk where outbound_id = 2", MAIL, ["mail 2"]),
    ("update outbound_chunk set seq = 1 where outbound_id = 2", MAIL, ["mail 2"]),
    ("update outbound set frozen_at = null where id = 2", MAIL, ["mail 2"]),
    ("update outbound set finished_at = null where id = 1", ENDS, ["mail 1"]),
    ("delete from message where id = 3", ORPHANS, ["collected 2: message_id 3"]),
    ("update journal set case_id = 77 where case_id = 1", ORPHANS, ["journal 1: case_id 77"]),
    ("update message set disposition = 'unheard of' where id = 2", STATES, ["message 2: disposition"]),
    ("update cases set stage = 'lost' where id = 1", STATES, ["cases 1: stage"]),
    ("update cases set resolution = 'unclear' where id = 2", STATES, ["cases 2: resolution"]),
    ("update confirmation set purpose = 'whatever' where id = 1", STATES, ["confirmation 1: purpose"]),
    ("update confirmation set case_id = 77 where id = 1", ORPHANS, ["confirmation 1: case_id 77"]),
    ("update example set label = 'perhaps' where id = 1", STATES, ["example 1: label"]),
    ("update example set said = 'guessed' where id = 2", STATES, ["example 2: said"]),
    ("update example set message_id = 77 where id = 1", ORPHANS, ["example 1: message_id 77"]),
    ("update message set lease_owner = 'root' where id = 6", LEASES, ["message 6"]),
    (f"update message set lease_until = '{LATER}' where id = 6", LEASES, ["message 6"]),
    ("update message set lease_until = received_at where id = 1", LEASES, ["message 1"]),
    ("update outbound set attempts = -1 where id = 1", LEASES, ["mail 1", "outbound 1"]),
    ("drop index ix_message_case_id", SCHEMA, []),
]


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Iterator[Database]:
    life.database.run(lambda tx: tx.connection.scalar(sa.text("select 1")))
    with life.database.engine.connect() as connection:
        connection.exec_driver_sql("commit")
        connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
    shutil.copy(life.folder / "mailbox.db", tmp_path / "copy.db")
    database = Database.open(f"sqlite:///{tmp_path}/copy.db")
    yield database
    database.close()


def broken_by(database: Database, *statements: str) -> dict[str, list[str]]:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("commit")
        for statement in ("pragma foreign_keys=off", "pragma ignore_check_constraints=on", *statements):
            connection.exec_driver_sql(statement)
    return broken_promises(database, NOW)


def test_a_life_breaks_no_promise(copy: Database) -> None:
    assert broken_by(copy) == {}


@pytest.mark.parametrize(("statement", "promise", "ids"), CORRUPTIONS, ids=[c[0][:60] for c in CORRUPTIONS])
def test_each_corruption_is_named(copy: Database, statement: str, promise: str, ids: list[str]) -> None:
    broken = broken_by(copy, statement)
    assert promise in broken, broken
    assert set(broken[promise]) & set(ids) or not ids


def test_a_key_that_is_not_unique_any_more_is_named(copy: Database) -> None:
    broken = broken_by(
        copy,
        "create table c2 as select * from cases",
        "drop table cases",
        "alter table c2 rename to cases",
        "update cases set ref = 'SEC-2026-0001'",
    )
    assert broken[UNIQUE] == ["cases 1: ref"]
    assert broken[SCHEMA]


def test_pages_that_were_overwritten_are_seen(copy: Database, tmp_path: Path) -> None:
    root = copy.run(
        lambda tx: tx.connection.scalar(
            sa.text("select rootpage from sqlite_master where name = 'ix_message_header_message_id'")
        )
    )
    copy.close()
    with (tmp_path / "copy.db").open("r+b") as file:
        file.seek((root - 1) * 4096 + 8)
        file.write(b"\xff" * 200)
    again = Database.open(f"sqlite:///{tmp_path}/copy.db")
    try:
        assert SOUND in broken_promises(again, NOW)
    finally:
        again.close()


def test_both_databases_keep_the_promises_of_a_life_with_large_and_odd_mail(database: Database, tmp_path: Path) -> None:
    bench = bench_of(database, tmp_path)

    async def odd() -> None:
        header = letter("report too large", "large@research.example")
        raw = bench.raw(header)
        large = RawMessage(header, raw.origin, raw.received_at, full_size_bytes=99_000_000)
        await bench.intake.work(await bench.intake.store([large]))
        await bench.post(letter("report", '"odd, person" <a.b+c@sub.research.example>'), b"", b"\x00\xff")
        await bench.post(letter("report", "josé@exämple.example"))
        await bench.deliver()

    asyncio.run(odd())
    assert len(bench.messages()) == 5
    assert broken_promises(database, NOW) == {}


def test_corruption_in_postgresql_is_named_too(database: Database, tmp_path: Path) -> None:
    bench = bench_of(database, tmp_path)
    asyncio.run(bench.post(letter("report one")))
    for statement in ("update message set sha256 = 'x'", "update cases set version = 9", "delete from message_chunk"):
        database.run(lambda tx, statement=statement: tx.connection.execute(sa.text(statement)))  # type: ignore[misc]
    broken = broken_promises(database, NOW)
    assert broken == {DIGEST: ["message 1: chunks, size, digest"], JOURNAL: ["case SEC-2026-0001"]}
