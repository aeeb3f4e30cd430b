"""Does the server hold mail that is not on file? An independent comparison, once a day and whenever a person asks.

Watched folders are compared UID by UID with the sources on file, never by flags. In the folders that mail is moved to,
UIDs are new: what is there is fetched and known by its digest, each message once, since a mark is kept up to which all
is on file. That somebody moved or deleted mail is no difference: it is on file. A difference counts when two
comparisons in a row find it, with time for the watchers in between.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

import structlog

from mailbox_service.services.intake import Intake, digest_of
from mailbox_service.services.ports import Clock, FolderId, Origin, RawMessage, SourceKind, Transaction

log = structlog.get_logger()

T = TypeVar("T")

# What has just arrived may be under way to us; full comparisons of the watchers are at most as far apart.
GRACE = timedelta(minutes=15)
# Clocks of servers differ; mail this much older than the first contact was there before us.
OLD_MAIL = timedelta(days=1)
# Some servers estimate sizes (Exchange does by default): so many of those that differ are fetched and compared.
SIZES_CHECKED = 20
# Differences listed for one folder; the rest is counted.
LISTED = 1000


class Kind(StrEnum):
    """What is wrong about one message."""

    NOT_ON_FILE = "not on file"
    NO_BYTES = "no bytes on file"
    OTHER_BYTES = "other bytes on file"


@dataclass(frozen=True, slots=True)
class ServerFolder:
    name: str
    uidvalidity: int
    uidnext: int
    watched: bool  # else a folder that mail is moved to
    junk: bool


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message on the server; None for what the server does not tell."""

    uid: int
    size_bytes: int | None
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    uid: int
    data: bytes
    received_at: datetime | None
    full_size_bytes: int | None  # set where `data` is only the header


class Inventory(Protocol):
    """The server of one mailbox, over a session of its own. All may raise TemporaryError and its kin."""

    async def folders(self) -> list[ServerFolder]: ...
    def messages(self, folder: ServerFolder, above: int) -> AsyncIterator[list[HeldMessage]]: ...
    def fetch(self, uids: Sequence[int]) -> AsyncIterator[list[FetchedMessage]]: ...
    def refusals(self, folder: ServerFolder, uid: int) -> int: ...


@dataclass(frozen=True, slots=True)
class OnFile:
    """What is on file for one UID."""

    size_bytes: int
    partial: bool
    has_bytes: bool


class Comparing(Transaction, Protocol):
    """What only a comparison asks."""

    def sources_between(
        self, mailbox: str, folder: str, uidvalidity: int, first: int, last: int
    ) -> dict[int, OnFile]: ...
    def count_sources(self, mailbox: str, folder: str, uidvalidity: int) -> int: ...
    def digests_on_file(self, mailbox: str, digests: Sequence[str]) -> set[str]: ...
    def first_contact(self, mailbox: str) -> datetime | None: ...


