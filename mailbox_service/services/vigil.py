"""The service looks at itself: do we still hear, work, and reach people?

Each look turns what is found into observations, one for each alarm. Ages are counted in time that really passed
(services.elapsed), so that neither a clock that jumps nor a stop of the service looks like neglect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from mailbox_service.core.gpg.keys import KeyFacts, days_warned
from mailbox_service.core.routing import EXHAUSTED
from mailbox_service.errors import MailboxServiceError, TemporaryError
from mailbox_service.services import canary, reconciliation
from mailbox_service.services.alarms import AlarmNotice, Alarms, Observation
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.elapsed import Elapsed
from mailbox_service.services.mailboxes import Mailbox, Mailboxes, written_moment
from mailbox_service.services.metering import (
    CANARY_BACK,
    CANARY_LATENCY,
    DIFFERENCES,
    NO_METER,
    RECONCILED,
    Meter,
)
from mailbox_service.services.ports import Clock, Transaction
from mailbox_service.services.signals import Bell

log = structlog.get_logger()

T = TypeVar("T")

# Long enough for a server's restart, short enough that a reporter still gets an answer the same day.
DEAF_AFTER = timedelta(minutes=15)
WORK_WITHIN = timedelta(minutes=15)
# A submission server takes mail at once, whoever it is for; the recipient's server is its own affair.
SEND_WITHIN = timedelta(hours=1)
PAUSED_FOR = timedelta(days=1)
DATABASE_WITHIN_SECONDS = 120.0
KEYS_LISTED_EVERY_SECONDS = 3600.0
JUMP_TOLD_FOR_SECONDS = 3600.0
# What two looks in a row find; one alone may fall between two steps of a worker.
CONFIRMED = 2

_PAUSED_SINCE = "outbox_paused_since"


@dataclass(frozen=True, slots=True)
class FolderSense:
    """One watched folder that should be on the server."""

    name: str
    silent_for: timedelta  # since something was heard of it
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Senses:
    """How a mailbox's connections are doing."""

    folders: tuple[FolderSense, ...] = ()
    imap_refused: bool = False
    smtp_refused: bool = False
    closed_doors: tuple[str, ...] = ()  # for mail that is pushed: which, and why


class Watching(Transaction, Protocol):
    """What only the vigil asks."""

    def held_because(self, mailbox: str, why: str) -> int: ...
    def oldest_due_message(self, mailbox: str, now: datetime) -> datetime | None:
        """Since when a message is due that nobody has in work."""
        ...

    def first_expiry_of_waiting_mail(self, mailbox: str) -> datetime | None:
        """When the mail that waits longest will be given up; canaries have an alarm and a life of their own."""
        ...

    def last_deliveries(self, mailbox: str, recipients: list[str]) -> dict[str, str]:
        """How the last mail to each of these maintainers ended: sent or failed. Those without one are left out."""
        ...


class WatchedStorage(Protocol):
    async def transact(self, work: Callable[[Watching], T]) -> T: ...


