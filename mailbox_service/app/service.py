"""A `Config` becomes running tasks. Nobody else puts adapters and services together."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Self

import structlog

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.database.transaction import SqlTransaction
from mailbox_service.adapters.processor.parent import ChildProcessor
from mailbox_service.adapters.secrets import TokenSecrets
from mailbox_service.adapters.smtp import SmtpTransport
from mailbox_service.adapters.templates import Templates
from mailbox_service.app.clock import monotonic, now
from mailbox_service.app.memory import keep_what_is_loaded
from mailbox_service.app.tasks import end, kept_alive
from mailbox_service.app.vigil import VIGIL_SECONDS, disk_trouble, own_keys, senses_of_all
from mailbox_service.app.wiring import (
    alarm_channels,
    authenticator,
    doors_of,
    imap_source,
    keyrings,
    listeners,
    mailbox_of,
    smtp_account,
    token_key,
)
from mailbox_service.config import Config
from mailbox_service.errors import MailboxServiceError, PermanentError
from mailbox_service.services import reconciliation
from mailbox_service.services.alarms import Alarms
from mailbox_service.services.clocks import Clocks
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.deliveries import Deliveries
from mailbox_service.services.intake import Intake, Timing
from mailbox_service.services.metering import NO_METER, Meter
from mailbox_service.services.opener import AT_ONCE
from mailbox_service.services.outbox import Outbox, SendingPolicy
from mailbox_service.services.processing import Processing
from mailbox_service.services.reconciliation import FolderComparison, Reconciliation
from mailbox_service.services.sealing import Sealing, keyless
from mailbox_service.services.signals import Bell, Pulse
from mailbox_service.services.vigil import Vigil
from mailbox_service.sorting.learned.sorter import TrainedSorter

log = structlog.get_logger()

# SIGTERM to exit: systemd waits 90 s, docker 10 s; what is under way gets most of the shorter one.
SHUTDOWN_SECONDS = 8.0
# How often it is asked whether a comparison with the server is due.
RECONCILIATION_SECONDS = 300.0


class Service:
    """Everything of one configuration, put together but not running."""

    def __init__(
        self, config: Config, database: Database, instance: str = "", *former: str, meter: Meter = NO_METER
    ) -> None:
        self.config, self.database, self.instance, self.meter = config, database, instance, meter
        self.running = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []  # once running
        with_keys = config.openpgp.folder is not None
        self.mailboxes = {m.name: replace(mailbox_of(m), openpgp=with_keys) for m in config.mailboxes}
        key = token_key(TokenSecrets.load_or_create(config.secret_file), instance, former)
        self.correspondence = correspondence = Correspondence(key, config.outbox.give_up_after)
        # Jitter needs no secrecy.
        timing = Timing(now, random.random, config.database.lease)
        mails_waiting = Bell()
        self.templates = Templates.load(config.templates)
        self.transports = {
            m.name: SmtpTransport(smtp_account(m), mailbox=m.name, meter=meter) for m in config.mailboxes
        }
        self.processing = Processing(
            self.mailboxes,
            TrainedSorter(),
            self.templates,
            correspondence.key,
            {m.name: TrainedSorter(m.intent) for m in config.mailboxes},
        )
        self.processor = ChildProcessor(self.processing)
        self.keyrings = keyrings(config)
        self.doors = doors_of(self.keyrings, config)
        # gpg is waited for in threads of its own: in those of the event loop it would keep others from theirs.
        self._gpg_threads = ThreadPoolExecutor(AT_ONCE, "gpg") if self.doors else None
        self.outbox = self._way_out(correspondence, timing, mails_waiting)
        self.intake = Intake(
            database,
            self.mailboxes,
            self.processor,
            correspondence,
            timing,
            mails_waiting=mails_waiting,
            send_along=self.outbox.send_along,
            meter=meter,
            authenticator=authenticator(config),
            doors=self.doors,
            threads=self._gpg_threads,
        )
        self.clocks = Clocks(database, self.mailboxes, correspondence, timing, mails_waiting=mails_waiting)
        self.alarms, self.vigil = self._watch_over(correspondence, timing, mails_waiting)
        self.reconciliation, self._look_now = Reconciliation(database, self.intake, now), Bell()
        self.sources = {
            m.name: imap_source(m, m.imap, config, self.intake, self._look_now.ring, meter)
            for m in config.mailboxes
            if m.imap
        }
        self.listeners = listeners(config, Deliveries(self.intake))

    @classmethod
    def open(cls, config: Config, *, meter: Meter = NO_METER) -> Self:
        """The service of `config`, its database brought up to date where the configuration lets it.

        Raises: ConfigurationError, TemplateError; TemporaryError when the database is away; PermanentError when its
        schema does not fit.
        """
        url = config.database.connection_url()
        database = Database.open(url)
        try:
            _bring_up_to_date(database, url, migrate=config.database.migrate_at_start)
            new = secrets.token_hex(16)
            instance, former = database.run(lambda tx: (tx.instance(new), tx.former_instances()))
            return cls(config, database, instance, *former, meter=meter)
        except BaseException:
            database.close()
            raise

    # --- running ------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then finish what is under way, within SHUTDOWN_SECONDS, and close everything."""
        try:
            await self.serve(stop)
        finally:
            await self.database.dispose()

    async def serve(self, stop: asyncio.Event) -> bool:
        """As `run`, but the database stays open. False when a task of ours did not end in time."""
        await self._take_over()
        doors = [self._keep(f"watch {m}", w.watch) for m, s in self.sources.items() for w in s.watchers]
        doors += [self._keep(f"mark {m}", s.marker.mark) for m, s in self.sources.items()]
        doors += [self._keep(f"listen {listener.kind}", listener.serve) for listener in self.listeners]
        doors += [self._keep("clocks", self.clocks.run), self._keep("vigil", self._keep_vigil)]
        doors += [self._keep("alarms", self.alarms.run), self._keep("reconciliation", self._keep_reconciling)]
        worker = self._keep("worker", self.intake.run)
        sender = self._keep("outbox", self.outbox.run)
        self.tasks = [*doors, worker, sender]
        keep_what_is_loaded()
        self.running.set()
        log.info("running", mailbox=",".join(self.mailboxes))
        try:
            await stop.wait()
        finally:
            log.info("stopping")
            await asyncio.gather(*(listener.close() for listener in self.listeners))
            ended = await end(doors)
            self.outbox.stop()
            await asyncio.wait([sender, asyncio.create_task(self.intake.drained())], timeout=SHUTDOWN_SECONDS / 2)
            ended = await end([worker, sender]) and ended
            await self.hang_up()
        return ended

    @property
    def pulses(self) -> dict[str, Pulse]:
        """The loops that must come round, whatever the world outside does."""
        lanes = {f"outbox-{number}": pulse for number, pulse in enumerate(self.outbox.pulses)}
        return {"worker": self.intake.pulse, "clocks": self.clocks.pulse, **lanes}

    async def run_once(self) -> bool:
        """One pass: poll, work everything off, deliver what is due, tell the servers. True when all of it went well."""
        await self._take_over()
        worker = asyncio.create_task(self.intake.run(), name="worker")
        try:
            polled = [await self._tried(name, source.pass_once) for name, source in self.sources.items()]
            await self.intake.drained()
        finally:
            await end([worker])
        await self.intake.work_off()
        await self.clocks.fall_due(settled=True)
        while await self.outbox.deliver_waiting():
            pass
        marked = [await self._tried(name, source.marker.pass_once) for name, source in self.sources.items()]
        left = await self.database.transact(lambda tx: tx.waiting(sorted(self.mailboxes)))
        return all(polled) and all(marked) and not left["messages"] and not left["mails"]

    async def close(self) -> None:
        await self.hang_up()
        await self.database.dispose()

    async def hang_up(self) -> None:
        """Close all but the database."""
        for transport in self.transports.values():
            await transport.close()
        await self.processor.close()
        if self._gpg_threads is not None:
            # What still runs there ends by itself, and soon: its keyrings are closed.
            self._gpg_threads.shutdown(wait=False, cancel_futures=True)
        if self.keyrings is not None:
            await asyncio.to_thread(self.keyrings.close)

    async def _take_over(self) -> None:
        released = await self.database.transact(lambda tx: tx.release_leases(self.database.identity, now()))
        if released:
            log.info("work of a former run taken over", count=released)
        frozen = await self.database.transact(lambda tx: tx.frozen_since())
        if frozen is not None:
            reason = f"restored at {frozen:%Y-%m-%d %H:%M} UTC; nothing is sent until `mailbox-service outbox resume`"
            log.warning("outbox frozen", reason=reason)

    async def _tried(self, mailbox: str, step: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        try:
            await step()
        except MailboxServiceError as error:
            log.error("mailbox failed", mailbox=mailbox, error_type=type(error).__name__, reason=error)
            return False
        return True

    def _keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        return asyncio.create_task(kept_alive(name, work, self.meter), name=name)

    def _way_out(self, correspondence: Correspondence, timing: Timing, mails_waiting: Bell) -> Outbox:
        rules = self.config.outbox
        return Outbox(
            self.database,
            self.mailboxes,
            self.processor,
            self.transports,
            correspondence,
            timing,
            SendingPolicy(rules.max_per_hour, rules.retry_first, rules.retry_max),
            mails_waiting=mails_waiting,
            meter=self.meter,
            sealing=Sealing(self.processing, self.doors, self.database, self._gpg_threads) if self.doors else None,
        )

    def _watch_over(self, correspondence: Correspondence, timing: Timing, mails_waiting: Bell) -> tuple[Alarms, Vigil]:
        """What looks at all the rest, and whom it tells."""
        alarms = Alarms(
            self.database,
            self.mailboxes,
            correspondence,
            timing,
            mails_waiting=mails_waiting,
            channels=alarm_channels(self.config),
            meter=self.meter,
        )
        # On PostgreSQL the server's disk is not ours to see; here there is only the secret.
        folder = (self.config.database.sqlite_path or self.config.secret_file).parent
        vigil = Vigil(
            self.database,
            self.mailboxes,
            correspondence,
            alarms,
            now,
            monotonic,
            senses=lambda: senses_of_all(self.sources, self.transports, self.listeners),
            disk=lambda: disk_trouble(folder, self.config.alarms.disk_free),
            mails_waiting=mails_waiting,
            meter=self.meter,
            own_keys=partial(own_keys, self.doors) if self.doors else None,
        )
        return alarms, vigil

    async def _keep_reconciling(self) -> None:
        while True:
            await asyncio.sleep(RECONCILIATION_SECONDS)
            for mailbox in self.sources:
                await self._tried(mailbox, partial(self.reconcile_due, mailbox))

    async def reconcile_due(self, mailbox: str) -> None:
        """The daily comparison of a mailbox, where it is due. Raises: TemporaryError and its kin."""
        record = await self.database.transact(lambda tx: reconciliation.begin_due(tx, mailbox, now()))
        if record is None:
            return
        compared = await self.reconcile(mailbox)
        done = record.after(sum(folder.count for folder in compared), now())
        await self.database.transact(lambda tx: reconciliation.finish(tx, mailbox, done))
        log.info("reconciled", mailbox=mailbox, count=done.found)

    async def reconcile(self, mailbox: str, *, take_in: bool = False) -> list[FolderComparison]:
        """Compare the server of a mailbox with what is on file; there is none where mail is only pushed.

        Raises: TemporaryError and its kin.
        """
        if mailbox not in self.sources:
            return []
        async with self.sources[mailbox].inventory() as server:
            return await self.reconciliation.compare(mailbox, server, take_in=take_in)

    async def _warn_of_keyless(self) -> None:
        """Who is to hear of sealed cases, and can be told no more than that there is one."""
        threads, moment = self._gpg_threads, now()
        try:
            for name, door in self.doors.items():
                if not await asyncio.get_running_loop().run_in_executor(threads, door.own_keys):
                    continue
                pins = await self.database.transact(partial(SqlTransaction.pins, mailbox=name))
                for person, why in keyless(self.mailboxes[name].maintainers, pins, moment):
                    log.warning("a maintainer cannot read what is encrypted", mailbox=name, reason=f"{person}: {why}")
        except MailboxServiceError as error:
            log.warning("keys not looked at", error_type=type(error).__name__, reason=error)

    async def _keep_vigil(self) -> None:
        await self._warn_of_keyless()
        while True:
            await self._look_now.wait(VIGIL_SECONDS)
            await self.vigil.look()


def _bring_up_to_date(database: Database, url: str, *, migrate: bool) -> None:
    from mailbox_service.adapters.database import migrating_apart, schema

    if database.run(lambda tx: schema.revision(tx.connection)) == schema.REVISION:
        return
    if not migrate:
        raise PermanentError("the database is not up to date; run `mailbox-service migrate`")
    before, after = migrating_apart.migrate(url)
    log.info("database migrated", revision=f"{before or 'empty'} to {after}")
