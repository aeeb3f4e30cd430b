"""What the sources of mail see of the services."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from mailbox_service.services.ports.ids import FolderId
from mailbox_service.services.ports.incoming import FolderState, MarkJob, MarkResult, RawMessage


class IntakeDoor(Protocol):
    """What a source of mail needs: the face of `services.intake.Intake` that adapters see."""

    async def open_folder(self, mailbox: str, name: str, uidvalidity: int, uidnext: int, *, junk: bool) -> FolderState:
        """The state of a folder, made on first contact (committed before it is returned)."""
        ...

    async def missing_uids(self, folder: FolderId, uids: Sequence[int]) -> list[int]:
        """Those of `uids` that are not on file yet, in ascending order."""
        ...

    async def accept(self, batch: Sequence[RawMessage]) -> None:
        """T1: store the batch durably. On return every message is committed; the source may be told.

        Idempotent by the source key. Waits when the work behind it is full (back-pressure).
        Raises: TemporaryError when nothing of the batch was stored; the source keeps its mail and tries again.
        """
        ...

    async def caught_up(self, folder: FolderId) -> None:
        """All the folder held at one moment is on file (called after each full comparison)."""
        ...

    async def has_mark_jobs(self, folder: FolderId) -> bool:
        """Whether `mark_jobs` would find any."""
        ...

    async def mark_jobs(self, folder: FolderId, limit: int) -> list[MarkJob]:
        """Messages of the folder whose fate is committed and that are due to be flagged or moved.

        They are the caller's for some minutes: two daemons that MOVE one message at the same time make two of it.
        """
        ...

    def in_time(self, jobs: Sequence[MarkJob]) -> bool:
        """Whether they are still the caller's. Asked before each MOVE: who was asleep for long has lost them."""
        ...

    async def marked(self, results: Sequence[tuple[MarkJob, MarkResult]]) -> None:
        """Record what became of the jobs; RETRY is tried again with backoff."""
        ...

    def marks_waiting(self, mailbox: str) -> Awaitable[None]:
        """Returns when there may be new mark jobs in the mailbox. One caller a mailbox."""
        ...


class DeliveryDoor(Protocol):
    """What a door for pushed mail needs: the face of `services.deliveries.Deliveries` that adapters see."""

    async def deliver(self, raw: RawMessage) -> None:
        """T1 for one message. On return it is committed, and whoever pushed it may be told so.

        Idempotent by mailbox and content. Never waits for the work behind it. Cancelled, it may store the message all
        the same.
        Raises: StorageFull, TemporaryError, or anything unforeseen. Then the message may or may not be stored: whoever
        pushed it keeps it and tries again.
        """
        ...
