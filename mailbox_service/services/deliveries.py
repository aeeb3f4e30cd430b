"""Mail that is pushed at us: each message answered for by itself, those that wait together stored by one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from mailbox_service.errors import TemporaryError
from mailbox_service.services.intake import BATCH_BYTES, BATCH_MESSAGES
from mailbox_service.services.ports import RawMessage

log = structlog.get_logger()


class Taking(Protocol):
    """The part of `services.intake.Intake` that is needed here."""

    async def take(self, batch: Sequence[RawMessage]) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    raw: RawMessage
    stored: asyncio.Future[None]


class Deliveries:
    """Implements ports.DeliveryDoor.

    Nobody waits for company: the first message is committed at once, and what arrives meanwhile shares the next commit.
    """

    def __init__(self, intake: Taking) -> None:
        self._intake = intake
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None

    async def deliver(self, raw: RawMessage) -> None:
        one = _Waiting(raw, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._committing is None:
            # A task of its own: a commit under way goes on when the one who waits for it is gone.
            self._committing = asyncio.create_task(self._commit_all(), name="deliveries")
        try:
            await one.stored
        finally:
            if one in self._waiting:
                self._waiting.remove(one)  # given up before its turn; nothing holds its bytes any more

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                await self._commit(self._next_batch())
        finally:
            self._committing = None

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._waiting and len(batch) < BATCH_MESSAGES:
            size_bytes += len(self._waiting[0].raw.data)
            if batch and size_bytes > BATCH_BYTES:
                break
            batch.append(self._waiting.pop(0))
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            await self._intake.take([one.raw for one in batch])
        except TemporaryError as error:
            _settle(batch, error)
        except Exception as error:
            # Unforeseen: one message that cannot be stored must not cost the others their 250.
            log.error("delivery failed", count=len(batch), error_type=type(error).__name__)
            if len(batch) == 1:
                _settle(batch, error)
            else:
                for one in batch:
                    await self._commit([one])
        except BaseException:
            _settle(batch, TemporaryError("the service is being stopped"))
            raise
        else:
            _settle(batch, None)


def _settle(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for one in batch:
        if one.stored.done():
            continue  # nobody waits any more
        if error is None:
            one.stored.set_result(None)
        else:
            one.stored.set_exception(error)
