"""`hold`: what waits for a person."""

from __future__ import annotations

import asyncio

import typer

from mailbox_service.cli.invocation import AsJson, Invocation, Limit, OfMailbox, known_mailbox
from mailbox_service.cli.message import KEYS, Id, carry_out, person, show_message
from mailbox_service.cli.output import Column, listing

app = typer.Typer(name="hold", help="What waits for a person: we could not or should not decide.", no_args_is_help=True)

COLUMNS = (
    Column("ID", "id"),
    Column("RECEIVED (UTC)", "received_at"),
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("SENDER", "sender", shrinks=True),
    Column("SUBJECT", "subject", shrinks=True),
    Column("BECAUSE", "why", shrinks=True),
)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False, mailbox: OfMailbox = None, limit: Limit = None) -> None:
    """All held messages, oldest first."""
    from mailbox_service.adapters.database.reading_sql import MessageFilter

    with Invocation.of(context).database() as (config, database):
        database.run(lambda tx: known_mailbox(tx, mailbox, config))
        rows = database.run(lambda tx: tx.list_messages(MessageFilter(mailbox, None, "held", None, limit)))
    listing(rows, COLUMNS, KEYS, as_json=as_json, empty="Nothing is held.")


@app.command()
def show(context: typer.Context, message_id: Id, as_json: AsJson = False) -> None:
    """One held message, as `message show`."""
    show_message(Invocation.of(context), message_id, as_json=as_json, held_only=True)


@app.command()
def release(context: typer.Context, message_id: Id) -> None:
    """Let a held message go on: one that could not be worked is tried again, any other becomes a case.

    To make it a redirect or spam: `message sort ID --as redirect|spam`.
    """
    asyncio.run(_release(Invocation.of(context), message_id))


async def _release(invocation: Invocation, message_id: int) -> None:
    from mailbox_service.app import now
    from mailbox_service.services.decisions import release_message
    from mailbox_service.services.ports import MessageId

    async with invocation.service() as service:
        wanted, by = MessageId(message_id), person()
        await service.database.transact(lambda tx: release_message(tx, wanted, by, now()))
        await carry_out(service, message_id)
