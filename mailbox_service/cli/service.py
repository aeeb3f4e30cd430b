"""`run`, `migrate` and `demo`: the verbs without a noun that keep something going."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.invocation import Invocation
from mailbox_service.cli.output import complain, write

if TYPE_CHECKING:
    from mailbox_service.app import Daemon, Service


def register(app: typer.Typer) -> None:
    app.command()(demo)
    app.command()(run)
    app.command()(migrate)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the cast and exit; 0 only if everything happened.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with the demo's state.")] = False,
) -> None:
    """Show the main job on this machine alone: a mail server, the daemon and a small cast."""
    try:
        from mailbox_service.demo.cast import play
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mailbox_service"):
            raise
        complain("mailbox-service: the demo needs its extra; run `pip install 'mailbox-service[demo]'`")
        raise typer.Exit(Exit.UNAVAILABLE) from None
    raise typer.Exit(play(once=once, keep=keep))


def run(
    context: typer.Context,
    once: Annotated[
        bool,
        typer.Option("--once", help="One pass: poll, work everything off, deliver, exit. 75: something is left."),
    ] = False,
) -> None:
    """The daemon: watch the mailboxes, open cases, answer. SIGTERM or Ctrl-C ends it cleanly, a second one at once.

    SIGHUP reads the configuration anew: it is taken over when it is right, else the log says what is wrong.
    """
    from mailbox_service import logs
    from mailbox_service.app import Daemon, Service
    from mailbox_service.app.memory import share_one_arena

    share_one_arena()
    if not once:
        # A reload while we start: what it asks for has just been read.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    invocation = Invocation.of(context)
    config = invocation.config()
    logs.configure(config.logging.format, config.logging.level)
    log = logs.get_logger(__name__)
    for warning in config.warnings:
        log.warning("configuration", reason=warning)
    log.info("starting", pid=os.getpid(), mailbox=",".join(mailbox.name for mailbox in config.mailboxes))
    if once:
        raise typer.Exit(asyncio.run(_one_pass(Service.open(config))))
    asyncio.run(_serve(Daemon.open(config, invocation.load, os.environ)))


async def _serve(daemon: Daemon) -> None:
    on_signals(daemon.stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reload)
    await daemon.run()


async def _one_pass(service: Service) -> Exit:
    work = asyncio.create_task(service.run_once(), name="one pass")
    on_signals(lambda: work.cancel())
    try:
        return Exit.OK if await work else Exit.TEMPFAIL
    except asyncio.CancelledError:
        # Stopped between two steps; the next pass goes on from there.
        return Exit.TEMPFAIL
    finally:
        await service.close()


def on_signals(stop: Callable[[], object]) -> None:
    """The first SIGTERM or SIGINT calls `stop`; the second ends the process at once, which costs no mail."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def received(number: int) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)


def migrate(context: typer.Context) -> None:
    """Bring the database up to date; a new one is made. All or nothing."""
    from mailbox_service.adapters.database import migrating
    from mailbox_service.adapters.database.storage import Database

    config = Invocation.of(context).config()
    database = Database.open(config.database.connection_url())
    try:
        before, after = migrating.migrate(database)
    finally:
        database.close()
    if before == after:
        write(f"The database is up to date: schema {after}.")
    else:
        write(f"The database was brought from {before or 'empty'} to schema {after}.")
