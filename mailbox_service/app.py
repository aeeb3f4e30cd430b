"""The composition root: a `Config` becomes running tasks. Nobody else puts adapters and services together."""

from __future__ import annotations

import asyncio
import hmac
import random
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import structlog

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.imap import FolderPlan, FolderWatcher, ImapAccount, ImapSource, MarkPlan
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.adapters.smtp import SmtpAccount, SmtpTransport
from mailbox_service.adapters.templates import Templates
from mailbox_service.config import Config, WithPassword
from mailbox_service.config import Mailbox as MailboxConfig
from mailbox_service.core.budget import AnswerLimits
from mailbox_service.core.tokens import TokenKey
from mailbox_service.errors import MailboxServiceError, PermanentError, TemporaryError
from mailbox_service.services.clocks import Clocks
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Intake, Timing
from mailbox_service.services.mailboxes import Contact, Mailbox, Maintainer, Notices
from mailbox_service.services.outbox import Outbox, SendingPolicy
from mailbox_service.services.ports import Mark
from mailbox_service.services.signals import Bell
from mailbox_service.sorting.lexical import LexicalSorter

log = structlog.get_logger()

# SIGTERM to exit: systemd waits 90 s, docker 10 s; what is under way gets most of the shorter one.
SHUTDOWN_SECONDS = 8.0
ENDING_TRIES = 3
# Long enough for a server's restart, short enough that a reporter still gets an answer the same day.
DEAF_AFTER = timedelta(minutes=15)
VIGIL_SECONDS = 60.0
RESTART_FIRST_SECONDS, RESTART_LONGEST_SECONDS = 1.0, 60.0


def now() -> datetime:
    """The clock of the whole service; the only one."""
    return datetime.now(UTC)


