"""The schema: migrations and tables agree, and every start leaves the same behind."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailbox_service.adapters.database import migrating, migrating_apart, schema
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.tables import metadata
from mailbox_service.core.case import CaseState, Stage
from mailbox_service.errors import PermanentError, TemporaryError
from mailbox_service.services.ports import CaseId


def opened(url: str) -> Database:
    return Database.open(url)


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    assert migrating.differences(database) == []


def test_a_missing_column_would_be_seen(database: Database) -> None:
    def changed() -> list[str]:
        with database.engine.connect() as connection, connection.begin() as doomed:
            connection.execute(sa.text("alter table message drop column why"))
            context = MigrationContext.configure(connection)
            found = compare_metadata(context, metadata)
            doomed.rollback()
        return [str(one) for one in found]

    assert len(changed()) == 1


def test_the_wanted_revision_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(migrating.scripts_folder()))
    assert scripts.get_heads() == [schema.REVISION]


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    database = opened(empty_url)
    try:
        assert migrating.migrate(database) == (None, schema.REVISION)
        assert migrating.migrate(database) == (schema.REVISION, schema.REVISION)
    finally:
        database.close()


def test_mails_on_file_survive_the_coming_of_bounces(empty_url: str) -> None:
    database = opened(empty_url)
    try:
        with database.engine.begin() as connection:
            config = migrating._config()
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            connection.execute(
                sa.text(
                    "insert into outbound (mailbox, cause, kind, recipient, role, message_id, template, reference_ids,"
                    " state, due_at, created_at, expires_at, last_reply) values ('security', 'c', 'k', 'r', 'reporter',"
                    " '<1@x>', 't', '[]', 'sent', '2026-11-23', '2026-11-23', '2026-11-23', '250')"
                )
            )
        assert migrating.migrate(database) == ("0001", schema.REVISION)
        (mail,) = database.run(lambda tx: tx.list_outbound())
        assert (mail["state"], mail["last_reply"]) == ("sent", "250")
    finally:
        database.close()


def test_cases_and_messages_on_file_survive_the_coming_of_examples_and_their_going(empty_url: str) -> None:
    database = opened(empty_url)
    config = migrating._config()
    try:
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0003")
            connection.execute(
                sa.text(
                    "insert into cases (ref, mailbox, stage, subject, opened_at)"
                    " values ('SEC-1', 'security', 'received', 's', '2026-11-23')"
                )
            )
        assert migrating.migrate(database) == ("0003", schema.REVISION)
        assert database.run(lambda tx: (tx.open_sketches("security", None, 9), tx.count_examples())) == ([], [])
        assert migrating.differences(database) == []
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0003")
            assert not sa.inspect(connection).has_table("example")
            assert connection.scalar(sa.text("select ref from cases")) == "SEC-1"
    finally:
        database.close()


def test_cases_on_file_can_be_worked_after_the_coming_of_casework_and_are_there_after_its_going(empty_url: str) -> None:
    database = opened(empty_url)
    config = migrating._config()
    try:
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0004")
            for ref, stage, reporter in (("SEC-1", "received", "'r@x.example'"), ("SEC-2", "closed", "null")):
                connection.execute(
                    sa.text(
                        "insert into cases (ref, mailbox, stage, reporter, subject, opened_at)"
                        f" values ('{ref}', 'security', '{stage}', {reporter}, 's', '2026-11-23 12:00:00+00')"
                    )
                )
        assert migrating.migrate(database) == ("0004", schema.REVISION)
        assert migrating.differences(database) == []
        before = CaseState("SEC-1", datetime(2026, 11, 23, 12, tzinfo=UTC), reporters=("r@x.example",))
        records = database.run(lambda tx: [tx.case_for_update(CaseId(number)) for number in (1, 2)])
        assert [one.state for one in records] == [
            before,
            replace(before, ref="SEC-2", stage=Stage.CLOSED, reporters=()),
        ]
        # JSON's own null is as empty as that of SQL.
        database.run(lambda tx: tx.connection.execute(sa.text("update cases set facts = 'null', reporters = 'null'")))
        assert database.run(lambda tx: tx.case_for_update(CaseId(1))).state == before
        database.run(lambda tx: tx.save_case(replace(records[0], state=replace(before, owner="ada")), 0, None))
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0004")
            assert not sa.inspect(connection).has_table("confirmation")
            assert "owner" not in {column["name"] for column in sa.inspect(connection).get_columns("cases")}
            assert connection.execute(sa.text("select ref, stage from cases order by id")).all() == [
                ("SEC-1", "received"),
                ("SEC-2", "closed"),
            ]
        # And once more: what was worked before it went is a case like any other.
        assert migrating.migrate(database) == ("0004", schema.REVISION)
        assert database.run(lambda tx: tx.case_for_update(CaseId(1))).state == before
    finally:
        database.close()


def test_a_process_of_its_own_migrates_and_tells(empty_url: str) -> None:
    assert migrating_apart.migrate(empty_url) == (None, schema.REVISION)
    database = opened(empty_url)
    try:
        assert migrating.differences(database) == []
        assert migrating_apart.migrate(empty_url) == (schema.REVISION, schema.REVISION)
        database.run(lambda tx: tx.connection.execute(sa.text("update alembic_version set version_num = '9999'")))
        with pytest.raises(PermanentError, match="newer version"):
            migrating_apart.migrate(empty_url)
    finally:
        database.close()


def test_a_database_that_is_away_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="database: cannot open"):
        migrating_apart.migrate(f"sqlite:///{tmp_path / 'nowhere' / 'mailbox.db'}")


def test_a_migration_that_ends_early_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TemporaryError, match="ended early, with exit code 1"):
        migrating_apart.migrate(f"sqlite:///{tmp_path / 'mailbox.db'}")


def _start(url: str, barrier: object, answers: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    try:
        database = opened(url)
        migrating.migrate(database)
        answers.put(database.run(lambda tx: schema.revision(tx.connection)))  # type: ignore[attr-defined]
        database.close()
    except BaseException as error:
        answers.put(repr(error))  # type: ignore[attr-defined]
        raise


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    starters = [context.Process(target=_start, args=(empty_url, barrier, answers)) for _ in range(3)]
    for starter in starters:
        starter.start()
    assert [answers.get(timeout=60) for _ in starters] == [schema.REVISION] * 3
    for starter in starters:
        starter.join(30)
        assert starter.exitcode == 0


def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    def become(revision: str) -> None:
        database.run(
            lambda tx: tx.connection.execute(sa.text(f"update alembic_version set version_num = '{revision}'"))
        )

    become("9999")
    try:
        with pytest.raises(PermanentError, match="newer version"):
            migrating.migrate(database)
    finally:
        become(schema.REVISION)


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = opened(f"sqlite:///{tmp_path / 'mailbox.db'}")
        migrating.migrate(database)
        assert database.identity == "worker-0"
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert {"mailbox.db", "mailbox.db-wal", "mailbox.db-shm", "mailbox.db.worker-0"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_database_in_no_folder_is_a_temporary_error(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="No such file"):
        opened(f"sqlite:///{tmp_path / 'nowhere' / 'mailbox.db'}")
