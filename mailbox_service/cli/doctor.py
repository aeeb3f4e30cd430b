"""The examinations of `check`. Each yields findings, changes nothing, and never fails itself."""

from __future__ import annotations

import asyncio
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from mailbox_service.adapters.database import migrating, schema
from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.adapters.templates import BrokenOverridesError, Templates
from mailbox_service.app import Service, imap_account, now
from mailbox_service.cli import servers
from mailbox_service.cli.doors import doors
from mailbox_service.cli.exits import Exit
from mailbox_service.cli.findings import Finding, outbox_at_rest, unread
from mailbox_service.config import Config
from mailbox_service.errors import ConfigurationError, MailboxServiceError, PermanentError, TemplateError
from mailbox_service.services.ports.openpgp import usable_pin

# When this program was written: a clock before it is wrong, and with it every certificate and every deadline.
EARLIEST_YEAR = 2026
CLOCK_TOLERANCE = timedelta(seconds=30)
GPG_WANTED = (2, 2)  # what Debian's oldest supported release has; earlier ones report failures differently
GPG_SECONDS = 20.0


async def examinations(config: Config, *, offline: bool, send_test: bool) -> AsyncIterator[Finding]:
    """All findings about `config`, in the order in which one would mend them."""
    for warning in config.warnings:
        where, _, what = warning.partition(": ")
        yield Finding.warning("configuration", f"{where}: {what}", "")
    yield Finding.ok("configuration", f"valid; mailboxes: {', '.join(mailbox.name for mailbox in config.mailboxes)}")
    for finding in await asyncio.to_thread(_on_this_host, config):
        yield finding
    if not offline:
        async for finding in _network(config, send_test=send_test):
            yield finding


def _on_this_host(config: Config) -> list[Finding]:
    return [
        *_policy(config),
        *_secrets(config),
        *doors(config),
        *_database(config),
        *_templates(config),
        *_gpg(),
        *_year(),
    ]


# --- configuration and files -------------------------------------------------------------------------------


def _policy(config: Config) -> Iterator[Finding]:
    """What the configuration allows but an operator may not have meant."""
    for mailbox in config.mailboxes:
        subject = f"mailbox {mailbox.name}"
        if mailbox.authserv_id is None:
            answers = (
                "answers are proven by their DKIM signatures"
                if mailbox.dkim
                else "and dkim is off, so that each command by mail is first confirmed"
            )
            yield Finding.warning(
                subject,
                "authserv_id is not set: no new report counts as authenticated, so acknowledgements go out within the "
                f"smaller budget, and none to mail found in Junk; {answers}",
                "set authserv_id to the first word of the Authentication-Results header that your provider adds",
            )
        if mailbox.shadow:
            yield Finding.warning(subject, "shadow is on: no mail is sent", "remove `shadow: true` when you are ready")


def _secrets(config: Config) -> Iterator[Finding]:
    file = config.secret_file
    if not file.exists():
        yield Finding.ok("secret file", f"{file} will be made at the first start")
        return
    try:
        generation, _ = TokenSecrets.load_or_create(file).current
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding.error("secret file", problem, "", Exit.CONFIG)
    else:
        yield Finding.ok("secret file", f"{file}, generation {generation}; is it in your backup?")


def _templates(config: Config) -> Iterator[Finding]:
    try:
        templates = Templates.load(config.templates)
    except BrokenOverridesError as error:
        for problem in error.problems:
            yield Finding.error("templates", problem, "correct the file, or remove it to use the text", Exit.CONFIG)
    except TemplateError as error:
        yield Finding.error("templates", str(error), "install the program again", Exit.FAILED)
    else:
        own = [name for name in templates.names() if templates.source(name).path is not None]
        yield Finding.ok("templates", f"{len(templates.names())} mails, of which your own: {', '.join(own) or 'none'}")


# --- database ----------------------------------------------------------------------------------------------


