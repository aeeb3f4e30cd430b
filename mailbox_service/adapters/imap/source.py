"""The IMAP source of one mailbox: its watchers, its marker and the doctor's look at its server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from mailbox_service.adapters.imap.answers import Listed
from mailbox_service.adapters.imap.folders import Targets, find_junk, junk_of
from mailbox_service.adapters.imap.inventory import ImapInventory
from mailbox_service.adapters.imap.logins import Alarm, Logins
from mailbox_service.adapters.imap.marker import Marker
from mailbox_service.adapters.imap.names import encode_mailbox
from mailbox_service.adapters.imap.poller import FolderWatcher
from mailbox_service.adapters.imap.session import FolderMissing, Session
from mailbox_service.adapters.imap.settings import (
    DEFAULT_MARKS,
    Deadlines,
    FolderPlan,
    ImapAccount,
    MarkPlan,
)
from mailbox_service.services.metering import NO_METER, Meter
from mailbox_service.services.ports import Clock, FolderState, IntakeDoor, Mark

DEFAULT_FOLDERS = (FolderPlan("INBOX"), FolderPlan(None, junk=True))


@dataclass(frozen=True, slots=True)
class FolderReport:
    """A folder to watch, as the doctor found it."""

    name: str | None  # None: no Junk folder was found
    junk: bool
    found: bool
    uidvalidity: int | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class TargetReport:
    """A folder that mail of one mark is moved to."""

    mark: Mark
    name: str  # as configured
    exists: bool  # if not, it is made when it is first needed
    watched: bool  # then nothing is moved there: it would come in again as new mail


@dataclass(frozen=True, slots=True)
class ImapReport:
    """What the doctor learned from one login."""

    capabilities: frozenset[str]
    idle: bool  # new mail is told at once; else found by polling
    can_move: bool  # MOVE, or UIDPLUS; else messages are flagged and stay where they are
    folders: tuple[FolderReport, ...]
    targets: tuple[TargetReport, ...]


def _no_alarm(mailbox: str, what: str) -> None:
    """The log already has it."""


class ImapSource:
    """Everything of one account.

    Run each of `watchers` with `watch()` and the `marker` with `mark()`, in a task of its own each.
    """

    def __init__(
        self,
        mailbox: str,
        account: ImapAccount,
        door: IntakeDoor,
        *,
        clock: Clock,
        folders: Sequence[FolderPlan] = DEFAULT_FOLDERS,
        marks: Mapping[Mark, MarkPlan] = DEFAULT_MARKS,
        deadlines: Deadlines | None = None,
        alarm: Alarm = _no_alarm,
        random: Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        meter: Meter = NO_METER,
    ) -> None:
        # Jitter needs no secrecy.
        random = random or Random()  # noqa: S311
        self._logins = Logins(mailbox, account, deadlines or Deadlines(), random, monotonic, alarm, meter)
        self._folders, self._marks = tuple(folders), marks
        self.watchers = tuple(FolderWatcher(plan, door, self._logins, clock) for plan in self._folders)
        self.marker = Marker(door, self._logins, marks, self._opened, self._is_watched)

    @property
    def login_refused(self) -> bool:
        """Whether the server refused the last login."""
        return self._logins.refusals > 0

    def _opened(self) -> list[FolderState]:
        return [watcher.state for watcher in self.watchers if watcher.state is not None]

    def _is_watched(self, name: str) -> bool:
        """Whether a watcher follows the folder `name`, or will when it comes to be."""
        names = {state.name.lower() for state in self._opened()}
        names |= {plan.name.lower() for plan in self._folders if plan.name is not None}
        if name.lower() in names:
            return True
        looking = any(watcher.state is None and watcher.finds_junk for watcher in self.watchers)
        return looking and any(junk_of([Listed(encode_mailbox(name), mark)]) is not None for mark in "/.")

    async def pass_once(self) -> None:
        """One full comparison of every folder. Raises: TemporaryError and its kin, of the first that fails."""
        for watcher in self.watchers:
            await watcher.pass_once()

    @contextlib.asynccontextmanager
    async def inventory(self) -> AsyncIterator[ImapInventory]:
        """The server, for a comparison with what is on file. Raises: TemporaryError and its kin."""
        async with self._logins.session() as session:
            targets = dict.fromkeys(plan.folder for plan in self._marks.values() if plan.folder is not None)
            yield ImapInventory(session, self._logins, self.watchers, targets)

    async def probe(self) -> ImapReport:
        """Log in and look around, changing nothing. Raises: TemporaryError and its kin."""
        async with self._logins.session() as session:
            folders = tuple([await self._folder(session, plan) for plan in self._folders])
            targets = [
                await self._target(session, mark, plan.folder)
                for mark, plan in self._marks.items()
                if plan.folder is not None
            ]
            return ImapReport(
                capabilities=session.capabilities,
                idle=self._logins.account.idle and session.can("IDLE"),
                can_move=session.can("MOVE") or session.can("UIDPLUS"),
                folders=folders,
                targets=tuple(targets),
            )

    async def _target(self, session: Session, mark: Mark, folder: str) -> TargetReport:
        existing = await Targets().existing(session, folder)
        watched = self._is_watched(folder) or (existing is not None and self._is_watched(existing))
        return TargetReport(mark, folder, existing is not None, watched)

    async def _folder(self, session: Session, plan: FolderPlan) -> FolderReport:
        name = plan.name if plan.name is not None else await find_junk(session)
        if name is None:
            return FolderReport(None, plan.junk, found=False)
        try:
            selected = await session.open(name)
        except FolderMissing:
            return FolderReport(name, plan.junk, found=False)
        return FolderReport(name, plan.junk, True, selected.uidvalidity, selected.exists)
