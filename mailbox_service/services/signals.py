"""Waking the next stage."""

from __future__ import annotations

import asyncio


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
