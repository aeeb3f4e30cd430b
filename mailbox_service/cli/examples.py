"""`sorter examples`: what people said that messages are, for `sorter evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailbox_service.cli.invocation import AsJson, Invocation, OfMailbox, known_mailbox
from mailbox_service.cli.output import Column, listing, new_file, write_bytes

if TYPE_CHECKING:
    from mailbox_service.adapters.database.storage import Database
    from mailbox_service.services.ports import MessageId

ROWS_AT_ONCE = 100
KEYS = ("mailbox", "label", "said", "count")
COLUMNS = (
    Column("MAILBOX", "mailbox", if_varied=True),
    Column("LABEL", "label"),
    Column("SAID", "said"),
    Column("COUNT", "count"),
)


def examples(
    context: typer.Context,
    as_json: AsJson = False,
    mailbox: OfMailbox = None,
    count: Annotated[bool, typer.Option("--count", help="How many there are, instead of all of them.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file (mode 600) instead.")
    ] = None,
) -> None:
    """What people said that messages are, one JSON object a line: the input of `sorter evaluate`."""
    with Invocation.of(context).database() as (config, database):
        database.run(lambda tx: known_mailbox(tx, mailbox, config))
        if count:
            rows = database.run(lambda tx: tx.count_examples(mailbox))
            listing(rows, COLUMNS, KEYS, as_json=as_json, empty="No examples.")
            return
        with _destination(output) as put:
            for one in _all(database, mailbox):
                put(json.dumps(one).encode() + b"\n")


def _all(database: Database, mailbox: str | None) -> Iterator[dict[str, object]]:
    """One at a time: a message may be large, and there may be years of them."""
    from mailbox_service.services.ports import MessageId

    after = 0
    while rows := _some(database, after, mailbox):
        for row in rows:
            yield _example(row, b"" if row["hidden"] else _raw(database, MessageId(row["message_id"])))
        after = rows[-1]["id"]


def _some(database: Database, after: int, mailbox: str | None) -> list[dict[str, Any]]:
    return database.run(lambda tx: tx.examples_after(after, ROWS_AT_ONCE, mailbox))


def _raw(database: Database, message: MessageId) -> bytes:
    return database.run(lambda tx: tx.raw(message))


def _example(row: dict[str, Any], raw: bytes) -> dict[str, object]:
    """The line of one message; without `raw` it carries no text."""
    from mailbox_service.core.automatic import recognise
    from mailbox_service.core.message import parse
    from mailbox_service.sorting.sortable import sortable

    mail = None
    if raw:
        message = parse(raw)
        mail = sortable(message, recognise(message))
    return {
        "id": str(row["message_id"]),
        "source": row["said"],
        "project": row["mailbox"],
        "label": row["label"],
        "subtype": row["outcome"] or "",
        "form": "encrypted" if row["hidden"] else "header" if row["partial"] else "email",
        "date": row["received_at"].isoformat(),
        "subject": mail.subject if mail else "",
        "body": "\n\n".join(mail.texts) if mail else "",
        "said_by": row["said_by"],
        "said_at": row["at"].isoformat(),
        "sorted_as": {key: row[key] for key in ("outcome", "security", "spam", "model")},
    }


@contextmanager
def _destination(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    if output is None:
        yield write_bytes
        return
    with new_file(output) as file:
        yield file.write
