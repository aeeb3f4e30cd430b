"""`check`: the doctor's report."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding, Level
from mailbox_service.cli.invocation import AsJson, Invocation
from mailbox_service.cli.output import write, write_json, write_marked
from mailbox_service.errors import ConfigurationError

# The stable keys of --json (docs/cli.md).
KEYS = ("level", "subject", "what", "remedy")
_COLOURS = {Level.OK: "32", Level.WARNING: "33", Level.ERROR: "1;31"}
_WIDEST_LEVEL = max(len(level) for level in Level)
_REMEDY_INDENT = " " * (_WIDEST_LEVEL + 2)


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no mail server and no name server.")] = False,
    send_test: Annotated[
        bool,
        typer.Option("--send-test", help="Send two mails to the mailbox itself, and see how they come back (60 s)."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The doctor: configuration, secrets, database, mail servers, templates, gpg, clock.

    Each line is ok, warning or error, with the remedy. Exit codes: 0 no error, 78 the configuration is wrong,
    69 a server or the database cannot be used, 1 any other error.
    """
    if offline and send_test:
        raise typer.BadParameter("--send-test needs the mail servers; leave --offline out")
    findings = asyncio.run(_examined(Invocation.of(context), offline, send_test, as_json))
    if as_json:
        write_json([{key: getattr(finding, key) for key in KEYS} for finding in findings])
    raise typer.Exit(exit_for(findings))


async def _examined(invocation: Invocation, offline: bool, send_test: bool, as_json: bool) -> list[Finding]:
    """All findings; for people each is printed as soon as it is known."""
    from mailbox_service.cli.doctor import examinations

    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            write_finding(finding)

    try:
        config = invocation.config()
    except ConfigurationError as error:
        for problem in error.problems:
            found(Finding.error("configuration", problem, "", Exit.CONFIG))
        return findings
    async for finding in examinations(config, offline=offline, send_test=send_test):
        found(finding)
    return findings


def write_finding(finding: Finding) -> None:
    mark = f"{finding.level:<{_WIDEST_LEVEL}}"
    write_marked(mark, _COLOURS[finding.level], f"{finding.subject}: {finding.what}")
    if finding.remedy:
        write(f"{_REMEDY_INDENT}remedy: {finding.remedy}")


def exit_for(findings: list[Finding]) -> Exit:
    """The code of the error that has to be mended first: configuration, then servers, then the rest."""
    codes = {finding.code for finding in findings if finding.level is Level.ERROR}
    return next((code for code in (Exit.CONFIG, Exit.UNAVAILABLE) if code in codes), Exit.FAILED if codes else Exit.OK)
