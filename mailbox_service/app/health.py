"""The pages for monitoring: /healthz, /readyz, /metrics, and /status for the verb of that name."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict

from mailbox_service import __version__
from mailbox_service.adapters.database.standing_sql import Queue, Standing
from mailbox_service.adapters.http import Page, Pages
from mailbox_service.adapters.metrics import CONTENT_TYPE, Metrics
from mailbox_service.app.clock import now
from mailbox_service.app.liveness import Liveness
from mailbox_service.app.service import Service
from mailbox_service.errors import TemporaryError
from mailbox_service.services import metering

# However often somebody asks, the database is asked once in so many seconds; and nobody waits for it for longer.
STANDING_KEPT_SECONDS = 5.0
STANDING_WAIT_SECONDS = 3.0

_QUEUES = {
    "messages": metering.MESSAGES_WAITING,
    "held": metering.MESSAGES_HELD,
    "mails": metering.MAILS_WAITING,
    "failed": metering.MAILS_FAILED,
    "marks": metering.MARKS_WAITING,
}
_FOLDERS = (
    metering.FOLDER_CONNECTED,
    metering.FOLDER_POLLED,
    metering.FOLDER_BACKLOG,
    metering.FOLDER_UNREAD,
)


class Health:
    """What this process tells of itself. `service` gives the one that runs."""

    def __init__(self, service: Callable[[], Service], liveness: Liveness, metrics: Metrics) -> None:
        self._service, self._liveness, self._metrics = service, liveness, metrics
        self._started_at = now()
        self._asking = asyncio.Lock()
        self._standing: Standing | None = None
        self._standing_until = float("-inf")

    @property
    def pages(self) -> Pages:
        return {"/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.metrics, "/status": self.status}

    async def healthz(self) -> Page:
        """503 when this process should be killed."""
        return _verdict("alive", self._liveness.problems())

    async def readyz(self) -> Page:
        """503 when it does not do its work, whoever's fault that is."""
        return _verdict("ready", self._liveness.unready())

    async def metrics(self) -> Page:
        self._fill_queues(await self._how_things_stand())
        self._fill_folders()
        self._fill_doors()
        self._metrics.set(metering.READY, not self._liveness.unready())
        return Page(200, CONTENT_TYPE, self._metrics.text())

    async def status(self) -> Page:
        problems, unready = self._liveness.problems(), self._liveness.unready()
        told = {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at.isoformat(),
            "alive": not problems,
            "ready": not unready,
            "reasons": unready,
            "folders": [
                {"mailbox": name, "junk": watcher.junk} | asdict(watcher.status)
                for name, source in self._service().sources.items()
                for watcher in source.watchers
            ],
            "doors": [{"door": listener.kind} | asdict(listener.status) for listener in self._service().listeners],
        }
        return _json(200, told)

    def _fill_queues(self, standing: Standing | None) -> None:
        m = self._metrics
        m.set(metering.DATABASE_UP, standing is not None)
        # Old numbers would look like news.
        for figure in (*_QUEUES.values(), metering.OLDEST_WAITING):
            m.forget(figure)
        if standing is None:
            return
        m.set(metering.OUTBOX_PAUSED, standing.paused)
        moment = now()
        waiting = {(queue.mailbox, queue.name): queue for queue in standing.queues}
        for mailbox in self._service().mailboxes:
            for name, figure in _QUEUES.items():
                queue = waiting.get((mailbox, name), Queue(mailbox, name, 0, moment))
                m.set(figure, queue.count, mailbox)
                age = (moment - queue.oldest).total_seconds()
                m.set(metering.OLDEST_WAITING, max(age, 0.0), mailbox, name)

    def _fill_folders(self) -> None:
        m = self._metrics
        for figure in _FOLDERS:
            m.forget(figure)
        for mailbox, source in self._service().sources.items():
            for watcher in source.watchers:
                status = watcher.status
                if watcher.junk and not status.found:
                    continue
                polled = status.last_poll_at.timestamp() if status.last_poll_at else 0.0
                values = (status.connected, polled, status.backlog, status.unread)
                for figure, value in zip(_FOLDERS, values, strict=True):
                    m.set(figure, value, mailbox, status.folder)

    def _fill_doors(self) -> None:
        for figure in (metering.DOOR_OPEN, metering.DOOR_STORED):
            self._metrics.forget(figure)
        for listener in self._service().listeners:
            stored_at = listener.status.last_stored_at
            self._metrics.set(metering.DOOR_OPEN, listener.status.listening, listener.kind)
            self._metrics.set(metering.DOOR_STORED, stored_at.timestamp() if stored_at else 0.0, listener.kind)

    async def _how_things_stand(self) -> Standing | None:
        """At most STANDING_KEPT_SECONDS old; None when the database does not tell."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            if loop.time() >= self._standing_until:
                self._standing = None
                try:
                    async with asyncio.timeout(STANDING_WAIT_SECONDS):
                        self._standing = await self._service().database.transact(lambda tx: tx.standing())
                except (TemporaryError, TimeoutError):
                    return None
                self._standing_until = loop.time() + STANDING_KEPT_SECONDS
            return self._standing


def _verdict(word: str, reasons: Sequence[str]) -> Page:
    return _json(503 if reasons else 200, {word: not reasons, "reasons": list(reasons)})


def _json(status: int, value: object) -> Page:
    # Reading a status file by eye is common; dates are told as in every listing.
    text = json.dumps(value, indent=2, default=lambda moment: moment.isoformat())
    return Page(status, "application/json", text.encode() + b"\n")
