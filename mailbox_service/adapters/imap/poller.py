"""Watching one folder: what it holds is compared with what is on file, and what is missing is fetched and handed in.

Selection is by UID alone, never by flag: another client may read, flag or move mail as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from mailbox_service.adapters.imap.fetching import ALARM_FAILURES, Fetched, Fetcher, Unread
from mailbox_service.adapters.imap.folders import find_junk
from mailbox_service.adapters.imap.logins import Logins, Pauses
from mailbox_service.adapters.imap.protocol import AnswerTooLarge, ConnectionLost
from mailbox_service.adapters.imap.session import (
    FEW_BODIES,
    HIGHEST_UID,
    Facts,
    FolderMissing,
    Refusal,
    Session,
)
from mailbox_service.adapters.imap.settings import FolderPlan
from mailbox_service.errors import AuthenticationError, TemporaryError
from mailbox_service.services.ports import (
    Clock,
    FolderState,
    IntakeDoor,
    Origin,
    RawMessage,
    SourceKind,
)

log = structlog.get_logger()

# Fetched batches that may wait while one is being stored: enough to overlap, little memory.
WAITING_BATCHES = 1

# Clocks of servers differ and mail is delayed: only what is clearly older than the first contact is old mail.
OLD_MAIL = timedelta(days=1)

# Of so many new messages sizes and dates are asked for at once, instead of their numbers first.
FEW_MESSAGES = 50

# A server that announces mail with every answer must not keep us searching without a pause.
FRUITLESS_SEARCHES = 2


@dataclass(frozen=True, slots=True)
class _New:
    """Messages to fetch, and what the server said of them at once."""

    uids: list[int]
    facts: Mapping[int, Facts] = field(default_factory=dict)
    bodies: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class WatchStatus:
    """How a watcher is doing, for `health` and `status`; changes all the time."""

    folder: str
    connected: bool = False
    idle: bool = False  # the server would tell of new mail right now
    found: bool = True  # the folder is on the server
    login_refused: bool = False
    last_poll_at: datetime | None = None  # of the last finished comparison
    heard_at: float = 0.0  # monotonic: the last finished comparison, or the last mail of a running one that was stored
    failures: int = 0  # in a row
    backlog: int = 0  # messages of the running pass still to fetch
    unread: int = 0  # messages the server does not hand out
    last_error: str = ""  # harmless text


class FolderWatcher:
    """One folder of one account."""

    def __init__(self, plan: FolderPlan, door: IntakeDoor, logins: Logins, clock: Clock) -> None:
        self._plan, self._door, self._logins, self._clock = plan, door, logins, clock
        self._mailbox = logins.mailbox
        self._deadlines = logins.deadlines
        self._monotonic = logins.monotonic
        self._pauses = Pauses(self._deadlines.retry_first, self._deadlines.retry_limit, logins.random)
        self._unread = Unread(self._deadlines)
        self._above = 0  # all up to this UID has been compared on this connection
        self._counted = 0  # messages that the folder held then
        self._settled = False  # caught_up() was called since the last connection was made
        self.state: FolderState | None = None
        self.status = WatchStatus(folder=plan.name or "Junk", heard_at=self._monotonic())

    @property
    def finds_junk(self) -> bool:
        """Whether it looks for the server's Junk folder, whatever that is called."""
        return self._plan.junk and self._plan.name is None

    @property
    def junk(self) -> bool:
        """Whether it watches a Junk folder, which need not exist."""
        return self._plan.junk

    @property
    def silent_seconds(self) -> float:
        """How long ago something was heard of the folder; before the first time, since when it was to be watched.

        A connection alone proves nothing: it may be half-open, or lead to a server that answers no question.
        """
        return self._monotonic() - self.status.heard_at

    async def name_on(self, session: Session) -> str | None:
        """What the folder is called on the server; None for a Junk folder that is not there."""
        return self._plan.name if self._plan.name is not None else await find_junk(session)

    def unread_attempts(self, uid: int) -> int:
        """How often in a row the server did not hand out a message that it has."""
        return self._unread.failures.get(uid, 0)

    def _looked(self) -> None:
        self.status.last_poll_at, self.status.heard_at = self._clock(), self._monotonic()

    # --- the two ways to run ----------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Run for ever: reconnects by itself. Ends by cancellation only."""
        while True:
            pause = await self._watch_once()
            self.status.connected = self.status.idle = False
            await asyncio.sleep(pause)

    async def pass_once(self) -> None:
        """One full comparison; on return all the server handed out is stored. A missing Junk folder is no error.

        Raises: TemporaryError and its kin.
        """
        try:
            async with self._logins.session() as session:
                await self._compare_all(session, await self._folder_name(session))
        except FolderMissing:
            self.status.found = False
            if not self._plan.junk:
                raise

    async def _watch_once(self) -> float:
        """Follow the folder until something fails; the seconds to wait before the next attempt."""
        try:
            async with self._logins.session() as session:
                self.status.connected, self.status.login_refused = True, False
                await self._follow(session)
        except FolderMissing as error:
            self.status.found = False
            if self._plan.junk:
                self._pauses.reset()
                log.debug("imap junk folder not found", mailbox=self._mailbox)
                return self._deadlines.folder_search
            return self._failed(error)
        except AuthenticationError as error:
            self.status.login_refused = True
            return self._failed(error, at_least=self._logins.closed_seconds())
        except TemporaryError as error:
            return self._failed(error)
        except Exception as error:
            # A worker's loop top: a fault of ours must not end the intake. No traceback: its text may hold mail.
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            where = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame is not None else ""
            log.error("imap watcher fault", mailbox=self._mailbox, error_type=type(error).__name__, where=where)
            return self._failed(TemporaryError(type(error).__name__))
        return 0.0

    def _failed(self, error: TemporaryError, at_least: float = 0.0) -> float:
        pause = max(self._pauses.next(), at_least)
        self.status.failures = self._pauses.failures
        self.status.last_error = str(error)
        log.warning(
            "imap watcher disconnected",
            mailbox=self._mailbox,
            folder=self.status.folder,
            attempt=self._pauses.failures,
            pause_seconds=round(pause, 2),
            reason=error,
        )
        return pause

    # --- following a folder -----------------------------------------------------------------------------------

    async def _folder_name(self, session: Session) -> str:
        name = self._plan.name
        if name is None:
            name = await find_junk(session)
            if name is None:
                raise FolderMissing("no Junk folder is on the IMAP server")
        self.status.folder = name
        return name

    async def _follow(self, session: Session) -> None:
        name = await self._folder_name(session)
        compare_at = self._monotonic()
        fruitless, told = 0, True
        self._settled = False
        while True:
            unsettled = not self._settled and self._nothing_pending()
            if self.state is None or self._monotonic() >= compare_at or unsettled:
                since, missing = await self._compare_all(session, name)
                compare_at = self._monotonic() + self._deadlines.full_comparison
            else:
                since, missing = await self._compare_new(session, name, self.state, told)
            self._pauses.reset()
            self.status.failures, self.status.last_error = 0, ""
            fruitless = 0 if missing else fruitless + 1
            if fruitless > FRUITLESS_SEARCHES:
                since = session.notices
            await self._wait(session, since, compare_at - self._monotonic())
            told = session.notices != since

    async def _wait(self, session: Session, since: int, at_most: float) -> None:
        """Until the server tells of mail, or the next poll is due."""
        seconds = max(min(self._logins.account.poll_interval, at_most), 0.0)
        if not (self._logins.account.idle and session.can("IDLE")):
            await session.rest(seconds, since)
            return
        self.status.idle = True
        try:
            await session.idle(seconds, since)
        except Refusal:
            await session.rest(seconds, since)
        finally:
            self.status.idle = False

    async def _compare_all(self, session: Session, name: str) -> tuple[int, int]:
        """Open the folder anew, compare all of it with what is on file, fetch what is missing.

        Opening anew is what shows a changed UIDVALIDITY: then everything counts as not yet seen.
        Returns `notices` as of before the search, and how many messages were missing.
        """
        selected = await session.open(name)
        state = await self._door.open_folder(
            self._mailbox, name, selected.uidvalidity, selected.uidnext, junk=self._plan.junk
        )
        if self.state is None or self.state.id != state.id:
            self._unread = Unread(self._deadlines)
        self.state, self.status.found = state, True
        since = session.notices
        missing: list[int] = []
        self._above, self._counted = selected.uidnext - 1, selected.exists
        async for portion in session.uids(1, selected.uidnext, selected.exists):
            self._above = max(self._above, portion[-1])
            missing += await self._door.missing_uids(state.id, portion)
        self._unread.forget_all_but(set(missing))
        waiting = self._unread.waiting(self._monotonic())
        await self._take(session, state, _New([uid for uid in missing if uid not in waiting]))
        await self._forget_gone(session, sorted(self._unread.failures))
        self._looked()
        if self._nothing_pending():
            await self._door.caught_up(state.id)
            self._settled = True
        return since, len(missing)

    async def _compare_new(self, session: Session, name: str, state: FolderState, told: bool) -> tuple[int, int]:
        """Look above the highest compared UID only: a shortcut between full comparisons.

        What the server told of, its search finds (RFC 3501 §7.3.1: EXISTS says what the folder now holds). A poll
        opens the folder anew, as a folder that was deleted and made again says nothing to those who watch the old one.
        """
        if not told and (await session.open(name)).uidvalidity != state.uidvalidity:
            return await self._compare_all(session, name)
        since = session.notices
        new = await self._newer(session, state)
        due = self._unread.due(self._monotonic())
        due = sorted(await self._forget_gone(session, due))
        await self._take(session, state, replace(new, uids=sorted({*new.uids, *due})))
        self._looked()
        return since, len(new.uids)

    async def _newer(self, session: Session, state: FolderState) -> _New:
        """What came above the highest compared UID and is not on file.

        Of few new messages sizes are asked for at once, and of very few the small ones themselves, which saves two
        questions. They count only if they are of as many messages as the server told of; otherwise a search says which
        there are. Few are not worth a look at what is on file either: only another daemon could have stored them, and
        then storing them again does nothing.
        """
        held = session.exists
        grown, self._counted = held - self._counted, held
        if 0 < grown <= FEW_MESSAGES:
            facts, bodies = await session.above(self._above, with_bodies=grown <= FEW_BODIES)
            if facts and len(facts) == grown:
                self._above = max(facts)
                return _New(sorted(facts), facts, bodies)
        found = await session.search(self._above + 1, HIGHEST_UID)
        if not found:
            return _New([])
        self._above = found[-1]
        return _New(await self._door.missing_uids(state.id, found))

    async def _forget_gone(self, session: Session, uids: Sequence[int]) -> set[int]:
        """Those of `uids` that are still in the folder; a message that is gone is nobody's failure."""
        present = await session.present(uids) if uids else set()
        gone = set(uids) - present
        self._unread.forget_all_but(set(self._unread.failures) - gone)
        self.status.unread = len(self._unread.failures)
        return present

    def _nothing_pending(self) -> bool:
        """All is on file but what the server has refused so often that a person was told."""
        return all(count >= ALARM_FAILURES for count in self._unread.failures.values())

    # --- fetching and storing, overlapping --------------------------------------------------------------------

    async def _take(self, session: Session, state: FolderState, new: _New) -> None:
        """Fetch them, the newest first, and hand them in batch by batch; storing overlaps with the next FETCH."""
        if not new.uids:
            return
        queue: asyncio.Queue[list[RawMessage] | None] = asyncio.Queue(maxsize=WAITING_BATCHES)
        fetcher = Fetcher(
            session,
            new.uids,
            self._unread,
            self._logins.account.max_message_size_bytes,
            self._monotonic,
            before_large=queue.join,
            facts=new.facts,
            bodies=new.bodies,
        )
        lost: ConnectionLost | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store(queue), name=f"imap-store-{self._mailbox}")
                try:
                    await self._fetch(session, state, fetcher, queue)
                except ConnectionLost as error:
                    # What was fetched before is stored all the same.
                    lost = error
                await queue.put(None)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        finally:
            self.status.backlog = 0
        if lost is not None:
            if fetcher.in_flight:
                oversized = isinstance(lost, AnswerTooLarge)
                self._unread.blame(fetcher.in_flight, self._monotonic(), oversized=oversized)
            raise lost

    async def _fetch(
        self,
        session: Session,
        state: FolderState,
        fetcher: Fetcher,
        queue: asyncio.Queue[list[RawMessage] | None],
    ) -> None:
        notices, look_at = session.notices, self._monotonic() + self._deadlines.quick_look
        while len(fetcher):
            self.status.backlog = len(fetcher)
            batch = await fetcher.next_batch()
            if batch:
                await queue.put([self._raw(state, message) for message in batch])
            if session.notices != notices or self._monotonic() >= look_at:
                # The quick lane: a fresh report does not wait behind an old backlog.
                await session.noop()
                notices, look_at = session.notices, self._monotonic() + self._deadlines.quick_look
                fetcher.add((await self._newer(session, state)).uids)

    async def _store(self, queue: asyncio.Queue[list[RawMessage] | None]) -> None:
        while (batch := await queue.get()) is not None:
            await self._door.accept(batch)
            self.status.heard_at = self._monotonic()
            log.debug("imap batch stored", mailbox=self._mailbox, count=len(batch))
            queue.task_done()

    def _raw(self, state: FolderState, message: Fetched) -> RawMessage:
        internal_date = message.facts.received_at
        # No tolerance after a restore: mail that came shortly before it may have been answered shortly before it.
        old = state.first_contact_at - OLD_MAIL
        if state.restored_at is not None:
            old = state.restored_at.replace(microsecond=0)  # as servers write INTERNALDATE
        quiet = message.uid < state.first_uidnext or (internal_date is not None and internal_date < old)
        return RawMessage(
            data=message.data,
            origin=Origin(
                kind=SourceKind.IMAP,
                mailbox=self._mailbox,
                folder_id=state.id,
                uid=message.uid,
                junk=self._plan.junk,
                quiet=quiet,
            ),
            received_at=internal_date or self._clock(),
            full_size_bytes=message.full_size_bytes,
        )
