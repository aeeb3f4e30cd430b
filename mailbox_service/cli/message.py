"""`message`: everything that came in."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.hints import hints_in, show_hints
from mailbox_service.cli.invocation import HIGHEST_ID, AsJson, Invocation, Limit, OfMailbox, known_mailbox
from mailbox_service.cli.output import (
    Column,
    complain,
    facts,
    heading,
    listing,
    new_file,
    passage,
    write,
    write_bytes,
    write_json,
)
from mailbox_service.core.display import harmless

if TYPE_CHECKING:
    from mailbox_service.app import Service
    from mailbox_service.config import Config
    from mailbox_service.core.message import ParsedMessage
    from mailbox_service.services.ports import MessageId
    from mailbox_service.services.ports.openpgp import Pin

app = typer.Typer(name="message", help="Everything that came in.", no_args_is_help=True)

Dispositions = Literal["case", "attached", "redirect", "spam", "automatic", "bounce", "hold", "answer"]
States = Literal["waiting", "done", "held"]
Decisions = Literal["case", "redirect", "spam"]
Id = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="The number of the message.", show_default=False)
]

# The stable keys of --json (docs/cli.md).
KEYS = ("id", "mailbox", "source", "received_at", "sender", "subject", "sha256", "state", "disposition", "case")
COLUMNS = (
    Column("ID", "id"),
    Column("RECEIVED (UTC)", "received_at"),
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("SENDER", "sender", shrinks=True),
    Column("SUBJECT", "subject", shrinks=True),
    Column("STATE", "state"),
    Column("BECAME", "disposition"),
    Column("CASE", "case"),
)
# What the row holds beside facts about the mail: the worker's business.
_INTERNAL = {"attempts", "lease_token", "lease_owner", "lease_until", "due_at", "case_id"}
_HEADERS = (
    "from",
    "to",
    "cc",
    "reply-to",
    "date",
    "subject",
    "message-id",
    "in-reply-to",
    "authentication-results",
)


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    mailbox: OfMailbox = None,
    disposition: Annotated[Dispositions | None, typer.Option(help="Only what became of it.")] = None,
    state: Annotated[States | None, typer.Option(help="Only in this state.")] = None,
    case: Annotated[str | None, typer.Option(metavar="REF", help="Only of this case.")] = None,
    limit: Limit = None,
) -> None:
    """All messages, oldest first, with what became of them."""
    from mailbox_service.adapters.database.reading_sql import MessageFilter

    with Invocation.of(context).database() as (config, database):

        def read(tx: Any) -> list[dict[str, Any]]:
            known_mailbox(tx, mailbox, config)
            case_id = None if case is None else tx.case_row(case)["id"]
            rows: list[dict[str, Any]] = tx.list_messages(MessageFilter(mailbox, disposition, state, case_id, limit))
            return rows

        rows = database.run(read)
    listing(rows, COLUMNS, KEYS, as_json=as_json, empty="No messages.")


@app.command()
def show(context: typer.Context, message_id: Id, as_json: AsJson = False) -> None:
    """One message: what was decided and why, where it came from, its text and attachments."""
    show_message(Invocation.of(context), message_id, as_json=as_json, held_only=False)


def show_message(invocation: Invocation, message_id: int, *, as_json: bool, held_only: bool) -> None:
    """Print one message. Raises: NotFound, also when `held_only` and it is not held."""
    from mailbox_service.core.message import parse
    from mailbox_service.errors import NotFound
    from mailbox_service.services.ports import MessageId

    wanted = MessageId(message_id)
    with invocation.database() as (_, database):
        row = database.run(lambda tx: tx.message_row(wanted))
        if held_only and row["state"] != "held":
            raise NotFound(f"message {message_id} is not held; `message show {message_id}` shows it")
        case = row["case_id"]
        sources, raw, journal = database.run(
            lambda tx: (tx.sources_of(wanted), tx.raw(wanted), tx.journal_of(case) if case is not None else [])
        )
    view, hints = parse(raw), hints_in(journal, message_id)
    if as_json:
        _show_json(row, sources, view, hints)
    else:
        _show_facts(row, sources)
        show_hints(hints)
        _show_view(view)


def _show_json(
    row: dict[str, Any], sources: list[dict[str, Any]], view: ParsedMessage, hints: list[dict[str, str]]
) -> None:
    write_json(
        {key: value for key, value in row.items() if key not in _INTERNAL}
        | {
            "hints": hints,
            "sources": [
                {key: source[key] for key in ("kind", "folder", "uidvalidity", "uid", "note", "seen_at", "mark_state")}
                for source in sources
            ],
            "headers": [[name, value] for name, value in view.headers],
            "texts": [{"kind": t.kind.value, "filename": t.filename, "text": t.text} for t in view.texts],
            "attachments": [
                {"filename": a.filename, "content_type": a.content_type, "size_bytes": a.size_bytes}
                for a in view.attachments
            ],
            "encryption": view.encryption.value or None,
            "defects": list(view.defects),
            "truncated": view.truncated,
        }
    )


def _show_facts(row: dict[str, Any], sources: list[dict[str, Any]]) -> None:
    size = f"{row['size_bytes']} bytes" + (", of which only the header was fetched" if row["partial"] else "")
    sorted_as = row["outcome"] and f"{row['outcome']} (report {row['security']:.2f}, spam {row['spam']:.2f})"
    facts(
        [
            ("message", row["id"]),
            ("mailbox", row["mailbox"]),
            ("received (UTC)", row["received_at"]),
            ("size", size),
            ("sha256", row["sha256"]),
            ("state", row["state"]),
            ("became", row["disposition"]),
            ("because", row["why"]),
            ("decided by", row["decided_by"]),
            ("case", row["case"]),
            ("not answered", row["no_answer"] and f"because {row['no_answer']}"),
            ("sorted as", sorted_as),
            ("envelope from", row["envelope_from"]),
            ("envelope to", row["envelope_to"]),
            *(("came from", _place(source)) for source in sources),
        ]
    )
    if row["reasons"]:
        heading("What the sorter saw:")
        for reason in row["reasons"]:
            passage(harmless(f"{reason['weight']:+6.2f} {reason['towards']}: {reason['label']}"))


def _place(source: dict[str, Any]) -> str:
    if source["folder"] is not None:
        place = f"{source['kind']} folder {source['folder']}, UID {source['uid']} (UIDVALIDITY {source['uidvalidity']})"
    else:
        place = f"{source['kind']} {source['note']}".strip()
    return place + {"waiting": ", server not told yet", "gone": ", no longer there"}.get(source["mark_state"], "")


def _show_view(view: ParsedMessage) -> None:
    """Headers, texts and attachments as the parser reads them."""
    from mailbox_service.core.message import TextKind

    heading("Headers:")
    readable = {"subject": view.subject, "from": view.from_display}
    for name in _HEADERS:
        for value in view.header_all(name):
            passage(harmless(f"{name.title()}: {readable.get(name, value)}"))
    if view.encryption.value:
        heading(
            f"Encrypted: {view.encryption.value}. `message decrypt` opens it with the mailbox's key, "
            "`message export` hands it to whoever has another."
        )
    bodies = any(t.kind is TextKind.BODY for t in view.texts)
    for text in view.texts:
        if text.kind is TextKind.ALTERNATIVE and bodies:
            continue  # the same once more, in HTML
        heading(f"Text ({text.kind.value}{f', {text.filename}' if text.filename else ''}):")
        passage(text.text)
    if view.attachments:
        heading("Attachments:")
        for one in view.attachments:
            looks = f", looks like {one.sniffed_type}" if one.sniffed_type not in ("", one.content_type) else ""
            passage(harmless(f"{one.filename}: {one.content_type}, {one.size_bytes} bytes{looks}"))
    if view.truncated:
        heading("Not all of it is shown here; `message export` gives the whole message.")


@app.command()
def export(
    context: typer.Context,
    message_id: Id,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file (mode 600) instead.")
    ] = None,
) -> None:
    """The message byte for byte as it came, to standard output."""
    from mailbox_service.services.ports import MessageId

    with Invocation.of(context).database() as (_, database):
        row, raw = database.run(lambda tx: (tx.message_row(MessageId(message_id)), tx.raw(MessageId(message_id))))
    if row["partial"]:
        complain(f"message {message_id} is larger than max_message_size; only its header is on file")
    _hand_out(raw, output)


@app.command()
def decrypt(
    context: typer.Context,
    message_id: Id,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file (mode 600) instead.")
    ] = None,
    tell: Annotated[
        bool, typer.Option("--tell", help="Show it to the maintainers of its case, who could not read it before.")
    ] = False,
) -> None:
    """What is inside an encrypted message, as a mail of its own; and who signed it. It is kept nowhere.

    Also for a message that the daemon does not open, because its content came before with another one.
    """
    from mailbox_service.services.ports import MessageId

    wanted = MessageId(message_id)
    with Invocation.of(context).database() as (config, database):
        row, raw = database.run(lambda tx: (tx.message_row(wanted), tx.raw(wanted)))
        pins = database.run(lambda tx: tx.pins(row["mailbox"], row["case_id"]))
    entity, signer = _decrypted(config, row, raw, pins)
    complain(signer)
    if output is not None or not tell:
        _hand_out(entity, output)
    if tell:
        asyncio.run(_tell(Invocation.of(context), wanted, row["mailbox"]))


async def _tell(invocation: Invocation, message: MessageId, mailbox: str) -> None:
    """Raises: Refused."""
    from mailbox_service.app import now
    from mailbox_service.services.late_opening import tell_of_opened

    async with invocation.service() as service:
        count = await service.database.transact(
            lambda tx: tell_of_opened(tx, service.mailboxes[mailbox], service.correspondence, message, now())
        )
        left = await service.database.transact(lambda tx: tx.waiting(sorted(service.mailboxes)))
    if count:
        write(f"The maintainers are told that message {message} can be read; those with a pinned key are shown it.")
    else:
        write(f"The maintainers were told before that message {message} can be read.")
    if left["mails"]:
        write(waiting_mails(left["mails"]))


def _hand_out(mail: bytes, output: Path | None) -> None:
    """To a new file or to standard output, but never to a terminal."""
    if output is None:
        if sys.stdout.isatty():
            complain("mailbox-service: mail can hold escape sequences; use -o FILE, or a pipe")
            raise typer.Exit(Exit.USAGE)
        write_bytes(mail)
        return
    with new_file(output) as file:
        file.write(mail)


def _decrypted(config: Config, row: dict[str, Any], raw: bytes, pins: list[Pin]) -> tuple[bytes, str]:
    """The entity inside, and a sentence on its signature. Raises: NotFound, PermanentError, Refused."""
    from mailbox_service.app.wiring import keyrings, openpgp_door
    from mailbox_service.core.message import parse
    from mailbox_service.errors import NotFound, PermanentError, Refused
    from mailbox_service.services.opening import Openness, look
    from mailbox_service.services.ports.openpgp import Verified

    mailbox = config.mailbox(row["mailbox"])
    if mailbox is None:
        raise NotFound(f"the mailbox {row['mailbox']} is no longer configured")
    if row["partial"]:
        raise Refused("only the header of this message is on file")
    homes = keyrings(config)
    if homes is None:
        raise PermanentError("no folder for keys is configured; set openpgp: {folder: …}")
    with homes:
        door = openpgp_door(homes, mailbox, config)
        content = look(raw, parse(raw), door, [pin.key for pin in pins], offers=False)
    match content.openness:
        case Openness.OPENED:
            pass
        case Openness.CLEAR:
            raise Refused("this message is not encrypted; `message show` and `message export` give it")
        case Openness.SMIME:
            raise Refused("this message is encrypted by S/MIME, which is not read here; `message export` gives it")
        case _:
            raise Refused(f"this message cannot be opened: {content.why}")
    if not isinstance(content.signature, Verified):
        return content.entity, f"signature: none that counts ({content.signature.why.value})"
    whose = ", ".join(p.address for p in pins if p.key.fingerprint == content.signature.fingerprint)
    return content.entity, f"signature: by {whose}, key {content.signature.fingerprint}"


@app.command()
def sort(
    context: typer.Context,
    message_id: Id,
    decision: Annotated[Decisions, typer.Option("--as", help="What the message shall become.", show_default=False)],
) -> None:
    """Decide yourself: make the message a case, a redirect or spam, whatever the sorter said."""
    asyncio.run(_sort(Invocation.of(context), message_id, decision))


async def _sort(invocation: Invocation, message_id: int, decision: str) -> None:
    from mailbox_service.app import now
    from mailbox_service.services.decisions import sort_message
    from mailbox_service.services.ports import MessageId

    async with invocation.service() as service:
        wanted, by = MessageId(message_id), person()
        await service.database.transact(lambda tx: sort_message(tx, wanted, decision, by, now()))
        await carry_out(service, message_id)


async def carry_out(service: Service, message_id: int) -> None:
    """Work the decision off at once, so that its effect is there to see, and print it."""
    from mailbox_service.services.ports import MessageId

    await service.intake.work_off()
    row, left = await service.database.transact(
        lambda tx: (tx.message_row(MessageId(message_id)), tx.waiting(sorted(service.mailboxes)))
    )
    if row["state"] == "waiting":
        write(f"Message {message_id}: decided; the daemon is at it now.")
    else:
        case = f" {row['case']}" if row["case"] else ""
        write(f"Message {message_id}: {row['disposition']}{case} ({row['why']}).")
    if left["mails"]:
        write(waiting_mails(left["mails"]))


def waiting_mails(count: int) -> str:
    """What is left for the outbox to do, as a sentence."""
    mails = "1 mail waits" if count == 1 else f"{count} mails wait"
    return f"{mails} in the outbox; the daemon or `mailbox-service run --once` sends {'it' if count == 1 else 'them'}."


def person() -> str:
    """Who is at the keyboard, for the journal."""
    try:
        return f"{getpass.getuser()} on the host"
    except (KeyError, OSError):
        return f"uid {os.getuid()} on the host"
