"""Does this process get on, and does it hear? The first decides whether it is killed, the second is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from mailbox_service.adapters.database.storage import Database
from mailbox_service.adapters.imap import FolderWatcher
from mailbox_service.adapters.systemd import Notifier
from mailbox_service.app.service import Service
from mailbox_service.errors import TemporaryError
from mailbox_service.services.signals import Bell, Pulse

log = structlog.get_logger()

ROUND_SECONDS = 5.0
# A question waits behind whatever the database's thread does. "It is away" is an answer as well: being killed would
# not bring it back. A server that vanished is noticed within a minute, so no answer at all means a stuck thread.
DATABASE_STUCK_SECONDS = 120.0
# From one configuration to the next: what is under way is finished within eight seconds.
SWITCH_STUCK_SECONDS = 60.0
# Beyond the interval at which a folder is looked at anyway: for a slow server, and one attempt more.
HEARD_WITHIN = timedelta(seconds=60)
POLLS_MISSED = 3


class Liveness:
    """Asks the database at intervals, looks at the loops, and tells systemd for as long as all of them come round."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._service: Service | None = None
        self._database = Pulse(DATABASE_STUCK_SECONDS)
        self._switch = Pulse(SWITCH_STUCK_SECONDS)
        self._question: asyncio.Task[None] | None = None
        self._complained: list[str] = []
        self._another_service = Bell()
        self.database_up = False

    def watch(self, service: Service | None) -> None:
        """From now on, this service; None while one ends and the next begins."""
        self._service = service
        self._database.beat()
        self._switch.beat()
        if service is not None:
            for pulse in service.pulses.values():
                pulse.beat()
        self._another_service.ring()

    def problems(self) -> list[str]:
        """Why this process should be killed and started anew; nothing from mail."""
        service = self._service
        if service is None:
            return ["the change of the configuration hangs"] if self._switch.stuck else []
        pulses = {**service.pulses, "database": self._database}
        stuck = [f"{name}: no progress for {p.silent_seconds:.0f} s" for name, p in pulses.items() if p.stuck]
        # One that returned had nothing to do; a loop that should go on and does not is found by its pulse.
        broken = [task for task in service.tasks if task.done() and (task.cancelled() or task.exception())]
        return stuck + [f"{task.get_name()}: has ended" for task in broken]

    def unready(self) -> list[str]:
        """Why it does not do its work just now; nothing from mail."""
        if self._service is None:
            return ["starting"]
        away = [] if self.database_up else ["the database does not answer"]
        return self.problems() + away + unheard(self._service)

    async def run(self) -> None:
        """Until cancelled."""
        watchdog = self._notifier.watchdog_seconds
        pause = min(ROUND_SECONDS, watchdog / 3) if watchdog else ROUND_SECONDS
        while True:
            await self._ask_database(pause)
            problems = self.problems()
            if not problems:
                self._notifier.watchdog()
            elif [p.partition(":")[0] for p in problems] != self._complained:
                log.error("no progress", reason="; ".join(problems))
            self._complained = [p.partition(":")[0] for p in problems]
            if self._service is not None:
                self._notifier.status("; ".join(self.unready()) or f"watching {', '.join(self._service.mailboxes)}")
            await self._another_service.wait(pause)

    async def _ask_database(self, seconds: float) -> None:
        """One question at a time: one that hangs is left to hang, and `problems` tells."""
        if self._service is None:
            return
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask(self._service.database), name="database question")
        await asyncio.wait({self._question}, timeout=seconds)

    async def _ask(self, database: Database) -> None:
        try:
            await database.transact(lambda tx: tx.outbox_paused())
            self.database_up = True
        except TemporaryError:
            self.database_up = False
        self._database.beat()


def unheard(service: Service) -> list[str]:
    """The folders that were not looked at within their limit, and the doors that are not open."""
    found = [
        f"door {listener.kind}: {listener.status.last_error or 'not open'}"
        for listener in service.listeners
        if not listener.status.listening
    ]
    for mailbox in service.config.mailboxes:
        if mailbox.imap is None:
            continue
        limit = POLLS_MISSED * mailbox.imap.poll_interval + HEARD_WITHIN
        for watcher in service.sources[mailbox.name].watchers:
            if not heard(watcher, limit):
                what = "login refused" if watcher.status.login_refused else "not looked at in time"
                found.append(f"mailbox {mailbox.name}, folder {watcher.status.folder}: {what}")
    return found


def heard(watcher: FolderWatcher, within: timedelta) -> bool:
    """Whether the folder was compared, or mail of it stored, within so long. A Junk folder need not exist."""
    status = watcher.status
    if watcher.junk and not status.found:
        return True
    begun = status.last_poll_at is not None or status.backlog > 0
    return begun and watcher.silent_seconds <= within.total_seconds()