class _RollBackError(Exception):
    """Ends the trial transaction: nothing of it stays."""


def _database(config: Config) -> Iterator[Finding]:
    file = config.database.sqlite_path
    if file is not None and not file.exists():
        if config.database.migrate_at_start:
            yield Finding.ok("database", f"{file} will be made at the first start")
        else:
            yield Finding.error("database", f"there is no {file} yet", "run `mailbox-service migrate`")
        return
    try:
        database = Database.open(config.database.connection_url())
        try:
            yield from _open_database(config, database)
        finally:
            database.close()
    except MailboxServiceError as error:
        yield Finding.error(
            "database", str(error), "start the server; check url, password and rights", Exit.UNAVAILABLE
        )
    if file is not None and stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield Finding.warning("database", f"other users can reach {file}", f"run `chmod 600 {file}`")


def _open_database(config: Config, database: Database) -> Iterator[Finding]:
    found = database.run(lambda tx: schema.revision(tx.connection))
    if found != schema.REVISION:
        behind = f"its schema is {found or 'empty'}, this program wants {schema.REVISION}"
        if config.database.migrate_at_start:
            yield Finding.ok("database", f"{behind}; it is brought up to date at the next start")
        else:
            yield Finding.error("database", behind, "run `mailbox-service migrate`")
        return
    differences = migrating.differences(database)
    if differences:
        remedy = "it was changed by hand; restore a backup, or undo the change"
        yield Finding.error("database", f"{len(differences)} differences from schema {found}: {differences[0]}", remedy)
    _try_to_write(database)
    yield Finding.ok("database", f"reachable, writable, schema {found}")
    yield from _contents(config, database)


def _try_to_write(database: Database) -> None:
    """Raises: TemporaryError when the database takes no writes."""

    def write_and_go_back(tx: SqlTransaction) -> None:
        tx.pause_outbox(tx.outbox_paused())
        raise _RollBackError

    try:
        database.run(write_and_go_back)
    except _RollBackError:
        return


def _contents(config: Config, database: Database) -> Iterator[Finding]:
    """What waits in the database, and whether its time is ours."""
    names = {mailbox.name for mailbox in config.mailboxes}
    left, known, paused, frozen, moment = database.run(
        lambda tx: (
            tx.waiting(sorted(names)),
            tx.known_mailboxes(),
            tx.outbox_paused(),
            tx.frozen_since(),
            tx.moment(),
        )
    )
    yield from outbox_at_rest(paused, frozen)
    if left["failed"]:
        remedy = "see `mailbox-service outbox list --state failed`; `outbox retry ID` tries one again"
        yield Finding.warning("outbox", f"{left['failed']} mails could not be delivered", remedy)
    if left["held"]:
        remedy = "see `mailbox-service hold list`"
        yield Finding.warning("messages", f"{left['held']} are held for a person", remedy)
    for name in sorted(set(known) - names):
        remedy = "add it again, or leave it: its mail stays on file, and what waits for it is not worked"
        yield Finding.warning("configuration", f"mailbox {name} is on file but no longer configured", remedy)
    yield from _unsigned(config, database)
    yield from unread(config, database)
    if moment is not None:
        yield from _clock(moment - now(), database.is_sqlite)


def _unsigned(config: Config, database: Database) -> Iterator[Finding]:
    """Who has to sign and has no key that counts, so that nothing they mail is done."""
    wanted = [(box, [m for m in box.maintainers if box.strict or m.signed_only]) for box in config.mailboxes]
    for mailbox, people in wanted:
        if not people:
            continue
        pins = database.run(partial(SqlTransaction.pins, mailbox=mailbox.name))
        for person in people:
            if usable_pin(pins, person.address, now(), by_hand=True) is None:
                known = f"no valid key is pinned to {person.address}"
                what = f"{person.name} has to sign, and {known}: no mail of theirs counts"
                remedy = f"run `mailbox-service key pin {person.address} FINGERPRINT --file FILE`"
                yield Finding.error(f"mailbox {mailbox.name}", what, remedy)


