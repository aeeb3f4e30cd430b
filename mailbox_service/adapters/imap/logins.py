"""The logins of one account: one at a time, and none for a while after the server refused one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random

import structlog

from mailbox_service.adapters.imap.session import Session
from mailbox_service.adapters.imap.settings import Deadlines, ImapAccount
from mailbox_service.errors import AuthenticationError
from mailbox_service.services.metering import LOGINS_REFUSED, NO_METER, Meter

log = structlog.get_logger()

Alarm = Callable[[str, str], None]  # (mailbox, what happened): needs a person


class Pauses:
    """Growing, jittered pauses between attempts, in seconds."""

    def __init__(self, first: float, limit: float, random: Random) -> None:
        self._first, self._limit, self._random = first, limit, random
        self.failures = 0

    def next(self) -> float:
        """The pause after one more failure: between the half and the whole of first, 2·first, 4·first … limit."""
        whole: float = min(self._first * 2 ** min(self.failures, 30), self._limit)
        self.failures += 1
        return whole * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.failures = 0


class Logins:
    """Makes the sessions of one account for its watchers and its marker.

    They share one memory of refusals: otherwise a wrong password would be tried once by each of them.
    """

    def __init__(
        self,
        mailbox: str,
        account: ImapAccount,
        deadlines: Deadlines,
        random: Random,
        monotonic: Callable[[], float],
        alarm: Alarm,
        meter: Meter = NO_METER,
    ) -> None:
        self.mailbox, self.account, self.deadlines = mailbox, account, deadlines
        self.random, self.monotonic = random, monotonic
        self._alarm, self._meter = alarm, meter
        # Twice the first pause, because a pause is at least half of what it is called.
        self._pauses = Pauses(2 * deadlines.refused_first, 2 * deadlines.refused_limit, random)
        self._closed_until = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    @property
    def refusals(self) -> int:
        """How many logins in a row were refused."""
        return self._pauses.failures

    def closed_seconds(self) -> float:
        """How long no login is tried."""
        return max(self._closed_until - self.monotonic(), 0.0)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A fresh session. Raises as Session does; AuthenticationError without any contact while closed."""
        session = Session(self.account, self.deadlines)
        async with contextlib.AsyncExitStack() as stack:
            async with self._one_at_a_time:
                if self.closed_seconds():
                    raise AuthenticationError("no login is tried for a while after a refused one")
                try:
                    await stack.enter_async_context(session)
                except AuthenticationError:
                    self._refused()
                    raise
                self._pauses.reset()
            yield session

    def _refused(self) -> None:
        pause = self._pauses.next()
        self._meter.count(LOGINS_REFUSED, self.mailbox, "imap")
        self._closed_until = self.monotonic() + pause
        log.error("imap login refused", mailbox=self.mailbox, attempt=self.refusals, pause_seconds=round(pause, 1))
        if self.refusals == 1:
            self._alarm(self.mailbox, "the IMAP server refuses the login")
