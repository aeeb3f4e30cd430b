"""`case`: the reports, and all that followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mailbox_service.cli import case_work, message, outbox
from mailbox_service.cli.hints import hints_in, show_hints
from mailbox_service.cli.invocation import AsJson, Invocation, Limit, OfMailbox, known_mailbox
from mailbox_service.cli.output import Column, facts, heading, listing, passage, shown, write_json
from mailbox_service.core.case import facts_from
from mailbox_service.core.display import harmless

if TYPE_CHECKING:
    from mailbox_service.adapters.database.transaction import SqlTransaction

app = typer.Typer(name="case", help="The cases: one report and all that follows.", no_args_is_help=True)

Stages = Literal[
    "received",
    "reviewing",
    "needs_info",
    "reproduced",
    "patched",
    "fix_verified",
    "released",
    "published",
    "closed",
]

# The stable keys of --json (docs/cli.md).
KEYS = ("ref", "mailbox", "stage", "reporter", "subject", "opened_at", "unsure", "messages", "owner", "resolution")
COLUMNS = (
    Column("REF", "ref"),
    Column("OPENED (UTC)", "opened_at"),
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("STAGE", "stage"),
    Column("RESOLUTION", "resolution", if_given=True),
    Column("OWNER", "owner", if_given=True),
    Column("REPORTER", "reporter", shrinks=True),
    Column("SUBJECT", "subject", shrinks=True),
    Column("UNSURE", "unsure"),
    Column("MESSAGES", "messages"),
)
_FACTS = ("mailbox", "stage", "reporter", "subject", "opened_at", "closed_at", "unsure", "sealed", "quiet")
_DATES = (
    "stage_since",
    "answered_at",
    "told_at",
    "promised_at",
    "released_at",
    "published_at",
    "details_at",
    "next_due_at",
)
# Behind the facts above in --json, as docs/cli.md has them.
WORK_KEYS = ("owner", "resolution", "duplicate_of", "reporters", "participants", "facts", *_DATES)


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    mailbox: OfMailbox = None,
    stage: Annotated[Stages | None, typer.Option(help="Only in this stage.")] = None,
    limit: Limit = None,
) -> None:
    """All cases, oldest first."""
    with Invocation.of(context).database() as (config, database):
        database.run(lambda tx: known_mailbox(tx, mailbox, config))
        rows = database.run(lambda tx: tx.list_cases(mailbox))
    rows = [row for row in rows if stage is None or row["stage"] == stage]
    listing(rows[-limit:] if limit else rows, COLUMNS, KEYS, as_json=as_json, empty="No cases.")


@app.command()
def show(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example SEC-2026-0001.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """One case: who works on it, what is known, its journal, its messages and the mails that went out."""
    with Invocation.of(context).database() as (_, database):
        case, journal, messages, mails = database.run(lambda tx: _everything(tx, reference))
    hints = hints_in(journal)
    work = _work(case)
    if as_json:
        write_json(
            {"ref": case["ref"]}
            | {key: case[key] for key in _FACTS}
            | work
            | {
                "hints": hints,
                "journal": [{key: entry[key] for key in ("seq", "at", "event", "actor", "data")} for entry in journal],
                "messages": [{key: row[key] for key in message.KEYS} for row in messages],
                "mails": [{key: row[key] for key in outbox.KEYS} for row in mails],
            }
        )
        return
    facts([("case", case["ref"]), *((key.replace("_", " "), case[key]) for key in _FACTS), *_told_of(work)])
    show_hints(hints)
    heading("Journal (UTC):")
    for entry in journal:
        actor = f" by {entry['actor']}" if entry["actor"] else ""
        passage(harmless(f"{shown(entry['at'])}  {entry['event']}{actor}{_told(entry['data'])}"))
    heading("Messages:")
    listing(messages, message.COLUMNS, message.KEYS, as_json=False, empty="None.")
    heading("Mails:")
    listing(mails, outbox.COLUMNS, outbox.KEYS, as_json=False, empty="None.")


def _work(case: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the case so far: `WORK_KEYS`."""
    reporters = [case["reporter"]] if case["reporter"] else []
    known = facts_from(case["facts"] or {})
    lists = {
        "reporters": [*reporters, *(case["reporters"] or ())],
        "participants": list(case["participants"] or ()),
        "facts": {field.name: getattr(known, field.name) for field in fields(known)},
    }
    return {key: lists[key] if key in lists else case[key] for key in WORK_KEYS}


def _told_of(work: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The same for people; what is not there is left out. One reporter stands above already."""
    several = {key: ", ".join(work[key]) for key in ("reporters", "participants")}
    if len(work["reporters"]) < 2:
        del several["reporters"]
    # An empty credit is a wish: to stay anonymous.
    known = {name: "anonymous" if value == "" else value for name, value in work["facts"].items()}
    pairs = {key: work[key] for key in WORK_KEYS if not isinstance(work[key], list | dict)}
    of_people = ("owner", "resolution", "duplicate_of")
    ordered = {key: pairs.pop(key) for key in of_people} | several | known | pairs
    return [(key.replace("_", " "), value) for key, value in ordered.items()]


Rows = list[dict[str, Any]]


def _everything(tx: SqlTransaction, reference: str) -> tuple[dict[str, Any], Rows, Rows, Rows]:
    from mailbox_service.adapters.database.reading_sql import MessageFilter

    case = tx.case_row(reference)
    messages = tx.list_messages(MessageFilter(case_id=case["id"]))
    return case, tx.journal_of(case["id"]), messages, tx.list_outbound(case_id=case["id"])


def _told(data: Mapping[str, object]) -> str:
    """What an event says of itself: ` (message: 3, why: …)`."""
    # The hints stand by themselves, and ciphertext says nothing to people.
    told = {key: value for key, value in data.items() if key not in ("hints", "kept") and value not in (None, "")}
    told |= {"text": "kept encrypted"} if "kept" in data else {}
    given = [f"{key.replace('_', ' ')}: {shown(value)}" for key, value in told.items()]
    return f" ({', '.join(given)})" if given else ""


case_work.register(app)
