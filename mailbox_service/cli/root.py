"""The command `mailbox-service`: its verbs, the options before them, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from mailbox_service import __version__
from mailbox_service.cli import (
    backup,
    case,
    check,
    examples,
    hold,
    ingest,
    key,
    message,
    outbox,
    reconcile,
    service,
    sorter,
    status,
    template,
)
from mailbox_service.cli.exits import Exit, exit_of
from mailbox_service.cli.invocation import CONFIG_VARIABLE, Invocation
from mailbox_service.cli.output import complain
from mailbox_service.errors import ConfigurationError, MailboxServiceError

# What click calls a wrong use of a command.
_CLICK_USAGE = 2

_EXIT_CODES = """\b
Exit codes (sysexits.h):
   0  all well              70  a fault of this program
   1  check found an error  73  file cannot be made
  64  wrong use             74  output cannot be written
  65  bad data, or not      75  try again later; run --once: something is
      possible as it is         left to do
  66  not found             78  wrong configuration
  69  server or database cannot be used"""

app = typer.Typer(
    name="mailbox-service",
    help="The software behind a security@ address: takes in vulnerability reports by mail, opens cases, answers, "
    "and loses nothing.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    # Without rich: it costs 100 ms, and a traceback of it would show the locals of a frame.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
service.register(app)
check.register(app)
status.register(app)
ingest.register(app)
reconcile.register(app)
backup.register(app)
sorter.app.command()(examples.examples)
for noun in (message, case, hold, outbox, key, sorter, template):
    app.add_typer(noun.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mailbox-service {__version__}")
        raise typer.Exit


@app.callback()
def _before_the_verb(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help=f"The configuration. Default: ${CONFIG_VARIABLE}, else config.yaml here, "
            "else /etc/mailbox-service/config.yaml.",
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="After a failure, show where in the program it arose.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    context.obj = Invocation(config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (cli.exits). Prints one line for an error, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows a question mark; no listing fails for that.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    words = globals_first(sys.argv[1:] if arguments is None else arguments)
    code = _ended(words)
    if code in (Exit.BROKEN_PIPE, Exit.IOERR):
        # Python writes what is left once more at the end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _ended(words: list[str]) -> int:
    debug = "--debug" in words
    try:
        typer.main.get_command(app)(args=words, prog_name="mailbox-service")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else Exit.OK if end.code is None else Exit.FAILED
        return Exit.USAGE if code == _CLICK_USAGE else code
    except ConfigurationError as error:
        for problem in error.problems:
            complain(problem)
        return _where(error, Exit.CONFIG, debug)
    except MailboxServiceError as error:
        complain(f"mailbox-service: {error}")
        return _where(error, exit_of(error), debug)
    except Exception as error:
        # The text of an unknown error may quote mail or a password.
        hint = "" if debug else "; --debug shows where"
        complain(f"mailbox-service: a fault of this program: {type(error).__name__}{hint}")
        return _where(error, Exit.SOFTWARE, debug)
    return Exit.OK


def _where(error: Exception, code: Exit, debug: bool) -> Exit:
    if debug:
        import traceback

        complain("".join(traceback.format_exception(error)))
    return code


def globals_first(words: Sequence[str]) -> list[str]:
    """`words` with --config and --debug in front, where the parser wants them; people write them anywhere."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            rest += [word, *waiting]
        elif word == "--config":
            front += [word, *[value for value in [next(waiting, None)] if value is not None]]
        elif word == "--debug" or word.startswith("--config="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest
