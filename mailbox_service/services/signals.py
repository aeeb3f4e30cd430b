"""Signs between tasks: waking the next stage, and showing that one goes on."""

from __future__ import annotations

import asyncio
import time


class Bell:
    """`wait` returns once after each `ring`; several rings before a `wait` count as one.

    A ring is a hint, never the only way to learn of work: everybody who waits also looks at intervals.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return at a ring, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Pulse:
    """A loop beats each time it has come a step further; one that has not for `limit_seconds` is stuck.

    Failing is a step too: a loop that is told "the database is away" and tries again goes on.
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self.beat()

    def beat(self) -> None:
        self._last = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._last

    @property
    def stuck(self) -> bool:
        return self.silent_seconds > self._limit_seconds