class Vigil:
    """Call `look` at intervals of about a minute."""

    def __init__(
        self,
        storage: WatchedStorage,
        mailboxes: Mailboxes,
        correspondence: Correspondence,
        alarms: Alarms,
        clock: Clock,
        monotonic: Callable[[], float],
        *,
        senses: Callable[[], Mapping[str, Senses]],
        disk: Callable[[], str],
        mails_waiting: Bell,
        meter: Meter = NO_METER,
        own_keys: Callable[[], Awaitable[Mapping[str, Sequence[KeyFacts]]]] | None = None,
    ) -> None:
        self._meter = meter
        self._storage, self._mailboxes, self._correspondence = storage, mailboxes, correspondence
        self._alarms, self._clock, self._monotonic = alarms, clock, monotonic
        self._senses, self._disk = senses, disk  # what is wrong with the disk, "" for nothing
        self._mails_waiting = mails_waiting
        # The keys of each mailbox that has some of its own. Raises: TemporaryError.
        self._own_keys = own_keys
        self._keys: tuple[float, Mapping[str, Sequence[KeyFacts]]] | None = None
        self.elapsed = Elapsed(clock, monotonic)
        self._answered_at = monotonic()  # the database
        self._jump: tuple[float, str] | None = None
        self._seen: dict[tuple[str, str], int] = {}  # neglect found by so many looks in a row

    async def look(self) -> list[AlarmNotice]:
        """One look at everything. Returns what people were told of. Never raises for what it looks at."""
        jumped = self.elapsed.tick()
        notices = await self._alarms.report([self._clock_found(jumped), self._disk_found()])
        try:
            notices += await self._alarms.report(await self._look_at_mailboxes())
            self._answered_at = self._monotonic()
        except TemporaryError as error:
            log.warning("vigil without database", error_type=type(error).__name__, reason=error)
        silent = self._monotonic() - self._answered_at
        what = f"the database has not answered for {silent / 60:.0f} minutes"
        return notices + await self._alarms.report([Observation("database", silent > DATABASE_WITHIN_SECONDS, what)])

    def _clock_found(self, jumped: timedelta | None) -> Observation:
        if jumped is not None:
            ahead = "forwards" if jumped > timedelta() else "backwards"
            self._jump = (self._monotonic(), f"the clock jumped {ahead} by {_about(abs(jumped))}, or the machine slept")
        if self._jump is None or self._monotonic() - self._jump[0] > JUMP_TOLD_FOR_SECONDS:
            return Observation("clock", on=False)
        return Observation("clock", True, self._jump[1])

    def _disk_found(self) -> Observation:
        what = self._disk()
        return Observation("disk", bool(what), what)

    async def _look_at_mailboxes(self) -> list[Observation]:
        found: list[Observation] = []
        senses, now = self._senses(), self._clock()
        keys = await self._known_keys()
        for name, mailbox in self._mailboxes.items():
            found += _connections(name, senses.get(name, Senses()))
            if keys.get(name):
                found.append(_own_key(name, keys[name], now))

            def ask(tx: Watching, mailbox: Mailbox = mailbox) -> list[Observation]:
                return self._on_file(tx, mailbox, now)

            found += await self._storage.transact(ask)
        self._mails_waiting.ring()  # for a canary
        return [self._confirmed(one) for one in found]

    async def _known_keys(self) -> Mapping[str, Sequence[KeyFacts]]:
        """The mailboxes' own keys, listed once an hour."""
        known = self._keys
        if self._own_keys is not None and (known is None or self._monotonic() - known[0] >= KEYS_LISTED_EVERY_SECONDS):
            try:
                known = self._keys = (self._monotonic(), await self._own_keys())
            except MailboxServiceError as error:
                log.warning("keys not listed", error_type=type(error).__name__, reason=error)
        return known[1] if known is not None else {}

    def _on_file(self, tx: Watching, mailbox: Mailbox, now: datetime) -> list[Observation]:
        paused = tx.outbox_paused()
        found = [_paused(tx, mailbox, now, paused=paused), _held(tx, mailbox)]
        compared = reconciliation.last(tx, mailbox.name)
        found += [_unworked(tx, mailbox, self.elapsed, now), _unreached(tx, mailbox), _unreconciled(mailbox, compared)]
        found.append(_pinned_keys(tx, mailbox, now))
        if not paused:
            # While nothing may leave, neither a mail that waits nor a canary says anything.
            found.append(_unsent(tx, mailbox, self.elapsed, self._correspondence.lifetime))
            newest = canary.send_due(tx, mailbox, self._correspondence, self.elapsed, now)
            found += _canary(mailbox, newest, self.elapsed)
        self._show(mailbox.name, canary.newest(tx, mailbox.name), compared)
        return found

    def _show(self, mailbox: str, newest: canary.Canary | None, compared: reconciliation.Record | None) -> None:
        if newest is not None and newest.back_at is not None and newest.latency_seconds is not None:
            self._meter.set(CANARY_LATENCY, newest.latency_seconds, mailbox)
            self._meter.set(CANARY_BACK, newest.back_at.timestamp(), mailbox)
        if compared is not None and compared.finished is not None and compared.begun != compared.finished:
            self._meter.set(DIFFERENCES, compared.found, mailbox)
            self._meter.set(RECONCILED, compared.finished.timestamp(), mailbox)

    def _confirmed(self, one: Observation) -> Observation:
        key = (one.mailbox, one.name)
        self._seen[key] = self._seen.get(key, 0) + 1 if one.on else 0
        wanted = CONFIRMED if one.name in _NEGLECT else 1
        return one if not one.on or self._seen[key] >= wanted else Observation(one.name, False, "", one.mailbox)


_NEGLECT = frozenset({"mail_waiting", "worker", "folder", "door"})


