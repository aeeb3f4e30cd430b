"""`reconcile`: what the mail server holds against what is on file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.invocation import AsJson, Invocation, OfMailbox
from mailbox_service.cli.output import Column, complain, listing, write, write_json
from mailbox_service.errors import MailboxServiceError, NotFound

if TYPE_CHECKING:
    from mailbox_service.app import Service
    from mailbox_service.services.reconciliation import FolderComparison

# The stable keys of --json (docs/cli.md).
FOLDER_KEYS = ("on_server", "on_file", "recent", "older", "gone", "inexact", "taken_in")
KEYS = ("mailbox", "folder", "uid", "kind", "size_bytes", "received_at", "why")
COLUMNS = (
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("FOLDER", "folder", shrinks=True),
    Column("UID", "uid"),
    Column("WHAT", "kind"),
    Column("BYTES", "size_bytes"),
    Column("RECEIVED (UTC)", "received_at"),
    Column("WHY", "why", shrinks=True),
)


def register(app: typer.Typer) -> None:
    app.command()(reconcile)


def reconcile(
    context: typer.Context,
    mailbox: OfMailbox = None,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Take in what is not on file. Nobody is answered; maintainers get one summary."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what the mail server holds with what is on file. 0: all is on file. 1: not all. 75: could not look.

    The daemon does so once a day; both may run at once. After a restore this finds what came in after the backup.
    """
    raise typer.Exit(asyncio.run(_reconcile(Invocation.of(context), mailbox, fetch=fetch, as_json=as_json)))


async def _reconcile(invocation: Invocation, mailbox: str | None, *, fetch: bool, as_json: bool) -> Exit:
    from mailbox_service.app import Service

    service = Service.open(invocation.config())
    try:
        if mailbox is not None and mailbox not in service.sources:
            raise NotFound(f"no mailbox {mailbox} is fetched by IMAP; there are: {', '.join(service.sources)}")
        compared, failed = await _compared(service, [mailbox] if mailbox else list(service.sources), fetch=fetch)
    finally:
        await service.close()
    rows = [
        {key: getattr(one, key) for key in KEYS[1:]} | {"mailbox": name, "kind": one.kind.value}
        for name, folder in compared
        for one in folder.differences
    ]
    if as_json:
        folders = [
            {"mailbox": name, "folder": f.folder, "watched": f.watched, "differences": f.count}
            | {key: getattr(f, key) for key in FOLDER_KEYS}
            for name, f in compared
        ]
        write_json({"folders": folders, "differences": [{key: row[key] for key in KEYS} for row in rows]})
    else:
        for name, folder in compared:
            write(f"{name}: {_said(folder)}")
        if rows:
            write("")
            listing(rows, COLUMNS, KEYS, as_json=False, empty="")
    if failed:
        return Exit.TEMPFAIL
    return Exit.FAILED if any(folder.count for _, folder in compared) else Exit.OK


async def _compared(
    service: Service, mailboxes: list[str], *, fetch: bool
) -> tuple[list[tuple[str, FolderComparison]], bool]:
    """Every folder of every mailbox whose server could be looked at, and whether one could not."""
    compared, failed = [], False
    for name in mailboxes:
        try:
            compared += [(name, folder) for folder in await service.reconcile(name, take_in=fetch)]
        except MailboxServiceError as error:
            complain(f"{name}: {error}; `mailbox-service check` says more")
            failed = True
    return compared, failed


def _said(folder: FolderComparison) -> str:
    parts = [f"{folder.on_server} on the server{'' if folder.watched else ' not compared before'}"]
    parts.append(f"{folder.on_file} of them on file")
    for count, words in (
        (folder.recent, "just arrived"),
        (folder.older, "older than the first contact"),
        (folder.gone, "on file and no longer in the folder"),
        (folder.inexact, "with another size than the server says"),
        (folder.taken_in, "taken in"),
    ):
        if count:
            parts.append(f"{count} {words}")
    verdict = "all is on file" if not folder.count else f"{folder.count} DIFFER"
    return f"{folder.folder}: {verdict} ({', '.join(parts)})"