class Service:
    """Everything of one configuration, put together but not running."""

    def __init__(self, config: Config, database: Database, instance: str = "") -> None:
        self.config, self.database = config, database
        self.mailboxes = {m.name: _mailbox(m) for m in config.mailboxes}
        generation, secret = TokenSecrets.load_or_create(config.secret_file).current
        # A database that is begun anew under an old secret must not give old names to new mails.
        secret = hmac.digest(secret, instance.encode(), "sha256")
        correspondence = Correspondence(TokenKey(generation, secret), config.outbox.give_up_after)
        # Jitter needs no secrecy.
        timing = Timing(now, random.random, config.database.lease)
        mails_waiting = Bell()
        self.templates = Templates.load(config.templates)
        self.transports = {m.name: SmtpTransport(_smtp_account(m)) for m in config.mailboxes}
        self.intake = Intake(
            database, self.mailboxes, LexicalSorter(), correspondence, timing, mails_waiting=mails_waiting
        )
        self.outbox = Outbox(
            database,
            self.mailboxes,
            self.templates,
            self.transports,
            correspondence,
            timing,
            SendingPolicy(config.outbox.max_per_hour, config.outbox.retry_first, config.outbox.retry_max),
            mails_waiting=mails_waiting,
        )
        self.clocks = Clocks(database, self.mailboxes, correspondence, timing, mails_waiting=mails_waiting)
        self._alarms: set[asyncio.Task[None]] = set()
        self.sources = {m.name: self._source(m) for m in config.mailboxes}

    @classmethod
    def open(cls, config: Config) -> Self:
        """The service of `config`, its database brought up to date where the configuration lets it.

        Raises: ConfigurationError, TemplateError; TemporaryError when the database is away; PermanentError when its
        schema does not fit.
        """
        database = Database.open(config.database.connection_url())
        try:
            _bring_up_to_date(database, migrate=config.database.migrate_at_start)
            return cls(config, database, database.run(lambda tx: tx.instance(secrets.token_hex(16))))
        except BaseException:
            database.close()
            raise

    # --- running ------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then finish what is under way, within SHUTDOWN_SECONDS."""
        await self._take_over()
        doors = [self._keep(f"watch {m}", w.watch) for m, s in self.sources.items() for w in s.watchers]
        doors += [self._keep(f"mark {m}", s.marker.mark) for m, s in self.sources.items()]
        doors += [self._keep("clocks", self.clocks.run), self._keep("vigil", self._keep_vigil)]
        worker = self._keep("worker", self.intake.run)
        sender = self._keep("outbox", self.outbox.run)
        log.info("running", mailbox=",".join(self.mailboxes))
        try:
            await stop.wait()
        finally:
            log.info("stopping")
            await _end(doors)
            self.outbox.stop()
            await asyncio.wait([sender, asyncio.create_task(self.intake.drained())], timeout=SHUTDOWN_SECONDS / 2)
            await _end([worker, sender, *self._alarms])
            await self.close()

    async def run_once(self) -> bool:
        """One pass: poll, work everything off, deliver what is due, tell the servers. True when all of it went well."""
        await self._take_over()
        worker = asyncio.create_task(self.intake.run(), name="worker")
        try:
            polled = [await self._tried(name, source.pass_once) for name, source in self.sources.items()]
            await self.intake.drained()
        finally:
            await _end([worker])
        await self.intake.work_off()
        await self.clocks.fall_due(settled=True)
        while await self.outbox.deliver_waiting():
            pass
        marked = [await self._tried(name, source.marker.pass_once) for name, source in self.sources.items()]
        left = await self.database.transact(lambda tx: tx.waiting(sorted(self.mailboxes)))
        return all(polled) and all(marked) and not left["messages"] and not left["mails"]

    async def close(self) -> None:
        for transport in self.transports.values():
            await transport.close()
        await self.database.dispose()

    async def _take_over(self) -> None:
        released = await self.database.transact(lambda tx: tx.release_leases(self.database.identity, now()))
        if released:
            log.info("work of a former run taken over", count=released)

    async def _tried(self, mailbox: str, step: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        try:
            await step()
        except MailboxServiceError as error:
            log.error("mailbox failed", mailbox=mailbox, error_type=type(error).__name__, reason=error)
            return False
        return True

    def _keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        return asyncio.create_task(_kept_alive(name, work), name=name)

    def _source(self, mailbox: MailboxConfig) -> ImapSource:
        imap = mailbox.imap
        folders = [FolderPlan(name) for name in imap.folders]
        if imap.junk is not None:
            folders.append(FolderPlan(None if imap.junk == "auto" else imap.junk, junk=True))
        marks = {mark: getattr(imap.marks, mark.value) for mark in Mark}
        return ImapSource(
            mailbox.name,
            imap_account(mailbox, self.config),
            self.intake,
            clock=now,
            folders=folders,
            marks={mark: MarkPlan(rule.flags, rule.folder) for mark, rule in marks.items()},
            alarm=self._alarm,
        )

    async def _keep_vigil(self) -> None:
        """Notice that we no longer hear: a folder that could not be looked at for DEAF_AFTER raises an alarm."""
        started = now()
        while True:
            await asyncio.sleep(VIGIL_SECONDS)
            for name, source in self.sources.items():
                for watcher in source.watchers:
                    if deaf(watcher, started, now()):
                        status = watcher.status
                        what = f"the folder {status.folder} cannot be looked at ({status.last_error})"
                        await self._raise_alarm(
                            name, "deaf", what, "run `mailbox-service check`, and mend what it names"
                        )

    def _alarm(self, mailbox: str, what: str) -> None:
        remedy = "run `mailbox-service check`, and correct the password or the server"
        task = asyncio.create_task(self._raise_alarm(mailbox, "imap", what, remedy), name="alarm")
        self._alarms.add(task)
        task.add_done_callback(self._alarms.discard)

    async def _raise_alarm(self, mailbox: str, name: str, what: str, remedy: str) -> None:
        try:
            await self.clocks.raise_alarm(mailbox, name, what, remedy)
        except MailboxServiceError as error:
            log.error("alarm not raised", mailbox=mailbox, error_type=type(error).__name__, reason=error)


def deaf(watcher: FolderWatcher, started: datetime, moment: datetime) -> bool:
    """Whether a folder that should be there has not been looked at for DEAF_AFTER, and is not being looked at now."""
    if watcher.status.connected or (watcher.junk and not watcher.status.found):
        return False
    return moment - (watcher.status.last_poll_at or started) > DEAF_AFTER


async def _kept_alive(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` until it ends by itself. A fault of ours in one task must not silence the others."""
    pause = RESTART_FIRST_SECONDS
    while True:
        try:
            await work()
            return
        except Exception as error:
            log.exception("task failed", task=name, error_type=type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, RESTART_LONGEST_SECONDS)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel, until they have ended. More than once, because a library may swallow a cancellation that comes at the
    very moment one of its own deadlines passes (Python 3.11's `wait_for` does)."""
    pending = set(tasks)
    for _ in range(ENDING_TRIES):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=1.0)
    if pending:
        log.warning("tasks did not end", count=len(pending), task=",".join(t.get_name() for t in pending))


def _bring_up_to_date(database: Database, *, migrate: bool) -> None:
    # Alembic costs memory and time; a database that is up to date does not need it.
    from mailbox_service.adapters.database import schema

    if database.run(lambda tx: schema.revision(tx.connection)) == schema.REVISION:
        return
    if not migrate:
        raise PermanentError("the database is not up to date; run `mailbox-service migrate`")
    from mailbox_service.adapters.database import migrating

    before, after = migrating.migrate(database)
    log.info("database migrated", revision=f"{before or 'empty'} to {after}")


def _mailbox(config: MailboxConfig) -> Mailbox:
    return Mailbox(
        name=config.name,
        address=config.address,
        project_name=config.project_name,
        team_address=config.team_address,
        maintainers=tuple(Maintainer(m.name, m.address) for m in config.maintainers),
        aliases=config.aliases,
        contacts=tuple(Contact(c.label, c.value) for c in config.contacts),
        policy_url=config.policy_url,
        reference=config.reference,
        first_response_working_days=config.first_response_working_days,
        authserv_id=config.authserv_id,
        answer_backlog=config.answer_backlog,
        ack_unauthenticated=config.ack_unauthenticated,
        shadow=config.shadow,
        limits=AnswerLimits(
            config.limits.sender_per_day,
            config.limits.domain_per_day,
            config.limits.per_hour,
            frozenset(d.lower() for d in config.limits.public_providers),
        ),
        notices=Notices(
            config.notices.attachment_limit,
            config.notices.collect_above_per_hour,
            config.notices.collect_every,
            config.notices.digest_at,
        ),
        envelope_from=config.smtp.envelope_from,
    )


def imap_account(mailbox: MailboxConfig, config: Config) -> ImapAccount:
    """How to log in to the mailbox's IMAP server."""
    imap = mailbox.imap
    return ImapAccount(
        host=imap.host,
        port=imap.port,
        security=imap.security,
        username=imap.username,
        password=_password(imap),
        ca_file=str(imap.ca_file) if imap.ca_file else None,
        allow_plaintext=imap.allow_plaintext,
        idle=imap.idle,
        poll_interval=imap.poll_interval.total_seconds(),
        max_message_size_bytes=config.limits.max_message_size,
    )


def _smtp_account(mailbox: MailboxConfig) -> SmtpAccount:
    smtp = mailbox.smtp
    return SmtpAccount(
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        username=smtp.username,
        password=_password(smtp) if smtp.username else None,
        ca_file=smtp.ca_file,
        allow_plaintext=smtp.allow_plaintext,
        connections=smtp.connections,
        timeout_seconds=smtp.timeout.total_seconds(),
    )


def _password(section: WithPassword) -> Callable[[], str]:
    def read() -> str:
        password = section.secret()
        if password is None:
            raise TemporaryError("no password is configured")
        return password

    return read
