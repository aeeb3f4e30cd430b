"""`status`: how it is going, from the database and, where it serves `health`, from the daemon itself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from mailbox_service.cli.check import KEYS as FINDING_KEYS
from mailbox_service.cli.check import exit_for, write_finding
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding, outbox_at_rest, unread
from mailbox_service.cli.invocation import AsJson, Invocation
from mailbox_service.cli.output import Column, listing, write, write_json
from mailbox_service.errors import ConfigurationError, MailboxServiceError

if TYPE_CHECKING:
    from mailbox_service.config import Health

# A message is worked within seconds; a mail may wait for a server that asks for patience. deploy/prometheus-alerts.yml
# has the same limits.
MESSAGES_LATE = timedelta(minutes=10)
MAILS_LATE = timedelta(hours=1)
MARKS_LATE = timedelta(hours=1)
ASK_SECONDS = 5.0
ANSWER_BYTES = 1_000_000

FOLDER_COLUMNS = (
    Column("MAILBOX", "mailbox"),
    Column("FOLDER", "folder", shrinks=True),
    Column("STATE", "state"),
    Column("LAST LOOK (UTC)", "last_poll_at"),
    Column("TO FETCH", "backlog"),
    Column("UNREADABLE", "unread"),
    Column("LAST ERROR", "last_error", shrinks=True),
)
DOOR_COLUMNS = (
    Column("DOOR", "door"),
    Column("OPEN", "listening"),
    Column("STORED", "stored"),
    Column("FAILED", "failed"),
    Column("REFUSED", "refused"),
    Column("LAST STORED (UTC)", "last_stored_at"),
    Column("LAST ERROR", "last_error", shrinks=True),
)
QUEUE_COLUMNS = (
    Column("MAILBOX", "mailbox"),
    Column("WHAT", "name"),
    Column("NUMBER", "count"),
    Column("OLDEST SINCE (UTC)", "oldest"),
)


@dataclass(slots=True)
class Picture:
    """What was learned; `daemon` is what it said of itself."""

    findings: list[Finding] = field(default_factory=list)
    paused: bool | None = None
    queues: list[dict[str, Any]] = field(default_factory=list)
    daemon: dict[str, Any] | None = None


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """How it is going: daemon, folders, what waits and since when. Exit code 0: all is well; else 1, or 69.

    Warnings are for a person to look at; they do not change the exit code.
    """
    invocation = Invocation.of(context)
    picture = Picture()
    _look_into_database(invocation, picture)
    _ask_daemon(invocation, picture)
    code = exit_for(picture.findings)
    if as_json:
        write_json(
            {
                "healthy": code == Exit.OK,
                "findings": [{key: getattr(finding, key) for key in FINDING_KEYS} for finding in picture.findings],
                "paused": picture.paused,
                "queues": picture.queues,
                "daemon": picture.daemon,
            }
        )
    else:
        _show(picture)
    raise typer.Exit(code)


def _show(picture: Picture) -> None:
    for finding in picture.findings:
        write_finding(finding)
    if picture.daemon is not None:
        write("")
        rows = [
            row | {"state": _state(row), "last_poll_at": _moment(row, "last_poll_at")}
            for row in picture.daemon["folders"]
        ]
        listing(rows, FOLDER_COLUMNS, (), as_json=False, empty="No folders.")
        if picture.daemon["doors"]:
            write("")
            rows = [row | {"last_stored_at": _moment(row, "last_stored_at")} for row in picture.daemon["doors"]]
            listing(rows, DOOR_COLUMNS, (), as_json=False, empty="No doors.")
    write("")
    listing(picture.queues, QUEUE_COLUMNS, (), as_json=False, empty="Nothing waits.")


# --- the database ------------------------------------------------------------------------------------------


def _look_into_database(invocation: Invocation, picture: Picture) -> None:
    from mailbox_service.app import now

    try:
        with invocation.database() as (config, database):
            standing, frozen = database.run(lambda tx: (tx.standing(), tx.frozen_since()))
            watched = database.run(lambda tx: list(_watched(tx, [mailbox.name for mailbox in config.mailboxes])))
            watched += unread(config, database)
    except ConfigurationError:
        raise
    except MailboxServiceError as error:
        picture.findings.append(Finding.error("database", str(error), "see `check`", Exit.UNAVAILABLE))
        return
    names = {mailbox.name for mailbox in config.mailboxes}
    picture.paused = standing.paused
    picture.queues = [asdict(queue) for queue in standing.queues if queue.mailbox in names]
    picture.findings.append(Finding.ok("database", "reachable"))
    picture.findings += [*_judged(picture.queues, now()), *watched, *outbox_at_rest(standing.paused, frozen)]


def _watched(tx: Any, mailboxes: Sequence[str]) -> Iterator[Finding]:
    """The alarms that are on, and what the canary and the reconciliation last said."""
    from mailbox_service.services import alarms, canary, reconciliation
    from mailbox_service.services.mailboxes import written_moment

    for mailbox, kind, state in alarms.current(tx, mailboxes):
        what = f"alarm {kind.name} since {written_moment(state.since)}: {state.what}"
        yield Finding.warning(f"mailbox {mailbox}", what, kind.remedy)
    for mailbox in mailboxes:
        newest, compared = canary.newest(tx, mailbox), reconciliation.last(tx, mailbox)
        if newest is not None and newest.back_at is not None and newest.latency_seconds is not None:
            took = f"after {newest.latency_seconds:.1f} s"
            yield Finding.ok(f"mailbox {mailbox}", f"its canary came back {took}, {written_moment(newest.back_at)}")
        if compared is not None and compared.finished is not None and compared.finished != compared.begun:
            found = f"{compared.found} differences" if compared.found else "all is on file"
            yield Finding.ok(
                f"mailbox {mailbox}", f"compared with the server {written_moment(compared.finished)}: {found}"
            )


def _judged(queues: Sequence[Mapping[str, Any]], moment: datetime) -> Iterator[Finding]:
    for queue in queues:
        subject, number, age = f"mailbox {queue['mailbox']}", queue["count"], moment - queue["oldest"]
        since = f"the oldest for {_about(age)}"
        match queue["name"]:
            case "messages" if age > MESSAGES_LATE:
                remedy = "does the daemon run? its log says why they are not worked"
                yield Finding.error(subject, f"{number} messages are not worked, {since}", remedy)
            case "mails" if age > MAILS_LATE:
                remedy = "`outbox list --state waiting` shows the server's last words"
                yield Finding.warning(subject, f"{number} mails wait, {since}", remedy)
            case "marks" if age > MARKS_LATE:
                remedy = "the log says what the IMAP server does not let us do"
                yield Finding.warning(subject, f"the IMAP server was not told of {number} messages, {since}", remedy)
            case "held":
                remedy = "see `mailbox-service hold list`"
                yield Finding.warning(subject, f"{number} messages are held for a person, {since}", remedy)
            case "failed":
                remedy = "see `mailbox-service outbox list --state failed`"
                yield Finding.warning(subject, f"{number} mails could not be delivered", remedy)


def _about(age: timedelta) -> str:
    minutes = max(int(age.total_seconds() // 60), 0)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


# --- the daemon --------------------------------------------------------------------------------------------


def _ask_daemon(invocation: Invocation, picture: Picture) -> None:
    health = invocation.config(mail_files=False).health
    if health is None:
        what = "not asked: it has no `health` in its configuration"
        picture.findings.append(Finding.ok("daemon", what))
        return
    try:
        picture.daemon = _answer(health)
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = f"does not answer at {health.listen} ({type(error).__name__})"
        picture.findings.append(Finding.error("daemon", what, "start it; its log says why it ended"))
        return
    told = picture.daemon
    if not told["reasons"]:
        what = f"version {told['version']}, process {told['pid']}, does its work"
        picture.findings.append(Finding.ok("daemon", what))
    for reason in told["reasons"]:
        remedy = "" if told["alive"] else "restart it"
        picture.findings.append(Finding.error("daemon", str(reason), remedy))


def _answer(health: Health) -> dict[str, Any]:
    """Raises: OSError, HTTPException; ValueError when somebody else answers."""
    connection = http.client.HTTPConnection(health.host, health.port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/status", headers={"Host": "localhost"})
        told = json.loads(connection.getresponse().read(ANSWER_BYTES))
    finally:
        connection.close()
    wanted = {"version": str, "pid": int, "alive": bool, "ready": bool, "reasons": list, "folders": list, "doors": list}
    if not isinstance(told, dict) or any(not isinstance(told.get(key), kind) for key, kind in wanted.items()):
        raise ValueError("not a daemon of ours")
    return told


def _state(folder: Mapping[str, Any]) -> str:
    if folder["login_refused"]:
        return "login refused"
    if not folder["found"]:
        return "no such folder"
    if folder["connected"]:
        return "told at once" if folder["idle"] else "connected"
    return "not connected"


def _moment(row: Mapping[str, Any], key: str) -> datetime | None:
    return datetime.fromisoformat(row[key]) if row[key] else None
