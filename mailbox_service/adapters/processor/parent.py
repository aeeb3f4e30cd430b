"""Understanding and composing in a process of its own: `services.processing.Processor`.

Two reasons. Under a backlog the heavy half of the work runs on a second core, beside the database and the network.
And a message that failed before is tried again nowhere else: whatever it does to an interpreter, the daemon lives on,
and the attempt has been counted. A process is there only while there is work for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import structlog

from mailbox_service.adapters.processor.child import Child, ChildGone, ChildLost
from mailbox_service.adapters.processor.frames import DEADLINE_SECONDS, unpacked
from mailbox_service.services.processing import Composition, Loaded, Processing, Understanding, Written
from mailbox_service.services.processor import ThreadProcessor

log = structlog.get_logger()

# Below this handing over costs more than it brings, and a single report must not wait for a process to start.
WORTH_ITEMS = 8
# What one request may hold: the answer is unpacked on the event loop, some milliseconds a megabyte. Larger messages
# are mostly attachment, which costs a thread little; only what failed before goes over whatever its size.
MOST_BYTES = 8 << 20
# Without work for so long it is ended, and its memory is free.
IDLE_SECONDS = 30.0
# After a failed start no other is tried for so long; a thread does the work.
START_PAUSE_SECONDS = 60.0
PROCESS_DIED = "ProcessDied"


class ChildProcessor:
    """A process for large batches and for what failed before; a thread for everything else."""

    def __init__(self, processing: Processing) -> None:
        self._processing = processing
        self._thread = ThreadProcessor(processing)
        self._child: Child | None = None
        self._starting: asyncio.Task[None] | None = None
        self._start_at = 0.0  # of the event loop's clock
        self._ending: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def understand(self, batch: Sequence[Loaded]) -> Understanding:
        failed_before = any(claim.attempt > 1 for claim, _ in batch)
        while True:
            child = await self._started() if failed_before else self._at_hand(batch, [data for _, data in batch])
            if child is None:
                return await self._thread.understand(batch)
            try:
                return cast(Understanding, await self._ask(child, "understand", batch))
            except ChildGone:
                continue
            except ChildLost as error:
                log.error("process lost", count=len(batch), reason=error)
                return [], [(claim, PROCESS_DIED) for claim, _ in batch]

    async def compose(self, batch: Sequence[Written]) -> Composition:
        child = self._at_hand(batch, [attachment for _, attachment in batch if attachment is not None])
        if child is not None:
            try:
                return cast(Composition, await self._ask(child, "compose", batch))
            except ChildGone:
                pass
            except ChildLost as error:
                # What a mail is made of is our own; it is not to blame.
                log.error("process lost", count=len(batch), reason=error)
        return await self._thread.compose(batch)

    def compose_at_once(self, batch: Sequence[Written]) -> Composition:
        return self._thread.compose_at_once(batch)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._child.pid if self._child is not None else None

    @property
    def busy(self) -> bool:
        """Whether the process is at work."""
        return self._child is not None and self._child.unanswered > 0

    async def ready(self) -> None:
        """Returns when a start that is under way has come to its end."""
        if self._starting is not None:
            await asyncio.wait({self._starting})

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        self._stop_ending()
        if self._child is not None:
            self._let_go(self._child)
        if self._leaving:
            await asyncio.wait(self._leaving)

    # --- the process --------------------------------------------------------------------------------------

    def _at_hand(self, batch: Sequence[object], data: Sequence[bytes]) -> Child | None:
        """The process, where it is worth its while and running; if it is not running yet, it will be for the next."""
        if len(batch) < WORTH_ITEMS or sum(map(len, data)) > MOST_BYTES:
            return None
        if self._child is None and self._starting is None and asyncio.get_running_loop().time() >= self._start_at:
            self._starting = asyncio.create_task(self._start(), name="start processor")
        return self._child

    async def _started(self) -> Child | None:
        """The process, started if need be; None when it cannot be."""
        if self._child is None:
            if self._starting is None:
                self._starting = asyncio.create_task(self._start(), name="start processor")
            await self.ready()
        return self._child

    async def _start(self) -> None:
        try:
            self._child = await Child.start(self._processing)
        except (ChildLost, OSError) as error:
            log.error("no process", error_type=type(error).__name__, reason=str(error))
            self._start_at = asyncio.get_running_loop().time() + START_PAUSE_SECONDS
        finally:
            self._starting = None

    async def _ask(self, child: Child, what: str, batch: object) -> object:
        self._stop_ending()
        try:
            # It answers in the order it is asked: those before have as long as this one.
            async with asyncio.timeout(DEADLINE_SECONDS * (child.unanswered + 1)):
                answer = await child.ask((what, batch))
        except BaseException as error:
            # Whatever it still says is the answer to this, and not to the next.
            self._let_go(child)
            if isinstance(error, TimeoutError):
                raise ChildLost("no answer in time") from error
            raise
        if child is self._child and not child.unanswered:
            self._ending = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_when_idle)
        return unpacked(answer)  # while it is at work on what comes next

    def _stop_ending(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end_when_idle(self) -> None:
        if self._child is not None and not self._child.unanswered:
            self._let_go(self._child)

    def _let_go(self, child: Child) -> None:
        if self._child is not child:
            return  # somebody else who asked it has done that
        self._child = None
        end = asyncio.create_task(child.end(), name="end processor")
        self._leaving.add(end)
        end.add_done_callback(self._leaving.discard)
