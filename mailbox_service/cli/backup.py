"""`backup`, `restore` and `verify`: what an operator does before, and after, the worst day."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.invocation import AsJson, Invocation
from mailbox_service.cli.output import complain, write, write_json, write_marked

# The stable keys of --json (docs/cli.md).
KEYS = ("promise", "kept", "checked", "broken", "ids")


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
    app.command()(verify)


def backup(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The new file; - is standard output.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
) -> None:
    """Everything on file and the token secrets, as of one moment, while daemons run. Restores into either database."""
    from mailbox_service.app.backup import back_up, write_backup

    if file == "-" and sys.stdout.isatty():
        complain("mailbox-service: a backup is no text; name a file, or pipe it into a program")
        raise typer.Exit(Exit.USAGE)
    with Invocation.of(context).database(current=False) as (config, database):
        if file == "-":
            with _spooled(config.secret_file.parent) as path:
                manifest = write_backup(config, database, path)
                _to_standard_output(path)
        else:
            manifest = back_up(config, database, Path(file), replace=force)
    counted = {name: contents.rows for name, contents in manifest.tables.items()}
    told = f"{counted['message']} messages, {counted['cases']} cases, {counted['outbound']} mails"
    complain(f"Backed up {told}; schema {manifest.revision}, {manifest.database}, {manifest.made_at}.")
    if not counted["backup_secret"]:
        complain("There is no file of token secrets yet, so none is in the backup.")


def restore(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A backup; - is standard input.")],
) -> None:
    """Fill the empty database of the configuration from a backup, all or nothing. Nothing is sent until you say so."""
    from mailbox_service.app.backup import restore as restore_backup

    config = Invocation.of(context).config(mail_files=False)
    if file == "-":
        with _spooled(config.secret_file.parent) as path:
            _from_standard_input(path)
            restored = restore_backup(config, path)
    else:
        restored = restore_backup(config, Path(file))
    manifest = restored.manifest
    write(
        f"Restored {manifest.tables['message'].rows} messages, {manifest.tables['cases'].rows} cases and "
        f"{manifest.tables['outbound'].rows} mails, as of {manifest.made_at}."
    )
    write(f"Token secrets that were new to {config.secret_file}: {restored.new_secrets}.")
    write("The outbox is frozen: nothing is sent until `mailbox-service outbox resume`.")
    if restored.undecided_mails or restored.undecided_lines:
        write(
            f"{restored.undecided_mails} mails and {restored.undecided_lines} lines of collected mails waited when the "
            "backup was made, and may have gone out since: `mailbox-service outbox list --restored`."
        )
    write("Next: `check`, `verify`, `run`, and when all is well `outbox resume` (docs/operations.md).")


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check what the database promises: bytes and digests, rows that belong together, states. Changes nothing."""
    from mailbox_service.adapters.database.verification import SHOWN_IDS, promises
    from mailbox_service.app import now

    findings = []
    with Invocation.of(context).database() as (_, database), database.snapshot() as connection:
        for finding in promises(connection, now()):
            findings.append(finding)
            if as_json:
                continue
            mark, colour = ("ok    ", "32") if finding.kept else ("BROKEN", "1;31")
            write_marked(mark, colour, f"{finding.promise} ({finding.checked})")
            if not finding.kept:
                more = f" and {finding.broken - SHOWN_IDS} more" if finding.broken > SHOWN_IDS else ""
                write(f"        {', '.join(finding.ids)}{more}")
    if as_json:
        write_json([{key: getattr(finding, key) for key in KEYS} for finding in findings])
    raise typer.Exit(Exit.OK if all(finding.kept for finding in findings) else Exit.FAILED)


# --- standard input and output -----------------------------------------------------------------------------


@contextmanager
def _spooled(folder: Path) -> Iterator[Path]:
    """A name for a file that is gone afterwards, in a folder of ours: not in /tmp, for it holds every report."""
    from mailbox_service.errors import CannotWrite

    try:
        with tempfile.TemporaryDirectory(prefix=".mailbox-service-", dir=folder) as private:
            yield Path(private) / "backup"
    except OSError as error:
        raise CannotWrite(f"cannot write in {folder}: {error.strerror}; name a file instead of -") from error


def _to_standard_output(path: Path) -> None:
    sys.stdout.flush()
    try:
        with path.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise typer.Exit(Exit.BROKEN_PIPE) from None
    except OSError as error:
        complain(f"mailbox-service: cannot write: {error.strerror}")
        raise typer.Exit(Exit.IOERR) from None


def _from_standard_input(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        shutil.copyfileobj(sys.stdin.buffer, target, 1 << 20)