def _connections(mailbox: str, senses: Senses) -> list[Observation]:
    silent = [folder for folder in senses.folders if folder.silent_for > DEAF_AFTER]
    named = "; ".join(f"{f.name}{f' ({f.last_error})' if f.last_error else ''}" for f in silent[:5])
    closed = "; ".join(senses.closed_doors)
    return [
        Observation("door", bool(closed), f"not open: {closed}", mailbox),
        Observation("imap_login", senses.imap_refused, "the IMAP server refuses the login", mailbox),
        Observation("smtp_login", senses.smtp_refused, "the SMTP server refuses the login", mailbox),
        # A refused login has its own alarm, with a better remedy.
        Observation(
            "folder", bool(silent) and not senses.imap_refused, f"the folder {named} cannot be looked at", mailbox
        ),
    ]


def _paused(tx: Watching, mailbox: Mailbox, now: datetime, *, paused: bool) -> Observation:
    since = tx.setting(_PAUSED_SINCE) or ""
    if paused and not since:
        tx.put_setting(_PAUSED_SINCE, since := now.isoformat())
    elif not paused and since:
        tx.put_setting(_PAUSED_SINCE, since := "")
    # By the wall clock, since it says what is true even after a jump, and a service that is restarted daily counts too.
    on = paused and now - datetime.fromisoformat(since) >= PAUSED_FOR
    what = f"the outbox is paused since {written_moment(datetime.fromisoformat(since))}" if since else ""
    return Observation("outbox_paused", on, what, mailbox.name)


def _held(tx: Watching, mailbox: Mailbox) -> Observation:
    count = tx.held_because(mailbox.name, EXHAUSTED)
    return Observation("held", count > 0, f"messages that could not be worked and are held: {count}", mailbox.name)


def _own_key(mailbox: str, keys: Sequence[KeyFacts], now: datetime) -> Observation:
    # An old key is kept to read with; what counts is the one that lasts longest.
    days = [days_warned(key.expires_at, now) for key in keys if not key.revoked]
    on = None not in days
    nearest = max((day for day in days if day is not None), default=0)
    return Observation("own_key", on, f"the mailbox's own key {_expiry(nearest)}", mailbox)


def _pinned_keys(tx: Watching, mailbox: Mailbox, now: datetime) -> Observation:
    people = {maintainer.address.lower() for maintainer in mailbox.maintainers}
    warned = [days_warned(pin.expires_at, now) for pin in tx.pins(mailbox.name) if pin.address in people]
    days = sorted(day for day in warned if day is not None)
    what = f"keys of maintainers: {len(days)}; the first {_expiry(days[0])}" if days else ""
    return Observation("pinned_key", bool(days), what, mailbox.name)


def _expiry(days: int) -> str:
    return f"expires within {days} days" if days else "has expired, or cannot be used"


def _unreconciled(mailbox: Mailbox, last: reconciliation.Record | None) -> Observation:
    count = last.confirmed if last is not None else 0
    what = f"the server and what is on file differ in {count} messages"
    return Observation("reconciliation", count > 0, what, mailbox.name)


def _unworked(tx: Watching, mailbox: Mailbox, elapsed: Elapsed, now: datetime) -> Observation:
    due = tx.oldest_due_message(mailbox.name, now)
    on = due is not None and elapsed.since(due) > WORK_WITHIN
    return Observation("worker", on, "mail that has arrived is not worked", mailbox.name)


def _unreached(tx: Watching, mailbox: Mailbox) -> Observation:
    addresses = sorted({maintainer.address for maintainer in mailbox.maintainers})
    last = tx.last_deliveries(mailbox.name, addresses)
    on = bool(last) and all(last.get(address) == "failed" for address in addresses)
    return Observation("maintainers_unreached", on, "the last mail to each maintainer has failed", mailbox.name)


def _unsent(tx: Watching, mailbox: Mailbox, elapsed: Elapsed, lifetime: timedelta) -> Observation:
    expiry = tx.first_expiry_of_waiting_mail(mailbox.name)
    # From its end, because a mail that a person sends anew begins to wait anew.
    waited = elapsed.since(expiry - lifetime) if expiry is not None else timedelta()
    return Observation(
        "mail_waiting", waited > SEND_WITHIN, f"a mail has waited for {_about(waited)} to be sent", mailbox.name
    )


def _canary(mailbox: Mailbox, newest: canary.Canary | None, elapsed: Elapsed) -> Sequence[Observation]:
    if newest is None:
        return [Observation(name, False, "", mailbox.name) for name in ("canary_late", "canary_junk")]
    on = newest.lost or canary.late(mailbox, newest, elapsed)
    what = f"the mail to itself of {written_moment(newest.made_at)} has not come back"
    return [
        Observation("canary_late", on, what, mailbox.name),
        Observation("canary_junk", newest.junk, "the mail to itself came back in the Junk folder", mailbox.name),
    ]


def _about(duration: timedelta) -> str:
    minutes = round(duration.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
