"""A service that looks at itself, over a real database, with both clocks turned by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from mailbox_service.adapters.database.storage import Database
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services import alarms, canary
from mailbox_service.services.alarms import AlarmChannel, AlarmNotice, Alarms, Observation
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Timing
from mailbox_service.services.mailboxes import CanaryPlan, Mailbox
from mailbox_service.services.ports import OutboundId
from mailbox_service.services.signals import Bell
from mailbox_service.services.vigil import FolderSense, Senses, Vigil
from tests.database.setting import NOW
from tests.services.bench import KEY, Bench, changed

INTERVAL, DEADLINE = timedelta(hours=4), timedelta(minutes=30)
WATCHED = changed(canary=CanaryPlan(INTERVAL, DEADLINE))
TICK = timedelta(minutes=1)
# A vigil looks once a minute; a test that looks less often is quicker, and sees the same.
TEN, HOUR, DAY = timedelta(minutes=10), timedelta(hours=1), timedelta(days=1)


class Memory:
    """A channel that remembers."""

    name = "memory"

    def __init__(self) -> None:
        self.told: list[AlarmNotice] = []
        self._told = asyncio.Condition()

    async def tell(self, notice: AlarmNotice) -> None:
        self.told.append(notice)
        async with self._told:
            self._told.notify_all()

    async def until(self, count: int) -> None:
        async with self._told:
            await self._told.wait_for(lambda: len(self.told) >= count)


class Watch(Bench):
    """A bench with alarms and a vigil. `worker` names the daemon where a test has several on one database."""

    def __init__(
        self,
        database: Database,
        *,
        mailbox: Mailbox = WATCHED,
        key: TokenKey = KEY,
        channels: Sequence[AlarmChannel] = (),
        storage: Any = None,
        now: datetime = NOW,
    ) -> None:
        super().__init__(database, mailbox=mailbox)
        self.now = now
        self.steady = 1000.0  # the monotonic clock
        self.key = key
        self.senses = Senses()
        self.disk = ""
        correspondence = Correspondence(key)
        mailboxes, bell = {mailbox.name: mailbox}, Bell()
        storage = storage or database
        timing = Timing(self.clock, lambda: 0.0)
        self.alarms = Alarms(storage, mailboxes, correspondence, timing, mails_waiting=bell, channels=channels)
        self.vigil = Vigil(
            storage,
            mailboxes,
            correspondence,
            self.alarms,
            self.clock,
            lambda: self.steady,
            senses=lambda: {mailbox.name: self.senses},
            disk=lambda: self.disk,
            mails_waiting=bell,
        )

    def silent(self, **minutes: float) -> None:
        """For so long nothing was heard of the folders."""
        folders = (FolderSense(name, timedelta(minutes=long)) for name, long in minutes.items())
        self.senses = Senses(tuple(folders))

    async def pass_time(self, by: timedelta, *, look_every: timedelta | None = None) -> list[str]:
        """Both clocks go on; after each step the vigil looks and mails leave. Returns `name change` of the told."""
        told: list[str] = []
        left, step = by, look_every or by
        while left > timedelta():
            self.turn(min(step, left))
            left -= step
            told += await self.look()
            await self.deliver()
        return told

    def turn(self, by: timedelta) -> None:
        """Both clocks go on, and nothing else happens."""
        self.now += by
        self.steady += by.total_seconds()

    async def look_after(self, by: timedelta) -> list[str]:
        self.turn(by)
        return await self.look()

    async def sent_anew(self, mail: int) -> None:
        """`outbox retry`."""
        until = self.now + timedelta(days=5)
        await self.database.transact(lambda tx: tx.retry_outbound(OutboundId(mail), self.now, until))

    async def look(self) -> list[str]:
        return [f"{notice.name} {notice.change}" for notice in await self.vigil.look()]

    async def report(self, name: str, *, on: bool, what: str = "it is broken") -> list[str]:
        """One observation, by itself."""
        found = [Observation(name, on, what, self.mailbox.name)]
        return [str(notice.change) for notice in await self.alarms.report(found)]

    def on(self) -> list[str]:
        """The alarms that are on and on file."""
        found = self.database.run(lambda tx: alarms.current(tx, [self.mailbox.name]))
        return [kind.name for _, kind, _ in found]

    def newest(self) -> canary.Canary:
        found = self.database.run(lambda tx: canary.newest(tx, self.mailbox.name))
        assert found is not None
        return found

    async def canary(self) -> bytes:
        """The next canary, as the server took it."""
        await self.look()
        await self.pass_time(INTERVAL)
        return self.office.taken[-1][1]

    async def late_canary(self) -> list[str]:
        """Let the canary under way become late."""
        return await self.pass_time(DEADLINE + TEN, look_every=TEN)
