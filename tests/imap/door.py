"""An intake in memory, as strict as the real one about what it is handed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from mailbox_service.services.ports import (
    FolderId,
    FolderState,
    Mark,
    MarkJob,
    MarkResult,
    RawMessage,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class MemoryDoor:
    """Keeps what is accepted by source key; `stored` is in the order of arrival, one entry per accepted message."""

    def __init__(self, contact_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        self.folders: dict[tuple[str, str, int], FolderState] = {}
        self.junk: dict[FolderId, bool] = {}
        self.mail: dict[tuple[FolderId, int], RawMessage] = {}
        self.stored: list[RawMessage] = []
        self.caught: list[FolderId] = []
        self.jobs: list[MarkJob] = []
        self.results: list[tuple[MarkJob, MarkResult]] = []
        self.late = False  # jobs are lost to others as soon as they are handed out
        self.before_accept: Callable[[Sequence[RawMessage]], Awaitable[None]] | None = None
        self._contact_at = contact_at
        self._changed = asyncio.Condition()
        self._new_jobs = asyncio.Event()
        self._retried: list[MarkJob] = []

    async def open_folder(self, mailbox: str, name: str, uidvalidity: int, uidnext: int, *, junk: bool) -> FolderState:
        key = (mailbox, name, uidvalidity)
        if key not in self.folders:
            number = FolderId(len(self.folders) + 1)
            first = uidnext if not self.folders else 0
            self.folders[key] = FolderState(number, mailbox, name, uidvalidity, first, self._contact_at)
            self.junk[number] = junk
        return self.folders[key]

    async def missing_uids(self, folder: FolderId, uids: Sequence[int]) -> list[int]:
        return sorted(uid for uid in uids if (folder, uid) not in self.mail)

    async def accept(self, batch: Sequence[RawMessage]) -> None:
        if self.before_accept is not None:
            await self.before_accept(batch)
        for raw in batch:
            assert raw.origin.folder_id is not None and raw.origin.uid is not None
            self.mail.setdefault((raw.origin.folder_id, raw.origin.uid), raw)
            self.stored.append(raw)
        await self._notify()

    async def caught_up(self, folder: FolderId) -> None:
        self.caught.append(folder)
        await self._notify()

    async def has_mark_jobs(self, folder: FolderId) -> bool:
        return any(job.folder_id == folder for job in self.jobs)

    async def mark_jobs(self, folder: FolderId, limit: int) -> list[MarkJob]:
        return [job for job in self.jobs if job.folder_id == folder][:limit]

    def in_time(self, jobs: Sequence[MarkJob]) -> bool:
        return not self.late

    async def marked(self, results: Sequence[tuple[MarkJob, MarkResult]]) -> None:
        for job, result in results:
            self.jobs.remove(job)
            self.results.append((job, result))
            if result is MarkResult.RETRY:
                self._retried.append(job)
        await self._notify()

    async def marks_waiting(self, mailbox: str) -> None:
        await self._new_jobs.wait()
        self._new_jobs.clear()

    # --- for the tests ----------------------------------------------------------------------------------------

    def want(self, mark: Mark, *uids: int, folder: int = 1) -> None:
        """Ask for `uids` to be marked."""
        for uid in uids:
            self.jobs.append(MarkJob(len(self.jobs) + len(self.results) + 1, FolderId(folder), uid, mark, 0, NEVER))
        self._new_jobs.set()

    def retry(self) -> None:
        """What was to be tried again has fallen due."""
        self.jobs += self._retried
        self._retried.clear()
        self._new_jobs.set()

    def result_of(self, uid: int) -> MarkResult:
        return [result for job, result in self.results if job.uid == uid][-1]

    async def until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until `done()`, looked at after every call that changed something here."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(done)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
