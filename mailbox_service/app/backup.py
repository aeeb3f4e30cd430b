"""Backup and restore: the database together with the secrets that make its tokens."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailbox_service import __version__
from mailbox_service.adapters.database.backup_file import (
    SECRET_COLUMNS,
    SECRETS,
    BackupReader,
    BackupWriter,
    Manifest,
    writing,
)
from mailbox_service.adapters.database.restoration import copy_in, copy_out, refuse_unless_empty
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.app.clock import now
from mailbox_service.config import Config
from mailbox_service.errors import CannotWrite, Refused


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, for the operator."""

    manifest: Manifest
    new_secrets: int
    undecided_mails: int
    undecided_lines: int


def back_up(config: Config, database: Database, target: Path, *, replace: bool = False) -> Manifest:
    """Write a backup to `target`: whole, mode 0600 and on disk, or not at all.

    Raises: Refused when `target` exists and is not to be replaced; CannotWrite; ConfigurationError; TemporaryError;
    PermanentError.
    """
    if os.path.lexists(target) and not replace:
        raise Refused(f"{target} exists; name another file, or replace it with --force")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    manifest = write_backup(config, database, temporary)
    try:
        if replace:
            temporary.replace(target)
        else:
            # A link, other than a rename, never replaces what somebody put there meanwhile.
            os.link(temporary, target)
            temporary.unlink()
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CannotWrite(f"cannot make {target}: {error.strerror}") from error
    return manifest


def write_backup(config: Config, database: Database, path: Path) -> Manifest:
    """Write a backup to the new file `path`. Raises: as `back_up`."""
    made_at = now()
    with writing(path) as writer:
        _add_secrets(config, writer)
        revision, instance = copy_out(database, writer)
        manifest = Manifest(
            revision=revision,
            made_at=made_at.isoformat(timespec="seconds"),
            made_by=f"mailbox-service {__version__}",
            database="sqlite" if database.is_sqlite else "postgresql",
            instance=instance,
            tables=writer.tables,
        )
        writer.finish(manifest)
    return manifest


def _add_secrets(config: Config, writer: BackupWriter) -> None:
    # Before the first start there are none yet.
    there = config.secret_file.exists()
    keys = TokenSecrets.load_or_create(config.secret_file).all if there else {}
    writer.add(SECRETS, SECRET_COLUMNS, sorted(keys.items()))


def restore(config: Config, backup_file: Path) -> Restored:
    """Fill the empty database of `config` from a backup, all or nothing. Its outbox is frozen afterwards.

    The file is verified before anything is written.
    Raises: NotFound; BrokenFile; Refused when the database is not empty; PermanentError; TemporaryError;
    ConfigurationError for the file of secrets.
    """
    backup = BackupReader.open(backup_file)
    try:
        keys = backup.secrets()
        with _new_database(config) as database:
            # Before the database: once that is there, a start would make other secrets.
            new = TokenSecrets.merge(config.secret_file, keys)
            copy_in(database, backup, now(), secrets.token_hex(16))
            mails, lines = database.run(lambda tx: (tx.undecided_mails(), tx.undecided_lines()))
        return Restored(backup.manifest, new, len(mails), lines)
    finally:
        backup.close()


@contextmanager
def _new_database(config: Config) -> Iterator[Database]:
    """The empty database of `config`."""
    database = Database.open(config.database.connection_url())
    try:
        with database.snapshot() as connection:
            refuse_unless_empty(connection)
        yield database
    finally:
        database.close()
