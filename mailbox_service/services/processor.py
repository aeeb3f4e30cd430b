"""Where the heavy work is done: `Processor`, and the simplest one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mailbox_service.services.processing import Composition, Loaded, Processing, Understanding, Written


class Processor(Protocol):
    """Where the heavy work is done. Never raises for what is in a message or a mail."""

    async def understand(self, batch: Sequence[Loaded]) -> Understanding: ...
    async def compose(self, batch: Sequence[Written]) -> Composition: ...
    def compose_at_once(self, batch: Sequence[Written]) -> Composition: ...  # in the caller's thread: for a mail or two
    async def close(self) -> None: ...


class ThreadProcessor:
    """A thread of this process: no cost while there is little to do."""

    def __init__(self, processing: Processing) -> None:
        self._processing = processing

    async def understand(self, batch: Sequence[Loaded]) -> Understanding:
        return await asyncio.to_thread(self._processing.understand, batch)

    async def compose(self, batch: Sequence[Written]) -> Composition:
        return await asyncio.to_thread(self._processing.compose, batch)

    def compose_at_once(self, batch: Sequence[Written]) -> Composition:
        return self._processing.compose(batch)

    async def close(self) -> None: ...