def _clock(ahead: timedelta, is_sqlite: bool) -> Iterator[Finding]:
    """`ahead`: by how much the database's time is ahead of the host's."""
    remedy = "set the clock by NTP (`timedatectl set-ntp true`)"
    if is_sqlite and ahead > CLOCK_TOLERANCE:
        yield Finding.error("clock", f"is {ahead} behind the time at which mail was last stored", remedy)
    elif not is_sqlite and abs(ahead) > CLOCK_TOLERANCE:
        yield Finding.error("clock", f"differs from the database server's by {abs(ahead)}", remedy)


def _year() -> Iterator[Finding]:
    moment = now()
    if moment.year < EARLIEST_YEAR:
        yield Finding.error("clock", f"says {moment:%Y-%m-%d}", "set the clock; certificates and deadlines need it")
    else:
        yield Finding.ok("clock", f"says {moment:%Y-%m-%d %H:%M} UTC")


# --- programs ----------------------------------------------------------------------------------------------


def _gpg() -> Iterator[Finding]:
    remedy = "install GnuPG 2.2 or newer (`apt install gpg`); until then encrypted mail is handed on as it came"
    program = shutil.which("gpg")
    if program is None:
        yield Finding.warning("gpg", "is not installed", remedy)
        return
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, timeout=GPG_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding.warning("gpg", f"{program} does not run ({type(error).__name__})", remedy)
        return
    match = re.search(rb"^gpg \(GnuPG[^)]*\) (\d+)\.(\d+)\S*", shown)
    if match is None or (int(match[1]), int(match[2])) < GPG_WANTED:
        yield Finding.warning("gpg", f"{program} is older than 2.2", remedy)
    else:
        yield Finding.ok("gpg", match[0].decode("ascii", "replace"))


# --- mail servers ------------------------------------------------------------------------------------------


async def _network(config: Config, *, send_test: bool) -> AsyncIterator[Finding]:
    """All servers at once, told in the order of the configuration."""
    with tempfile.TemporaryDirectory(prefix="mailbox-service-check-") as folder:
        try:
            service = _borrowed(config, Path(folder))
        except ConfigurationError as error:
            for problem in error.problems:
                yield Finding.error("configuration", problem, "", Exit.CONFIG)
            return
        except (PermanentError, TemplateError) as error:
            yield Finding.error("installation", str(error), "install the program again")
            return
        try:
            probes = [
                asyncio.create_task(probe)
                for mailbox in config.mailboxes
                for probe in (
                    *([servers.imap(mailbox, service.sources[mailbox.name])] if mailbox.imap else []),
                    servers.smtp(mailbox, service.transports[mailbox.name]),
                )
            ]
            for task in probes:
                for finding in await task:
                    yield finding
            for finding in await servers.dns(config):
                yield finding
            if send_test:
                async for finding in _round_trips(config, service):
                    yield finding
        finally:
            await service.close()


def _borrowed(config: Config, folder: Path) -> Service:
    """A service whose servers can be asked, whatever is wrong with its database, its secrets and its templates."""
    without = config.model_copy(update={"templates": None, "secret_file": folder / "secret"})
    return Service(without, Database.open(f"sqlite:///{folder / 'empty.db'}"))


async def _round_trips(config: Config, service: Service) -> AsyncIterator[Finding]:
    from mailbox_service.cli import round_trip

    for mailbox in config.mailboxes:
        transport = service.transports[mailbox.name]
        if mailbox.imap is None:
            what = "a mail to oneself can be followed only where it is fetched by IMAP"
            remedy = "send one, and see whether `mailbox-service message list` shows it"
            yield Finding.warning(f"round trip {mailbox.name}", what, remedy)
            continue
        account = imap_account(mailbox.imap, config)
        for finding in await round_trip.examine(mailbox, mailbox.imap, account, transport, service.templates):
            yield finding
