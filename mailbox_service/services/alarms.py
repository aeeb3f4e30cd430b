"""Alarms: what was found wrong is recorded, and people are told once by every way there is.

Mails to the maintainers are rows of the outbox, written with the record. The log and the other channels follow the
commit; a channel that fails is logged, and neither blocks the others nor stops anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from mailbox_service.core.alarms import ALARMS, AlarmKind, AlarmState, Change, advance
from mailbox_service.errors import MailboxServiceError
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.intake import Timing
from mailbox_service.services.mailboxes import Mailboxes, written_moment
from mailbox_service.services.metering import ALARM_ON, ALARMS_TOLD, CHANNEL_FAILURES, NO_METER, Meter
from mailbox_service.services.ports import Storage, Transaction
from mailbox_service.services.signals import Bell

log = structlog.get_logger()

# Of notices that a channel could not take yet. Alarms are few; a channel that hangs must not fill the memory.
WAITING_NOTICES = 50


@dataclass(frozen=True, slots=True)
class Observation:
    """An alarm found on or off. `what` says what was found, in our own words: never a word from mail, no address."""

    name: str
    on: bool
    what: str = ""
    mailbox: str = ""  # empty for those of the machine


@dataclass(frozen=True, slots=True)
class AlarmNotice:
    """What channels are told."""

    name: str
    change: Change
    mailbox: str
    what: str
    meaning: str
    remedy: str
    since: datetime
    at: datetime


class AlarmChannel(Protocol):
    """A way to people beside mail."""

    @property
    def name(self) -> str:
        """For the log: "command", "webhook"."""
        ...

    async def tell(self, notice: AlarmNotice) -> None:
        """Returns when the notice was taken, within a deadline of its own. Raises: MailboxServiceError."""
        ...


class Alarms:
    """Takes observations, as often as anybody likes, and tells people what changed."""

    def __init__(
        self,
        storage: Storage,
        mailboxes: Mailboxes,
        correspondence: Correspondence,
        timing: Timing,
        *,
        mails_waiting: Bell,
        channels: Sequence[AlarmChannel] = (),
        meter: Meter = NO_METER,
    ) -> None:
        self._meter = meter
        self._storage, self._mailboxes, self._correspondence = storage, mailboxes, correspondence
        self._timing, self._mails_waiting = timing, mails_waiting
        self._of_machine: dict[str, AlarmState] = {}
        self._queues = [(channel, asyncio.Queue[AlarmNotice](WAITING_NOTICES)) for channel in channels]

    async def report(self, found: Iterable[Observation]) -> list[AlarmNotice]:
        """Record what was found, and tell whoever has to be told of it. Returns the notices.

        Raises: TemporaryError when what concerns mailboxes could not be recorded; the rest has been told then.
        """
        now = self._timing.clock()
        observations = list(found)
        for one in observations:
            self._meter.set(ALARM_ON, float(one.on), one.mailbox, one.name)
        notices = self._report_machine([o for o in observations if not ALARMS[o.name].of_mailbox], now)
        self._tell(notices)
        of_mailboxes = [o for o in observations if ALARMS[o.name].of_mailbox]
        if of_mailboxes:
            recorded = await self._storage.transact(
                lambda tx: record(tx, of_mailboxes, self._mailboxes, self._correspondence, self._storage.identity, now)
            )
            if recorded:
                self._mails_waiting.ring()
            self._tell(recorded)
            notices += recorded
        return notices

    def _report_machine(self, found: Sequence[Observation], now: datetime) -> list[AlarmNotice]:
        notices = []
        for one in found:
            before = self._of_machine.get(one.name)
            state, change = advance(before, found_on=one.on, what=one.what, by="", now=now)
            if state is not None:
                self._of_machine[one.name] = state
                if change is not None:
                    notices.append(_notice(one, state, change, now))
        return notices

    # --- the ways to people -----------------------------------------------------------------------------------

    def _tell(self, notices: Sequence[AlarmNotice]) -> None:
        for notice in notices:
            self._meter.count(ALARMS_TOLD, notice.name, notice.change.value)
            say = log.info if notice.change is Change.OVER else log.error
            event = {
                Change.RAISED: "alarm raised",
                Change.REMINDER: "alarm still on",
                Change.OVER: "alarm over",
            }[notice.change]
            say(event, kind=notice.name, mailbox=notice.mailbox, reason=notice.what)
            for channel, queue in self._queues:
                if queue.full():
                    lost = queue.get_nowait()
                    self._meter.count(CHANNEL_FAILURES, channel.name)
                    log.error("alarm channel is behind", step=channel.name, kind=lost.name)
                queue.put_nowait(notice)

    async def run(self) -> None:
        """Tell the channels, each at its own pace, for ever."""
        async with asyncio.TaskGroup() as group:
            for channel, queue in self._queues:
                group.create_task(self._serve(channel, queue), name=f"alarms-{channel.name}")

    async def _serve(self, channel: AlarmChannel, queue: asyncio.Queue[AlarmNotice]) -> None:
        while True:
            notice = await queue.get()
            try:
                await channel.tell(notice)
                log.info("alarm told", step=channel.name, kind=notice.name, mailbox=notice.mailbox)
            except MailboxServiceError as error:
                self._meter.count(CHANNEL_FAILURES, channel.name)
                log.error("alarm channel failed", step=channel.name, kind=notice.name, reason=error)
            except Exception as error:  # a loop top: a fault of ours in one channel must not silence it for ever
                self._meter.count(CHANNEL_FAILURES, channel.name)
                log.error("alarm channel failed", step=channel.name, kind=notice.name, error_type=type(error).__name__)


def record(
    tx: Transaction,
    found: Sequence[Observation],
    mailboxes: Mailboxes,
    correspondence: Correspondence,
    worker: str,
    now: datetime,
) -> list[AlarmNotice]:
    """Write what changed, with the mails to the maintainers. Returns what everybody else has to be told."""
    changed = [one for one in found if _next(tx, one, worker, now)[0]]
    if not changed:
        return []
    # Taken by whoever wants to change an alarm: of two daemons that find the same, the second sees the first's record.
    tx.put_setting("alarms", worker)
    notices, mails = [], []
    for one in changed:
        news, state, change = _next(tx, one, worker, now)
        if not news or state is None:
            continue
        tx.put_setting(_key(one.mailbox, one.name), state.dump())
        if change is None:
            continue
        notice = _notice(one, state, change, now)
        notices.append(notice)
        if ALARMS[one.name].by_mail:
            mails += correspondence.alarm(mailboxes[one.mailbox], one.name, state.since, _told(notice))
    tx.add_mails(mails, now, now + correspondence.lifetime)
    return notices


def _next(
    tx: Transaction, one: Observation, worker: str, now: datetime
) -> tuple[bool, AlarmState | None, Change | None]:
    before = AlarmState.load(tx.setting(_key(one.mailbox, one.name)))
    daily = ALARMS[one.name].daily
    state, change = advance(before, found_on=one.on, what=one.what, by=worker, now=now, daily=daily)
    return state != before, state, change


def current(tx: Transaction, mailboxes: Iterable[str]) -> list[tuple[str, AlarmKind, AlarmState]]:
    """(mailbox, alarm, state) of every alarm that is on and on file."""
    found = []
    for mailbox in mailboxes:
        for kind in ALARMS.values():
            state = AlarmState.load(tx.setting(_key(mailbox, kind.name))) if kind.of_mailbox else None
            if state is not None and state.on:
                found.append((mailbox, kind, state))
    return found


def _key(mailbox: str, name: str) -> str:
    return f"alarm/{mailbox}/{name}"


def _notice(one: Observation, state: AlarmState, change: Change, now: datetime) -> AlarmNotice:
    kind = ALARMS[one.name]
    return AlarmNotice(one.name, change, one.mailbox, state.what, kind.meaning, kind.remedy, state.since, now)


def _told(notice: AlarmNotice) -> dict[str, object]:
    return {
        "name": notice.name,
        "change": notice.change.value,
        "what": notice.what,
        "meaning": notice.meaning,
        "remedy": notice.remedy,
        "since": written_moment(notice.since),
        "at": written_moment(notice.at),
    }