class ComparedStorage(Protocol):
    async def transact(self, work: Callable[[Comparing], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One message that is not as it should be. Nothing in it comes from mail."""

    folder: str
    uid: int
    kind: Kind
    size_bytes: int | None
    received_at: datetime | None
    why: str = ""


@dataclass(slots=True)
class FolderComparison:
    """One folder, compared."""

    folder: str
    watched: bool
    on_server: int = 0  # of a folder that mail is moved to: those not known from an earlier comparison
    on_file: int = 0
    recent: int = 0  # not on file yet, but so new that they may be under way
    older: int = 0  # were there before the first contact, in a folder that mail is moved to
    gone: int = 0  # on file, and no longer in the folder: moved or deleted, which is no loss
    inexact: int = 0  # the server is wrong about their size
    taken_in: int = 0
    count: int = 0  # differences, listed or not
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: Difference) -> None:
        self.count += 1
        if len(self.differences) < LISTED:
            self.differences.append(found)


class Reconciliation:
    """Compares one mailbox after the other."""

    def __init__(self, storage: ComparedStorage, intake: Intake, clock: Clock) -> None:
        self._storage, self._intake, self._clock = storage, intake, clock

    async def compare(self, mailbox: str, server: Inventory, *, take_in: bool = False) -> list[FolderComparison]:
        """All folders of a mailbox. With `take_in`, what is not on file is put there by T1, as mail that nobody is
        answered for, and worked; it is no difference then.

        Raises: TemporaryError and its kin.
        """
        first_contact = await self._storage.transact(lambda tx: tx.first_contact(mailbox))
        found = []
        for folder in await server.folders():
            comparison = FolderComparison(folder.name, folder.watched)
            if folder.watched:
                await self._compare_watched(mailbox, folder, server, comparison, take_in)
            elif first_contact is not None:
                await self._compare_target(mailbox, folder, server, comparison, first_contact, take_in)
            found.append(comparison)
            for one in comparison.differences:
                log.warning("reconciliation difference", mailbox=mailbox, folder=one.folder, uid=one.uid, kind=one.kind)
        return found

    # --- watched folders: by UID --------------------------------------------------------------------------

    async def _compare_watched(
        self, mailbox: str, folder: ServerFolder, server: Inventory, found: FolderComparison, take_in: bool
    ) -> None:
        missing: list[HeldMessage] = []
        doubtful: list[HeldMessage] = []
        async for portion in server.messages(folder, 0):
            known = await self._sources(mailbox, folder, portion)
            found.on_server += len(portion)
            for held in portion:
                row = known.get(held.uid)
                if row is None:
                    missing.append(held)
                    continue
                found.on_file += 1
                if not row.has_bytes:
                    found.add(Difference(folder.name, held.uid, Kind.NO_BYTES, held.size_bytes, held.received_at))
                elif held.size_bytes not in (None, row.size_bytes) and not row.partial:
                    found.inexact += 1
                    if len(doubtful) < SIZES_CHECKED:
                        doubtful.append(held)
        on_file = await self._storage.transact(lambda tx: tx.count_sources(mailbox, folder.name, folder.uidvalidity))
        found.gone = max(on_file - found.on_file, 0)
        missing = await self._still_missing(mailbox, folder, missing)
        if take_in and missing:
            state = await self._intake.open_folder(
                mailbox, folder.name, folder.uidvalidity, folder.uidnext, junk=folder.junk
            )
            taken = await self._take_in(mailbox, folder, server, [held.uid for held in missing], found, state.id)
            missing = [held for held in missing if held.uid not in taken]
        found.on_file = found.on_server - len(missing)
        for held in missing:
            self._add_missing(folder, server, held, found)
        for held in await self._with_other_bytes(mailbox, server, doubtful):
            found.add(Difference(folder.name, held.uid, Kind.OTHER_BYTES, held.size_bytes, held.received_at))

    async def _sources(
        self, mailbox: str, folder: ServerFolder, portion: Sequence[HeldMessage]
    ) -> Mapping[int, OnFile]:
        first, last = portion[0].uid, portion[-1].uid
        return await self._storage.transact(
            lambda tx: tx.sources_between(mailbox, folder.name, folder.uidvalidity, first, last)
        )

    async def _still_missing(
        self, mailbox: str, folder: ServerFolder, missing: Sequence[HeldMessage]
    ) -> list[HeldMessage]:
        """Those that no watcher has put on file meanwhile."""
        left = []
        for start in range(0, len(missing), LISTED):
            portion = missing[start : start + LISTED]
            known = await self._sources(mailbox, folder, portion)
            left += [held for held in portion if held.uid not in known]
        return left

    def _add_missing(self, folder: ServerFolder, server: Inventory, held: HeldMessage, found: FolderComparison) -> None:
        if held.received_at is not None and abs(self._clock() - held.received_at) < GRACE:
            found.recent += 1
            return
        refusals = server.refusals(folder, held.uid) if folder.watched else 0
        why = f"the server did not hand it out, {refusals} times" if refusals else ""
        found.add(Difference(folder.name, held.uid, Kind.NOT_ON_FILE, held.size_bytes, held.received_at, why))

    async def _with_other_bytes(
        self, mailbox: str, server: Inventory, doubtful: Sequence[HeldMessage]
    ) -> list[HeldMessage]:
        different: set[int] = set()
        if doubtful:
            async for batch in server.fetch([held.uid for held in doubtful]):
                digests = {digest_of(_raw(mailbox, m, m.received_at or self._clock())): m.uid for m in batch}
                known = await self._known(mailbox, list(digests))
                different |= {uid for digest, uid in digests.items() if digest not in known}
        return [held for held in doubtful if held.uid in different]

    # --- folders that mail is moved to: by digest ---------------------------------------------------------

    async def _compare_target(
        self,
        mailbox: str,
        folder: ServerFolder,
        server: Inventory,
        found: FolderComparison,
        first_contact: datetime,
        take_in: bool,
    ) -> None:
        through = await self._storage.transact(lambda tx: _compared_through(tx, mailbox, folder))
        fresh: list[HeldMessage] = []
        highest = through
        async for portion in server.messages(folder, through):
            highest = portion[-1].uid
            for held in portion:
                if held.received_at is not None and held.received_at < first_contact - OLD_MAIL:
                    found.older += 1
                else:
                    fresh.append(held)
        found.on_server = len(fresh) + found.older
        if take_in:
            known = await self._take_in(mailbox, folder, server, [held.uid for held in fresh], found, None)
        else:
            known = await self._on_file_by_digest(mailbox, server, [held.uid for held in fresh])
        missing = [held for held in fresh if held.uid not in known]
        found.on_file = len(fresh) - len(missing)
        for held in missing:
            self._add_missing(folder, server, held, found)
        # From the first that is missing on, everything is looked at again next time.
        through = min((held.uid - 1 for held in missing), default=highest)
        await self._storage.transact(lambda tx: _compared(tx, mailbox, folder, through))

    async def _on_file_by_digest(self, mailbox: str, server: Inventory, uids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        if uids:
            async for batch in server.fetch(uids):
                digests = [(digest_of(_raw(mailbox, m, m.received_at or self._clock())), m.uid) for m in batch]
                known = await self._known(mailbox, [digest for digest, _ in digests])
                found |= {uid for digest, uid in digests if digest in known}
        return found

    async def _known(self, mailbox: str, digests: Sequence[str]) -> set[str]:
        return await self._storage.transact(lambda tx: tx.digests_on_file(mailbox, digests))

    async def _take_in(
        self,
        mailbox: str,
        folder: ServerFolder,
        server: Inventory,
        uids: Sequence[int],
        found: FolderComparison,
        folder_id: FolderId | None,
    ) -> set[int]:
        """Put `uids` on file and work what is new. Returns those that are on file now."""
        taken: set[int] = set()
        if not uids:
            return taken
        async for batch in server.fetch(uids):
            raws = [_raw(mailbox, m, m.received_at or self._clock(), folder, folder_id) for m in batch]
            claims = await self._intake.store(raws)
            await self._intake.work(claims)
            found.taken_in += len(claims)
            taken |= {m.uid for m in batch}
        return taken


def _raw(
    mailbox: str,
    message: FetchedMessage,
    received_at: datetime,
    folder: ServerFolder | None = None,
    folder_id: FolderId | None = None,
) -> RawMessage:
    """As an import: like one it is quiet, whatever the mailbox's `answer_backlog` says."""
    note = f"reconcile: {folder.name} UID {message.uid}" if folder is not None else ""
    origin = Origin(
        SourceKind.IMPORT,
        mailbox,
        folder_id=folder_id,
        uid=message.uid if folder_id is not None else None,
        junk=folder.junk if folder is not None else False,
        quiet=True,
        note=note,
    )
    return RawMessage(message.data, origin, received_at, full_size_bytes=message.full_size_bytes)


def _key(mailbox: str, folder: ServerFolder) -> str:
    return f"reconciled/{mailbox}/{folder.name}"


def _compared_through(tx: Transaction, mailbox: str, folder: ServerFolder) -> int:
    """The UID up to which all of a folder is known to be on file."""
    uidvalidity, _, through = (tx.setting(_key(mailbox, folder)) or "0:0").partition(":")
    return int(through) if uidvalidity == str(folder.uidvalidity) else 0


def _compared(tx: Transaction, mailbox: str, folder: ServerFolder, through: int) -> None:
    tx.put_setting(_key(mailbox, folder), f"{folder.uidvalidity}:{through}")


# --- when ----------------------------------------------------------------------------------------------------

EVERY = timedelta(days=1)
CONFIRM_AFTER = timedelta(minutes=20)  # longer than GRACE and a watcher's full comparison
# A comparison that was not finished: its server was away, or its daemon died.
AGAIN_AFTER = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Record:
    """The last daily comparison of a mailbox."""

    begun: datetime
    finished: datetime | None = None
    found: int = 0
    confirmed: int = 0  # found by two in a row; this is what is an alarm
    first_look: bool = False  # it found something that the next one has to confirm

    def due(self, now: datetime) -> bool:
        if self.finished is None or self.finished < self.begun:
            return abs(now - self.begun) >= AGAIN_AFTER
        return abs(now - self.begun) >= (CONFIRM_AFTER if self.first_look else EVERY)

    def after(self, count: int, now: datetime) -> Record:
        """The record once a comparison has found `count` differences."""
        if not count or self.first_look:
            return Record(self.begun, now, count, count)
        return Record(self.begun, now, count, self.confirmed, first_look=True)

    def dump(self) -> str:
        finished = self.finished.isoformat() if self.finished is not None else None
        values = {"found": self.found, "confirmed": self.confirmed, "first_look": self.first_look}
        return json.dumps({"begun": self.begun.isoformat(), "finished": finished} | values)


def last(tx: Transaction, mailbox: str) -> Record | None:
    """The last daily comparison; None before there was any reason for one."""
    try:
        values = json.loads(tx.setting(f"reconciliation/{mailbox}") or "")
        finished = values["finished"]
        return Record(
            datetime.fromisoformat(values["begun"]),
            datetime.fromisoformat(finished) if finished else None,
            int(values["found"]),
            int(values["confirmed"]),
            bool(values["first_look"]),
        )
    except (ValueError, KeyError, TypeError):
        return None  # nothing yet, or what another version wrote


def begin_due(tx: Transaction, mailbox: str, now: datetime) -> Record | None:
    """The record of a comparison to be made now; None where none is due. Of several daemons one makes it."""
    before = last(tx, mailbox)
    if before is not None and not before.due(now):
        return None
    # Whoever else finds it due waits here, and then sees ours.
    tx.put_setting("reconciliations", mailbox)
    before = last(tx, mailbox)
    if before is None:
        finish(tx, mailbox, Record(now, now))  # the first one after a day
        return None
    if not before.due(now):
        return None
    begun = Record(now, before.finished, before.found, before.confirmed, before.first_look)
    finish(tx, mailbox, begun)
    return begun


def finish(tx: Transaction, mailbox: str, record: Record) -> None:
    tx.put_setting(f"reconciliation/{mailbox}", record.dump())
