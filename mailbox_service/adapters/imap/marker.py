"""Telling the server what became of its messages: flags, and a folder to move them to.

Runs on a connection of its own: a watching connection sits in IDLE most of the time, in which no other command can
run. A mark is a job that is tried again until it is done; nothing is ever deleted except the original of
a message that was verifiably copied, where the server knows no MOVE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog

from mailbox_service.adapters.imap.folders import Targets
from mailbox_service.adapters.imap.logins import Logins, Pauses
from mailbox_service.adapters.imap.session import FolderMissing, Refusal, Session
from mailbox_service.adapters.imap.settings import MarkPlan
from mailbox_service.errors import AuthenticationError, TemporaryError
from mailbox_service.services.ports import FolderState, IntakeDoor, Mark, MarkJob, MarkResult

log = structlog.get_logger()

# Jobs one STORE or MOVE names; with UIDs of ten digits the command line stays near 1 KB.
BATCH_JOBS = 100


class TooLate(Exception):
    """Between the claim and the command we were asleep, and another daemon may be at it by now."""


@dataclass(slots=True)
class MarkStatus:
    """How the marker is doing, for `health` and `status`; changes all the time."""

    connected: bool = False
    login_refused: bool = False
    failures: int = 0  # in a row
    last_error: str = ""  # harmless text


class Marker:
    """All marks of one account.

    `watched` tells the folders its watchers have opened so far; `is_watched`, whether they watch, or would if it
    were made, the folder of a name.
    """

    def __init__(
        self,
        door: IntakeDoor,
        logins: Logins,
        marks: Mapping[Mark, MarkPlan],
        watched: Callable[[], Sequence[FolderState]],
        is_watched: Callable[[str], bool],
    ) -> None:
        self._door, self._logins, self._marks = door, logins, marks
        self._watched, self._is_watched = watched, is_watched
        self._deadlines = logins.deadlines
        self._targets = Targets()
        self._pauses = Pauses(self._deadlines.retry_first, self._deadlines.retry_limit, logins.random)
        self.status = MarkStatus()

    async def mark(self) -> None:
        """Run for ever: works off what is waiting, reconnects by itself. Ends by cancellation only."""
        while True:
            pause = 0.0
            try:
                await self._serve()
            except AuthenticationError as error:
                self.status.login_refused = True
                pause = self._failed(str(error), at_least=self._logins.closed_seconds())
            except TemporaryError as error:
                pause = self._failed(str(error))
            except Exception as error:
                # A worker's loop top: a fault of ours must not end the marking.
                log.error("imap marker fault", mailbox=self._logins.mailbox, error_type=type(error).__name__)
                pause = self._failed(type(error).__name__)
            finally:
                self.status.connected = False
            await asyncio.sleep(pause)

    async def pass_once(self) -> None:
        """Work off what is waiting now. Raises: TemporaryError and its kin."""
        if await self._work_waiting():
            async with self._logins.session() as session:
                await self._work_off(session)

    def _failed(self, error: str, at_least: float = 0.0) -> float:
        pause = max(self._pauses.next(), at_least)
        self.status.failures, self.status.last_error = self._pauses.failures, error
        log.warning(
            "imap marker disconnected",
            mailbox=self._logins.mailbox,
            attempt=self._pauses.failures,
            pause_seconds=round(pause, 2),
            reason=error,
        )
        return pause

    async def _serve(self) -> None:
        """Until there is work: no connection. Then one, kept for as long as work comes."""
        if not await self._work_waiting():
            # The time limit finds jobs whose retry has fallen due.
            await self._wait(self._logins.account.poll_interval)
            return
        async with self._logins.session() as session:
            self.status.connected, self.status.login_refused = True, False
            await self._work_off(session)
            self._pauses.reset()
            self.status.failures, self.status.last_error = 0, ""
            while await self._wait(self._deadlines.marker_linger):
                await self._work_off(session)

    async def _wait(self, seconds: float) -> bool:
        """Whether there may be new jobs; false when there were none for `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._door.marks_waiting(self._logins.mailbox)
        except TimeoutError:
            return False
        # A fresh message is answered at the same moment, and that must not wait for a login and a STORE.
        await asyncio.sleep(self._deadlines.marker_pause)
        return True

    async def _work_waiting(self) -> bool:
        for state in self._watched():
            if await self._door.has_mark_jobs(state.id):
                return True
        return False

    async def _work_off(self, session: Session) -> None:
        for state in self._watched():
            jobs = await self._door.mark_jobs(state.id, BATCH_JOBS)
            if not jobs or not await self._open(session, state):
                continue
            while jobs:
                results = await self._settle_all(session, jobs)
                if all(result is MarkResult.RETRY for result in results):
                    break
                jobs = await self._door.mark_jobs(state.id, BATCH_JOBS)

    async def _open(self, session: Session, state: FolderState) -> bool:
        """Whether the folder is the one the jobs speak of; under another UIDVALIDITY their UIDs mean other mail."""
        try:
            selected = await session.open(state.name, writable=True)
        except FolderMissing:
            log.warning("imap folder to mark is missing", mailbox=self._logins.mailbox)
            return False
        if selected.uidvalidity != state.uidvalidity:
            log.warning("imap folder to mark has another UIDVALIDITY", mailbox=self._logins.mailbox)
            return False
        return True

    async def _settle_all(self, session: Session, jobs: Sequence[MarkJob]) -> list[MarkResult]:
        """Do `jobs` mark by mark and record each result; whatever goes wrong leaves its jobs to be tried again."""
        results: list[MarkResult] = []
        for mark, group in groupby(sorted(jobs, key=lambda job: (job.mark, job.uid)), key=lambda job: job.mark):
            same = list(group)
            found: dict[int, MarkResult] = {}
            try:
                found = await self._settle(session, mark, same)
            except Refusal as error:
                log.warning("imap mark refused", mailbox=self._logins.mailbox, reason=error)
            except TooLate:
                log.warning("imap marks come too late", mailbox=self._logins.mailbox, count=len(same))
                same = []
            finally:
                # Also when the connection was lost on the way: then the session is dead and the error goes on.
                recorded = [(job, found.get(job.uid, MarkResult.RETRY)) for job in same]
                await self._door.marked(recorded)
            results += [result for _, result in recorded]
        return results

    async def _settle(self, session: Session, mark: Mark, jobs: Sequence[MarkJob]) -> dict[int, MarkResult]:
        plan = self._marks.get(mark, MarkPlan(flags=()))
        here = sorted(await session.present([job.uid for job in jobs]))
        results = dict.fromkeys((job.uid for job in jobs), MarkResult.GONE)
        if not here:
            return results
        if plan.flags:
            await self._flag(session, here, plan.flags)
        results |= dict.fromkeys(here, MarkResult.DONE)
        if plan.folder is not None and await self._may_move_to(session, plan.folder):
            left = [job for job in jobs if job.uid in here]
            if session.can("MOVE"):
                results |= await self._move(session, left, plan.folder)
            elif session.can("UIDPLUS"):
                await self._copy_and_expunge(session, left, plan.folder)
            # With neither, the original could only be removed together with whatever others have marked deleted.
        return results

    async def _may_move_to(self, session: Session, folder: str) -> bool:
        """Mail moved into a folder that is watched would come in again as new mail."""
        return not self._is_watched(folder) and not self._is_watched(await self._targets.find_or_make(session, folder))

    async def _flag(self, session: Session, uids: Sequence[int], flags: Sequence[str]) -> None:
        """Add `flags`; a keyword the server does not allow is left out, a system flag must work."""
        try:
            await session.store(uids, flags)
            return
        except Refusal:
            keywords = [flag for flag in flags if not flag.startswith("\\")]
            if not keywords:
                raise
        system = [flag for flag in flags if flag.startswith("\\")]
        if system:
            await session.store(uids, system)
        for keyword in keywords:
            try:
                await session.store(uids, [keyword])
            except Refusal:
                log.info("imap keyword refused", mailbox=self._logins.mailbox)

    async def _move(self, session: Session, jobs: Sequence[MarkJob], folder: str) -> dict[int, MarkResult]:
        confirmed = await self._carry(session, session.move, jobs, folder)
        uids = sorted(job.uid for job in jobs)
        left = await session.present(uids)
        results = {}
        for uid in uids:
            if uid in left:
                results[uid] = MarkResult.RETRY
            elif uid in confirmed or not session.can("UIDPLUS"):
                results[uid] = MarkResult.DONE
            else:
                results[uid] = MarkResult.GONE
        return results

    async def _copy_and_expunge(self, session: Session, jobs: Sequence[MarkJob], folder: str) -> None:
        """Copy, then remove the originals whose copies the server confirmed; the others stay where they are.

        A connection lost between the two leaves a copy, and the retry makes a second one: IMAP has no better
        without MOVE.
        """
        confirmed = sorted(await self._carry(session, session.copy, jobs, folder))
        if confirmed:
            await session.store(confirmed, ["\\Deleted"])
            await session.expunge(confirmed)
        if len(confirmed) < len(jobs):
            log.warning("imap copies not confirmed", mailbox=self._logins.mailbox)

    async def _carry(
        self,
        session: Session,
        carry: Callable[[Sequence[int], str], Awaitable[set[int]]],
        jobs: Sequence[MarkJob],
        folder: str,
    ) -> set[int]:
        """Move or copy to `folder`, made on demand; looked for anew when it has vanished in the meantime.

        Raises: TooLate.
        """
        try:
            return await self._carry_once(session, carry, jobs, folder)
        except Refusal as error:
            self._targets.forget(folder)
            if error.code not in ("TRYCREATE", "NONEXISTENT"):
                raise
        return await self._carry_once(session, carry, jobs, folder)

    async def _carry_once(
        self,
        session: Session,
        carry: Callable[[Sequence[int], str], Awaitable[set[int]]],
        jobs: Sequence[MarkJob],
        folder: str,
    ) -> set[int]:
        target = await self._targets.find_or_make(session, folder)
        if not self._door.in_time(jobs):
            raise TooLate
        return await carry(sorted(job.uid for job in jobs), target)
