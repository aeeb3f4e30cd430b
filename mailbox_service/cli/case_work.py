"""The verbs of `case` that change one: what maintainers do by mail, done on the host through the same rules."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mailbox_service.cli.invocation import Invocation
from mailbox_service.cli.output import write
from mailbox_service.errors import NotFound, Refused

TEXT_LIMIT_BYTES = 1_000_000

Reference = Annotated[str, typer.Argument(metavar="REF", help="For example SEC-2026-0001.", show_default=False)]
Text = Annotated[
    str | None,
    typer.Option("--text", metavar="FILE|-", help="A file with the text; - is standard input.", show_default=False),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="The maintainer who decides it; else whoever is logged in."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="The reporter gets no mail about it.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to `case`."""
    for verb in (stage, close, reply, note, set_, assign, merge, invite, remove, do):
        app.command(verb.__name__.strip("_"))(verb)


def stage(
    context: typer.Context,
    reference: Reference,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="For example reproduced, or needs-info.")],
    argument: Annotated[str, typer.Argument(metavar="[VERSION|URL]", help="Of a release, a fix, an advisory.")] = "",
    text: Text = None,
    quiet: Quiet = False,
    by: By = None,
) -> None:
    """Move the case; the reporter is told, with the text where the stage has one (needs-info, patched)."""
    _run(context, reference, [f"/stage {stage} {argument}".rstrip()], text, by, quiet=quiet)


def close(
    context: typer.Context,
    reference: Reference,
    resolution: Annotated[str, typer.Argument(metavar="RESOLUTION", help="For example not-reproducible.")],
    text: Text = None,
    quiet: Quiet = False,
    by: By = None,
) -> None:
    """Close the case, with its reason; the text goes to the reporter. It can be reopened."""
    _run(context, reference, [f"/close {resolution}"], text, by, quiet=quiet)


def reply(context: typer.Context, reference: Reference, text: Text = "-", by: By = None) -> None:
    """Answer the reporter with the text, under the name of the mailbox."""
    _run(context, reference, ["/reply"], text, by)


def note(context: typer.Context, reference: Reference, text: Text = "-", by: By = None) -> None:
    """Keep a text for the maintainers; all of them get it."""
    _run(context, reference, ["/note"], text, by)


def set_(
    context: typer.Context,
    reference: Reference,
    fact: Annotated[str, typer.Argument(metavar="FACT", help="severity, cve, affects, fixed, credit or embargo.")],
    value: Annotated[list[str], typer.Argument(metavar="VALUE…", help="As behind the command in a mail.")],
    by: By = None,
) -> None:
    """Record what is known of the case."""
    if fact not in ("severity", "cve", "affects", "fixed", "credit", "embargo"):
        raise NotFound(f"no fact {fact}; there are: severity, cve, affects, fixed, credit, embargo")
    _run(context, reference, [f"/{fact} {' '.join(value)}"], None, by)


def assign(
    context: typer.Context,
    reference: Reference,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A maintainer, or nobody.")],
    by: By = None,
) -> None:
    """Say who looks after the case."""
    _run(context, reference, [f"/assign {name}"], None, by)


def merge(
    context: typer.Context,
    reference: Reference,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The case that is taken in.")],
    by: By = None,
) -> None:
    """Take in another case about the same thing; each reporter sees only their own thread."""
    _run(context, reference, [f"/merge {other}"], None, by)


def invite(
    context: typer.Context,
    reference: Reference,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", show_default=False)],
    text: Text = None,
    by: By = None,
) -> None:
    """Let somebody else take part, such as an upstream developer; the text goes to them."""
    _run(context, reference, [f"/invite {address}"], text, by)


def remove(
    context: typer.Context,
    reference: Reference,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", show_default=False)],
    by: By = None,
) -> None:
    """An invited person takes part no longer."""
    _run(context, reference, [f"/remove {address}"], None, by)


def do(
    context: typer.Context,
    reference: Reference,
    commands: Annotated[list[str], typer.Argument(metavar="COMMAND…", help="Each as in a mail: '/cve CVE-2026-1'.")],
    text: Text = None,
    by: By = None,
) -> None:
    """Carry out any commands of a mail together, all of them or none."""
    for command in commands:
        # In a mail such a line would begin the text, and be kept as a note.
        if not command.startswith("/"):
            raise Refused(f"{command}: no command; write each as in a mail, for example /reproduced")
    _run(context, reference, commands, text, by)


def _run(
    context: typer.Context,
    reference: str,
    lines: Sequence[str],
    text: str | None,
    by: str | None,
    *,
    quiet: bool = False,
) -> None:
    whole = [*lines, "/quiet"] if quiet else list(lines)
    asyncio.run(_carry_out(Invocation.of(context), reference, whole, _text(text), by))


def _text(source: str | None) -> str:
    if source is None:
        return ""
    try:
        data = sys.stdin.buffer.read(TEXT_LIMIT_BYTES + 1) if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read {source}: {error.strerror}") from None
    if len(data) > TEXT_LIMIT_BYTES:
        raise NotFound(f"the text has more than {TEXT_LIMIT_BYTES} bytes")
    return data.decode("utf-8", "replace")


async def _carry_out(invocation: Invocation, reference: str, lines: list[str], text: str, by: str | None) -> None:
    from mailbox_service.app import now
    from mailbox_service.cli.message import person, waiting_mails
    from mailbox_service.services.conversation.on_host import carry_out_on_host

    async with invocation.service() as service:
        who = by or person()
        done = await service.database.transact(
            lambda tx: carry_out_on_host(
                tx, service.mailboxes, service.correspondence, reference, lines, text, who, now(), service.doors
            )
        )
        left = await service.database.transact(lambda tx: tx.waiting(sorted(service.mailboxes)))
    write(f"{done.reference} is {done.stage}.")
    for line in done.what:
        write(f"- {line}")
    for line in done.sent:
        write(f"- {line}")
    if left["mails"]:
        write(waiting_mails(left["mails"]))
