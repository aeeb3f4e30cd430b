"""`ingest`: mail from files and pipes."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.invocation import Invocation
from mailbox_service.cli.output import complain, write
from mailbox_service.errors import NotFound, PermanentError

if TYPE_CHECKING:
    from mailbox_service.adapters.files import ImportPlan
    from mailbox_service.app import Service
    from mailbox_service.services.ports import RawMessage

# Large messages make small batches: this much of an archive is in memory at once.
BATCH_BYTES = 32 * 1024 * 1024


def register(app: typer.Typer) -> None:
    app.command()(ingest)


def ingest(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…|-",
            help=".eml files, mbox files, Maildirs, folders of .eml files; - is standard input.",
            show_default=False,
        ),
    ],
    mailbox: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The mailbox it belongs to; needed where there are several."),
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer", help="Answer reporters as for new mail; else they hear nothing.")
    ] = False,
) -> None:
    """Import mail. What is known already is left alone, so that the same import can be run again.

    Without --answer no reporter is written to, and the maintainers get one summary.
    """
    raise typer.Exit(asyncio.run(_ingest(Invocation.of(context), paths, mailbox, answer)))


async def _ingest(invocation: Invocation, paths: Sequence[str], mailbox: str | None, answer: bool) -> Exit:
    from mailbox_service.adapters.files import ImportPlan

    async with invocation.service() as service:
        name = _chosen(sorted(service.mailboxes), mailbox)
        plan = ImportPlan(name, not answer, service.config.limits.max_message_size)
        tally = _Tally(service)
        worst = Exit.OK
        for path in paths:
            try:
                for batch in _batches(_messages(path, plan)):
                    await tally.take(batch)
            except PermanentError as error:
                complain(f"mailbox-service: {error}")
                worst = max(worst, Exit.NOINPUT if isinstance(error.__cause__, OSError) else Exit.DATAERR)
        # What an import that was cut short has left behind.
        await service.intake.work_off()
        await service.clocks.fall_due(settled=True)
        tally.tell()
    return worst


def _chosen(names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None:
        complain(f"mailbox-service: name one with --mailbox: {', '.join(names)}")
        raise typer.Exit(Exit.USAGE)
    if wanted not in names:
        raise NotFound(f"no mailbox {wanted}; there are: {', '.join(names)}")
    return wanted


def _messages(path: str, plan: ImportPlan) -> Iterator[RawMessage]:
    from mailbox_service.adapters.files import read_path, read_stream
    from mailbox_service.app import now

    return read_stream(sys.stdin.buffer, plan, now()) if path == "-" else read_path(Path(path), plan)


def _batches(messages: Iterator[RawMessage]) -> Iterator[list[RawMessage]]:
    """Batches for one T1 each; what came before an unreadable file is handed on too."""
    from mailbox_service.services.intake import BATCH_MESSAGES

    batch: list[RawMessage] = []
    size = 0
    try:
        for message in messages:
            batch.append(message)
            size += len(message.data)
            if len(batch) == BATCH_MESSAGES or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except PermanentError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class _Tally:
    """Stores and works batches, and counts what became of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._new = self._known = 0
        self._fates: Counter[str] = Counter()

    async def take(self, batch: list[RawMessage]) -> None:
        claims = await self._service.intake.store(batch)
        await self._service.intake.work(claims)
        self._new += len(claims)
        self._known += len(batch) - len(claims)
        ids = [claim.id for claim in claims]
        for row in await self._service.database.transact(lambda tx: tx.fates_of(ids)):
            self._fates[row["state"] if row["state"] == "waiting" else row["disposition"]] += 1

    def tell(self) -> None:
        fates = ", ".join(f"{count} {name}" for name, count in sorted(self._fates.items()))
        write(f"{self._new} new messages{f' ({fates})' if fates else ''}, {self._known} known already.")
