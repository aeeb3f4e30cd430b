"""A service that has lived for a while, its backup, and the service that comes up from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailbox_service.adapters.database.backup_file import SECRET_COLUMNS, SECRETS, BackupReader, Manifest, writing
from mailbox_service.adapters.database.portable import Row, rows_of, tables_of
from mailbox_service.adapters.database.restoration import copy_in, copy_out
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.database.verification import promises
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.app.wiring import token_key
from mailbox_service.core.case import Ask, Facts, Resolution, Stage
from mailbox_service.core.labels import Label, Said
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import CaseId, Confirmation, FolderId, FolderState, MessageId
from mailbox_service.services.ports.casework import COMMANDS
from tests.database.setting import NOW
from tests.services.bench import BOX, Bench, letter

NewDatabase = Callable[[str], Database]
BACKUP_AT, RESTORED_AT = NOW + timedelta(hours=1), NOW + timedelta(hours=9)
OLD_NAME, NEW_NAME = "the old one", "the new one"
UIDVALIDITY = 7


def secrets_in(folder: Path) -> TokenSecrets:
    return TokenSecrets.load_or_create(folder / "secret")


def bench_of(database: Database, folder: Path, *, mailbox: Mailbox = BOX, now: datetime = NOW) -> Bench:
    """The services as `Service.open` puts them together: names are bound to the secret and the database."""
    instance, former = database.run(lambda tx: (tx.instance(OLD_NAME), tx.former_instances()))
    bench = Bench(database, mailbox=mailbox, key=token_key(secrets_in(folder), instance, former))
    bench.now = now
    return bench


@dataclass(frozen=True, slots=True)
class Life:
    """What a service had when its backup was made."""

    database: Database
    folder: Path  # with the secret and the backup
    contents: dict[str, list[Row]]

    @property
    def backup(self) -> Path:
        return self.folder / "backup"


async def lived(bench: Bench) -> FolderId:
    """An inbox with answered, redirected and unwanted mail; mails, lines for the digest and a message still wait."""
    inbox = await opened(bench, uidnext=1)
    mails = [
        letter("report one", message_id="<1@research.example>"),
        letter("support please", "kim@company.example", message_id="<2@company.example>"),
        letter("spam spam", "spammer@bad.example"),
        letter("report with a chunk or two", "max@research.example", body="x\r\n" * 400_000),
    ]
    for uid, data in enumerate(mails, 1):
        await bench.post_to(inbox.id, uid, data, junk=False)
    await bench.deliver()
    await bench.intake.caught_up(inbox.id)
    redirected = MessageId(bench.messages()[1]["id"])
    for said in (Said.ANSWERED, Said.SORTED):
        bench.database.run(lambda tx, said=said: tx.add_examples([redirected], Label.SECURITY, said, "ada", NOW))  # type: ignore[misc]
    await bench.post_to(inbox.id, 5, letter("report last", "late@research.example"), junk=False)
    stored = bench.raw(letter("report not yet worked", "unworked@research.example"))
    await bench.intake.store([stored])
    bench.database.run(worked)
    return inbox.id


def worked(tx: SqlTransaction) -> None:
    """The second case has something in every column, and a question about it waits for its answer."""
    case, message = CaseId(2), MessageId(4)
    found = tx.case_for_update(case)
    state = replace(
        found.state,
        stage=Stage.NEEDS_INFO,
        facts=Facts(severity="CVSS:3.1/AV:N", credit="Max \u2013 \U0001f41e", embargo=NOW + timedelta(days=90)),
        owner="ada",
        reporters=(*found.state.reporters, "second@research.example"),
        participants=("expert@company.example",),
        resolution=Resolution.DUPLICATE,
        duplicate_of="CVE-2025-12345",
        stage_since=NOW,
        answered_at=NOW,
        told_at=NOW,
        promised_at=NOW,
        released_at=NOW,
        published_at=NOW,
        details_at=NOW,
        asked=frozenset(Ask),
        reminded=True,
    )
    tx.save_case(replace(found, state=state), state.version, NOW + timedelta(days=7))
    until = NOW + timedelta(days=2)
    tx.add_confirmation(Confirmation(message, case, 1, "<q@us.example>", "max@research.example", COMMANDS, "", until))


async def opened(bench: Bench, *, uidnext: int, uidvalidity: int = UIDVALIDITY) -> FolderState:
    return await bench.intake.open_folder(bench.mailbox.name, "INBOX", uidvalidity, uidnext, junk=False)


def back_up(database: Database, path: Path, secrets: TokenSecrets | None = None) -> Manifest:
    with writing(path) as writer:
        writer.add(SECRETS, SECRET_COLUMNS, sorted(secrets.all.items()) if secrets else [])
        revision, instance = copy_out(database, writer)
        manifest = Manifest(revision, BACKUP_AT.isoformat(), "test", "any", instance, writer.tables)
        writer.finish(manifest)
    return manifest


def restore(database: Database, path: Path, *, at: datetime = RESTORED_AT, name: str = NEW_NAME) -> None:
    backup = BackupReader.open(path)
    try:
        copy_in(database, backup, at, name)
    finally:
        backup.close()


def contents(database: Database) -> dict[str, list[Row]]:
    with database.snapshot() as connection:
        return {name: list(rows_of(connection, table)) for name, table in tables_of(connection).items()}


def broken_promises(database: Database, now: datetime = RESTORED_AT) -> dict[str, list[str]]:
    with database.snapshot() as connection:
        return {f.promise: list(f.ids) for f in promises(connection, now) if not f.kept}


def rows(database: Database, statement: str) -> Iterator[Any]:
    return iter(database.run(lambda tx: tx.connection.execute(sa.text(statement)).all()))
