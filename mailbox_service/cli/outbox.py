"""`outbox`: what goes out, and the emergency brake."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mailbox_service.cli.invocation import HIGHEST_ID, AsJson, Invocation, Limit, OfMailbox, known_mailbox
from mailbox_service.cli.output import Column, complain, facts, heading, listing, passage, shown, write, write_json
from mailbox_service.core.display import harmless

if TYPE_CHECKING:
    from mailbox_service.adapters.database.storage import Database
    from mailbox_service.services.ports import OutboundClaim

app = typer.Typer(name="outbox", help="What goes out; one row is one mail to one recipient.", no_args_is_help=True)

States = Literal["waiting", "sent", "failed", "bounced", "shadow", "withdrawn"]
Id = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="The number of the mail.", show_default=False)
]

# The stable keys of --json (docs/cli.md).
KEYS = ("id", "case", "kind", "recipient", "state", "attempts", "message_id")
# What `show` tells beside them.
DETAILS = (
    *("mailbox", "created_at", "due_at", "expires_at", "frozen_at", "finished_at", "last_reply"),
    *("bounced_at", "bounce"),
)
COLUMNS = (
    Column("ID", "id"),
    Column("CREATED (UTC)", "created_at"),
    Column("CASE", "case"),
    Column("KIND", "kind"),
    Column("RECIPIENT", "recipient", shrinks=True),
    Column("STATE", "state"),
    Column("ATTEMPTS", "attempts"),
    Column("LAST REPLY", "last_reply", shrinks=True),
)
PAUSED = "The outbox is paused: nothing is sent until `mailbox-service outbox resume`."


def standstill(tx: Any) -> str:
    """Why nothing is sent, as one sentence for the operator; empty when mails go out."""
    frozen = tx.frozen_since()
    if frozen is not None:
        return f"The outbox is frozen since the restore at {shown(frozen)} UTC: {PAUSED.partition(': ')[2]}"
    return PAUSED if tx.outbox_paused() else ""


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    mailbox: OfMailbox = None,
    state: Annotated[States | None, typer.Option(help="Only in this state.")] = None,
    case: Annotated[str | None, typer.Option(metavar="REF", help="Only of this case.")] = None,
    restored: Annotated[
        bool, typer.Option("--restored", help="Only what waited when the restored backup was made, and waits still.")
    ] = False,
    limit: Limit = None,
) -> None:
    """All mails, oldest first. State `shadow`: kept back, because the mailbox has `shadow: true`."""
    with Invocation.of(context).database() as (config, database):

        def read(tx: Any) -> tuple[list[dict[str, Any]], str]:
            known_mailbox(tx, mailbox, config)
            case_id = None if case is None else tx.case_row(case)["id"]
            among = tx.undecided_mails() if restored else None
            rows = tx.list_outbound(name_of_mailbox=mailbox, state=state, case_id=case_id, among=among, limit=limit)
            return rows, standstill(tx)

        rows, reason = database.run(read)
    if reason:
        complain(reason)
    listing(rows, COLUMNS, KEYS, as_json=as_json, empty="No mails.")


@app.command()
def show(context: typer.Context, mail_id: Id, as_json: AsJson = False) -> None:
    """One mail as it goes out: its frozen bytes, or what would be sent where it was not attempted yet."""
    from mailbox_service.core.message import parse
    from mailbox_service.services.ports import OutboundId

    invocation = Invocation.of(context)
    with invocation.database() as (_, database):
        row = database.run(lambda tx: tx.outbound_row(OutboundId(mail_id)))
        claim = database.run(lambda tx: tx.outbound_rows([mail_id]))[0]
    data = claim.frozen if claim.frozen is not None else asyncio.run(_composed(invocation, claim))
    view = parse(data)
    keys = (
        *KEYS,
        "mailbox",
        "created_at",
        "due_at",
        "expires_at",
        "frozen_at",
        "finished_at",
        "last_reply",
        "bounced_at",
        "bounce",
    )
    if as_json:
        text = {"headers": [[name, value] for name, value in view.headers], "text": view.text}
        write_json({key: row[key] for key in keys} | text | {"attached_message": claim.attached_message})
        return
    facts([(key.replace("_", " "), row[key]) for key in keys])
    heading("The mail:" if claim.frozen is not None else "The mail, as it would be sent now:")
    readable = {"subject": view.subject, "from": view.from_display}
    passage("\n".join(harmless(f"{name.title()}: {readable.get(name, value)}") for name, value in view.headers))
    write("")
    passage(view.text)
    if claim.attached_message is not None:
        what = "whole" if claim.context.get("pass_on") is None else f"{len(view.attachments)} of its files"
        passage(f"[attached: message {claim.attached_message}, {what}]")


async def _composed(invocation: Invocation, claim: OutboundClaim) -> bytes:
    attached = claim.attached_message
    async with invocation.service() as service:
        attachment = None if attached is None else await service.database.transact(lambda tx: tx.raw(attached))
        return service.processing.compose_one(claim, attachment)


@app.command()
def retry(context: typer.Context, mail_id: Id) -> None:
    """Make a mail that waits, failed or bounced due at once, with a new time to live."""
    from mailbox_service.app import now
    from mailbox_service.errors import Refused
    from mailbox_service.services.ports import OutboundId

    with Invocation.of(context).database() as (config, database):
        lifetime = config.outbox.give_up_after

        def make_due(tx: Any) -> None:
            row = tx.outbound_row(OutboundId(mail_id))
            if not tx.retry_outbound(OutboundId(mail_id), now(), now() + lifetime):
                raise Refused(f"mail {mail_id} is {row['state']}; only waiting, failed and bounced ones can be retried")

        database.run(make_due)
        reason = database.run(standstill)
    write(f"Mail {mail_id} is due now; the daemon or `mailbox-service run --once` sends it.")
    if reason:
        complain(reason)


@app.command()
def pause(context: typer.Context) -> None:
    """The emergency brake: nothing more is sent, by any daemon on this database. What is under way may finish."""
    with Invocation.of(context).database() as (_, database):
        database.run(lambda tx: tx.pause_outbox(True))
    write(PAUSED)


@app.command()
def withdraw(
    context: typer.Context,
    mail_ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID…", min=1, max=HIGHEST_ID, help="Numbers of mails.")
    ] = None,
    restored: Annotated[
        bool, typer.Option("--restored", help="All that waited when the restored backup was made.")
    ] = False,
) -> None:
    """Waiting mails never leave. After a restore: what went out after the backup must not go out again."""
    from mailbox_service.app import now
    from mailbox_service.errors import Refused

    if bool(mail_ids) == restored:
        raise typer.BadParameter("name the mails to withdraw, or use --restored")

    def never_send(tx: Any) -> list[int]:
        rows = [tx.outbound_row(number) for number in mail_ids or ()]
        for row in rows:
            if row["state"] != "waiting":
                raise Refused(f"mail {row['id']} is {row['state']}; only waiting ones can be withdrawn")
        withdrawn: list[int] = tx.withdraw_outbound([row["id"] for row in rows], now())
        return withdrawn

    with Invocation.of(context).database() as (_, database):
        if restored:
            mails, lines = database.run(lambda tx: tx.withdraw_restored(now()))
            write(f"{mails} mails are withdrawn, and {lines} lines of collected mails.")
        else:
            write(f"{len(database.run(never_send))} mails are withdrawn.")


@app.command()
def resume(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="After a restore: do not ask.")] = False,
    send_restored: Annotated[
        bool, typer.Option("--send-restored", help="Send also what waited when the restored backup was made.")
    ] = False,
) -> None:
    """Release the brake: send again. After a restore it says what will go out, and asks."""
    with Invocation.of(context).database() as (_, database):
        if database.run(lambda tx: tx.frozen_since()) is not None:
            _thaw(database, yes=yes, send_restored=send_restored)
        database.run(lambda tx: tx.release_outbox())
    write("The outbox sends again.")


def _thaw(database: Database, *, yes: bool, send_restored: bool) -> None:
    """Returns when the operator wants the mails of a restored database to go out. Raises: Refused."""
    from mailbox_service.errors import Refused

    def read(tx: Any) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        undecided = tx.undecided_mails()
        waiting = tx.list_outbound(state="waiting")
        known = set(undecided)
        old, new = [r for r in waiting if r["id"] in known], [r for r in waiting if r["id"] not in known]
        return old, tx.undecided_lines(), new

    old, lines, new = database.run(read)
    write(database.run(standstill))
    if old or lines:
        heading("When the backup was made these waited. They may have gone out since:")
        listing(old, COLUMNS, KEYS, as_json=False, empty="No mails.")
        write(f"And {lines} lines for digests, summaries and other collected mails.")
        if not send_restored:
            raise Refused(
                "say what shall become of them: `mailbox-service outbox withdraw --restored` (or some by number), or "
                "`mailbox-service outbox resume --send-restored`"
            )
    heading("Mails made since the restore, which will go out:")
    listing(new, COLUMNS, KEYS, as_json=False, empty="No mails.")
    if not yes:
        if not sys.stdin.isatty():
            raise Refused("nothing was released; look at the lists above, and say --yes")
        typer.confirm(f"Send {len(old) + len(new)} mails, and go on sending?", abort=True)
