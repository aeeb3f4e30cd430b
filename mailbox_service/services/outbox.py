"""A mail's way out: claimed (T4), composed and frozen (T5), sent, settled (T6).

One row is one recipient. Its bytes and Message-ID never change after T5, so that whatever happens on the wire a
further attempt is the same mail. T6 follows each reply at once: replies that arrive together share one commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from mailbox_service.core.budget import AnswerBudget, Key, failures_key, hour_of
from mailbox_service.core.case import Event
from mailbox_service.core.schedule import backoff
from mailbox_service.errors import TemporaryError
from mailbox_service.services.correspondence import UNMOURNED, Correspondence
from mailbox_service.services.intake import Timing
from mailbox_service.services.mailboxes import Mailbox, Mailboxes, clean
from mailbox_service.services.metering import (
    ACKNOWLEDGING,
    DELIVERIES,
    LEASES_LOST,
    NO_METER,
    SENDING,
    Meter,
)
from mailbox_service.services.ports import (
    CaseId,
    CollectedItem,
    Delivery,
    DeliveryOutcome,
    Envelope,
    JournalEntry,
    Lease,
    MessageId,
    OutboundClaim,
    OutboundId,
    Settled,
    Settlement,
    Storage,
    Transaction,
    Transport,
)
from mailbox_service.services.ports.openpgp import Pin, pins_for
from mailbox_service.services.processing import AUTO_REPLIED, Composition
from mailbox_service.services.processor import Processor
from mailbox_service.services.sealing import BATCH_MAILS as SEALED_MAILS
from mailbox_service.services.sealing import Sealing, ToSeal, source_of
from mailbox_service.services.signals import Bell, Pulse

log = structlog.get_logger()

BATCH_MAILS = 80
# What a batch may hold of attached messages; each becomes a third longer in base64.
ATTACHED_BYTES = 16_000_000
# While one lane waits for a server's replies the other composes.
LANES = 2
IDLE_SECONDS = 2.0
# No send may last longer than its lease: a second daemon would send the same mail.
LEASE = timedelta(minutes=10)
SEND_SECONDS = 240.0
LEASE_MARGIN = timedelta(seconds=SEND_SECONDS + 30)
# A batch is claimed and frozen, sent, and its last reply recorded.
STUCK_SECONDS = SEND_SECONDS + 120.0
MAX_UNKNOWN_OUTCOMES = 3
# As long as the lease lasts, since nobody else sends these mails before; at most 30 s apart.
SETTLE_TRIES = 20
LAST_WORDS_SECONDS = 3.0
# A commit costs as much as several sends. Replies that come within this time share one, where many are under way; a
# crash in between sends so many mails once more.
GATHER_SECONDS = 0.01
GATHER_FROM = 4
# The lease was about to end, or we were told to stop.
NOT_ATTEMPTED = Delivery(DeliveryOutcome.TEMPORARY, "not attempted")


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    max_per_hour: int = 2000
    first_retry: timedelta = timedelta(minutes=1)
    longest_retry: timedelta = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class _Result:
    claim: OutboundClaim
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Claimed:
    """Rows to attempt until the lease ends, and the inbound messages that travel along."""

    rows: Sequence[OutboundClaim]
    attachments: Mapping[OutboundId, bytes]
    lease_until: datetime
    pins: Mapping[tuple[str, CaseId | None], Sequence[Pin]] = field(default_factory=dict)
    more: bool = False  # some that are due may have been left


class Outbox:
    """Delivers what the services put into the outbox."""

    def __init__(
        self,
        storage: Storage,
        mailboxes: Mailboxes,
        processor: Processor,
        transports: Mapping[str, Transport],
        correspondence: Correspondence,
        timing: Timing,
        policy: SendingPolicy,
        *,
        mails_waiting: Bell,
        meter: Meter = NO_METER,
        sealing: Sealing | None = None,
    ) -> None:
        self._sealing = sealing
        self.pulses = tuple(Pulse(STUCK_SECONDS) for _ in range(LANES))
        self._meter = meter
        self._storage, self._mailboxes, self._processor = storage, mailboxes, processor
        self._transports, self._correspondence = transports, correspondence
        self._timing, self._policy = timing, policy
        self._waiting = mails_waiting
        self._stopped = asyncio.Event()
        self._one_looks = asyncio.Lock()
        self._more = True  # rows that are due may have been left by the last claim
        self._idle = False  # a lane waits for mails
        self._handed_over: deque[Claimed] = deque()

    async def run(self) -> None:
        """Deliver for ever, until `stop`."""
        async with asyncio.TaskGroup() as lanes:
            for number, pulse in enumerate(self.pulses):
                lanes.create_task(self._lane(pulse), name=f"outbox-{number}")

    def stop(self) -> None:
        """Claim nothing more; what is under way is finished."""
        self._stopped.set()
        self._waiting.ring()

    def send_along(self) -> Callable[[Transaction], Callable[[], None]] | None:
        """Where a lane has nothing to do: T4 and T5 of first answers, for whoever puts mails into the outbox to take as
        the last steps of that very transaction, which saves two. What they return is called after the commit, and has
        the answers sent; the other mails wait until these are out.
        """
        if not self._idle or self._handed_over or self._stopped.is_set():
            return None
        now, names = self._timing.clock(), self._served

        def answer_too(tx: Transaction) -> Callable[[], None]:
            claimed = self._frozen_at_once(tx, self._claimed(tx, now, names, AUTO_REPLIED), now)
            return lambda: self._hand_over(claimed)

        return answer_too

    def _frozen_at_once(self, tx: Transaction, claimed: Claimed, now: datetime) -> Claimed:
        """With the bytes of all that is composed without gpg; the rest is composed as ever."""
        composed, _ = self._processor.compose_at_once(self._plain(claimed.rows, claimed.attachments))
        ours = tx.freeze(composed, now) if composed else set()
        data = {row.id: octets for row, octets in composed if row.id in ours}
        return replace(claimed, rows=[replace(row, frozen=data.get(row.id, row.frozen)) for row in claimed.rows])

    def _hand_over(self, claimed: Claimed) -> None:
        if claimed.rows:
            self._handed_over.append(claimed)
        else:
            self._more = True
        self._waiting.ring()

    async def _lane(self, pulse: Pulse) -> None:
        while self._handed_over or not self._stopped.is_set():
            pulse.beat()
            try:
                async with self._one_looks:  # while the other sends
                    if not self._more and not self._handed_over and not self._stopped.is_set():
                        self._idle = True
                        await self._waiting.wait(IDLE_SECONDS)
                        self._idle = False
                    pulse.beat()
                    handed_over = bool(self._handed_over)
                    claimed = self._handed_over.popleft() if handed_over else await self._claim()
                if await self._deliver(claimed):
                    self._more = self._more or handed_over
                    self._waiting.ring()  # for what follows from a failure
            except TemporaryError as error:
                log.warning("outbox unavailable", error_type=type(error).__name__, reason=error)

    async def deliver_waiting(self) -> int:
        """One batch: T4 to T6. Returns the number of mails attempted."""
        return await self._deliver(await self._claim())

    async def _claim(self) -> Claimed:
        now, names = self._timing.clock(), self._served
        self._more = False
        claimed = await self._storage.transact(lambda tx: self._claimed(tx, now, names))
        self._more = claimed.more
        return claimed

    @property
    def _served(self) -> list[str]:
        return sorted(set(self._mailboxes) & set(self._transports))

    def _claimed(
        self, tx: Transaction, now: datetime, names: Sequence[str], kinds: Collection[str] | None = None
    ) -> Claimed:
        lease = Lease(self._storage.identity, now + LEASE)
        sealing = self._sealing
        claimed = claim(tx, now, lease, names, self._policy.max_per_hour, slowly=sealing is not None, kinds=kinds)
        wanted = [c for c in claimed.rows if c.frozen is None and sealing is not None and sealing.takes(c)]
        pins = {key: pins_for(tx, *key) for key in {(c.mailbox, c.case_id) for c in wanted}}
        return replace(claimed, pins=pins)

    async def _deliver(self, claimed: Claimed) -> int:
        if claimed.rows:
            ready = await self._freeze(claimed)
            await self._send_all(ready, claimed.lease_until)
        return len(claimed.rows)

    # --- T5 -----------------------------------------------------------------------------------------------

    async def _freeze(self, claimed: Claimed) -> list[tuple[OutboundClaim, bytes]]:
        claims = claimed.rows
        ready = [(c, c.frozen) for c in claims if c.frozen is not None]
        fresh = [c for c in claims if c.frozen is None]
        if not fresh:
            return ready
        composed, broken = await self._compose(fresh, claimed)
        if broken:
            await self._settle([_Result(c, Delivery(DeliveryOutcome.TEMPORARY, reason)) for c, reason in broken])
        now = self._timing.clock()
        ours = await self._storage.transact(lambda tx: tx.freeze(composed, now))
        return ready + [(c, data) for c, data in composed if c.id in ours]

    async def _compose(self, fresh: Sequence[OutboundClaim], claimed: Claimed) -> Composition:
        # What has no OpenPGP costs what it always did: no thread and no list of keys.
        sealing, raws = self._sealing, claimed.attachments
        to_seal = [
            ToSeal(c, raws.get(c.id), claimed.pins.get((c.mailbox, c.case_id), ()))
            for c in fresh
            if sealing is not None and sealing.takes(c)
        ]
        plain = self._plain(fresh, raws)
        composed, broken = await self._processor.compose(plain) if plain else ([], [])
        if sealing is not None and to_seal:
            more, failed = await sealing.compose(to_seal, self._timing.clock())
            composed, broken = composed + more, broken + failed
        return composed, broken

    def _plain(
        self, claims: Sequence[OutboundClaim], attachments: Mapping[OutboundId, bytes]
    ) -> list[tuple[OutboundClaim, bytes | None]]:
        """What is still to be composed and needs no gpg."""
        sealing = self._sealing
        return [
            (c, attachments.get(c.id) if c.attached_message else None)
            for c in claims
            if c.frozen is None and (sealing is None or not sealing.takes(c))
        ]

    # --- sending ------------------------------------------------------------------------------------------

    async def _send_all(self, ready: Sequence[tuple[OutboundClaim, bytes]], lease_until: datetime) -> None:
        if not ready:
            return
        results: asyncio.Queue[_Result | None] = asyncio.Queue()
        settler = asyncio.create_task(self._settle_as_they_come(results, len(ready)), name="settle")
        stopped: asyncio.CancelledError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for one, data in ready:
                    group.create_task(self._send(one, data, lease_until, results), name=f"send-{one.id}")
        except asyncio.CancelledError as error:
            stopped = error
        results.put_nowait(None)
        # A reply that arrived is recorded even when we are told to stop; but a database that is away must not keep
        # the process alive. `wait` leaves the settler alone when it is cancelled itself.
        await asyncio.wait({settler}, timeout=LAST_WORDS_SECONDS if stopped or self._stopped.is_set() else None)
        if settler.done():
            settler.result()
        else:
            log.error("deliveries not recorded in time; they may go out once more", count=len(ready))
        if stopped:
            raise stopped

    async def _send(
        self, one: OutboundClaim, data: bytes, lease_until: datetime, results: asyncio.Queue[_Result | None]
    ) -> None:
        mailbox = self._mailboxes[one.mailbox]
        envelope = Envelope(self._correspondence.envelope_from(mailbox, one), one.recipient)
        delivery = NOT_ATTEMPTED
        begun = asyncio.get_running_loop().time()
        try:
            if self._timing.clock() + LEASE_MARGIN < lease_until and not self._stopped.is_set():
                async with asyncio.timeout(SEND_SECONDS):
                    delivery = await self._transports[one.mailbox].send(envelope, data)
        except TimeoutError:
            delivery = Delivery(DeliveryOutcome.UNKNOWN, "no answer in time")
        except Exception as error:  # a transport never raises; should it, the outcome is unknown
            log.error("transport failed", outbound_id=int(one.id), error_type=type(error).__name__)
            delivery = Delivery(DeliveryOutcome.UNKNOWN, type(error).__name__)
        except asyncio.CancelledError:
            results.put_nowait(_Result(one, Delivery(DeliveryOutcome.UNKNOWN, "stopped while sending")))
            raise
        if delivery is not NOT_ATTEMPTED:
            self._meter.time(SENDING, asyncio.get_running_loop().time() - begun, one.mailbox)
        results.put_nowait(_Result(one, delivery))

    async def _settle_as_they_come(self, results: asyncio.Queue[_Result | None], expected: int) -> None:
        """One commit for what arrives within moments; the fewer are under way, the less is there to wait for."""
        ended = False
        while not ended:
            waiting = [await results.get()]
            if expected > GATHER_FROM:
                await asyncio.sleep(GATHER_SECONDS)
            while not results.empty():
                waiting.append(results.get_nowait())
            ended = None in waiting
            if batch := [result for result in waiting if result is not None]:
                expected -= len(batch)
                await self._settle_each(batch)

    async def _settle_each(self, batch: Sequence[_Result]) -> None:
        """Settle together; should one row break that, each alone: what is sent and not recorded is sent again."""
        try:
            await self._settle(batch)
        except Exception as error:
            log.error("settling failed", count=len(batch), error_type=type(error).__name__)
            for one in batch if len(batch) > 1 else ():
                await self._settle_each([one])

    # --- T6 -----------------------------------------------------------------------------------------------

    async def _settle(self, batch: Sequence[_Result]) -> None:
        now = self._timing.clock()
        rows = [self._settled(result, now) for result in batch]
        for attempt in range(1, SETTLE_TRIES + 1):
            for pulse in self.pulses:  # to insist is to go on
                pulse.beat()
            try:
                ours = await self._storage.transact(
                    lambda tx: settle(tx, rows, batch, self._mailboxes, self._correspondence, now)
                )
                break
            except TemporaryError as error:
                # The mail is out and the database away: insist, because forgetting means sending it twice.
                log.error("cannot record deliveries", count=len(rows), attempt=attempt, reason=error)
                await self._pause(min(2.0**attempt, 30.0))
        else:
            return
        self._count(rows, batch, ours, now)
        for row, result in zip(rows, batch, strict=True):
            event = log.info if row.settlement is Settlement.SENT else log.warning
            event(
                "mail attempted",
                outbound_id=int(row.claim.id),
                kind=row.claim.kind,
                state=row.settlement.value,
                outcome=result.delivery.outcome.value,
                attempt=row.claim.attempt,
                case=row.claim.case_ref or "",
                count=len(ours),
            )

    def _count(
        self, rows: Sequence[Settled], batch: Sequence[_Result], ours: Collection[OutboundId], now: datetime
    ) -> None:
        if lost := len(rows) - len(ours):
            self._meter.count(LEASES_LOST, "mail", by=lost)
        for row, result in zip(rows, batch, strict=True):
            one = row.claim
            if result.delivery != NOT_ATTEMPTED:
                self._meter.count(DELIVERIES, one.mailbox, one.kind, result.delivery.outcome.value)
            if one.kind in AUTO_REPLIED and row.settlement is Settlement.SENT and one.about_received_at is not None:
                self._meter.time(ACKNOWLEDGING, (now - one.about_received_at).total_seconds(), one.mailbox)

    async def _pause(self, seconds: float) -> None:
        # A shutdown must not wait for a database that is away: then all tries follow one another quickly.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def _settled(self, result: _Result, now: datetime) -> Settled:
        one, delivery = result.claim, result.delivery
        unknown = delivery.outcome is DeliveryOutcome.UNKNOWN
        if delivery.outcome is DeliveryOutcome.SENT:
            return Settled(one, Settlement.SENT, delivery.reply, now)
        if delivery.outcome in (DeliveryOutcome.PERMANENT, DeliveryOutcome.TOO_LARGE):
            return Settled(one, Settlement.FAILED, delivery.reply, now)
        if delivery == NOT_ATTEMPTED:
            return Settled(one, Settlement.RETRY, delivery.reply, now)
        due = now + backoff(one.attempt, self._policy.first_retry, self._policy.longest_retry, self._timing.jitter())
        if unknown and one.unknown_outcomes + 1 >= MAX_UNKNOWN_OUTCOMES:
            return Settled(one, Settlement.FAILED, f"outcome unknown three times; {delivery.reply}", now, unknown)
        if due >= one.expires_at:
            return Settled(one, Settlement.FAILED, f"given up; {delivery.reply}", now, unknown)
        return Settled(one, Settlement.RETRY, delivery.reply, due, unknown)


def claim(
    tx: Transaction,
    now: datetime,
    lease: Lease,
    mailboxes: Sequence[str],
    max_per_hour: int,
    *,
    slowly: bool = False,
    kinds: Collection[str] | None = None,
) -> Claimed:
    """T4: the rows to attempt now (only of these `kinds`), within the hour's cap, and the messages that travel along.

    `slowly`: mails are composed by gpg. Then they are few, and first answers go without the others.
    """
    if tx.outbox_paused():
        return Claimed([], {}, lease.until)
    key: Key = ("outbox/sent", hour_of(now))
    room = max_per_hour - tx.budgets([key]).get(key, 0)
    if room <= 0:
        return Claimed([], {}, lease.until)
    # What is claimed along with other work is composed there and then.
    most = SEALED_MAILS if slowly or kinds is not None else BATCH_MAILS
    claims = tx.claim_outbound(min(most, room), now, lease, mailboxes, kinds)
    more = len(claims) == most
    answers = [one for one in claims if one.kind in AUTO_REPLIED]
    if slowly and answers and len(answers) < len(claims):
        tx.unclaim_outbound([one for one in claims if one.kind not in AUTO_REPLIED])
        claims, more = answers, True
    if claims:
        tx.spend({key: len(claims)})
    rows, attachments = _with_attachments(tx, claims)
    return Claimed(rows, attachments, lease.until, more=more or len(rows) < len(claims))


def _with_attachments(
    tx: Transaction, claims: Sequence[OutboundClaim]
) -> tuple[list[OutboundClaim], dict[OutboundId, bytes]]:
    """The messages that travel along, each read once; rows beyond ATTACHED_BYTES are given back for the next batch."""
    read: dict[MessageId, bytes] = {}
    attachments: dict[OutboundId, bytes] = {}
    taken, left, total = [], [], 0
    for one in claims:
        wanted = one.attached_message or source_of(one)
        if one.frozen is None and wanted is not None:
            if total >= ATTACHED_BYTES:
                left.append(one)
                continue
            if wanted not in read:
                read[wanted] = tx.raw(wanted)
            attachments[one.id] = read[wanted]
            total += len(attachments[one.id])
        taken.append(one)
    tx.unclaim_outbound(left)
    return taken, attachments


def settle(
    tx: Transaction,
    rows: Sequence[Settled],
    batch: Sequence[_Result],
    mailboxes: Mailboxes,
    correspondence: Correspondence,
    now: datetime,
) -> set[OutboundId]:
    """T6: what became of each row; a failure is an event of its case and the maintainers hear of it."""
    ours = tx.settle(rows, now)
    journal, mails, collected = [], [], []
    failing = sorted({row.claim.mailbox for row in rows if row.settlement is Settlement.FAILED})
    budget = AnswerBudget(tx.budgets([failures_key(name, now) for name in failing]))
    for row, result in zip(rows, batch, strict=True):
        if row.claim.id not in ours:
            continue
        mailbox: Mailbox = mailboxes[row.claim.mailbox]
        if row.unknown:
            journal += _event(row, Event.DELIVERY_UNKNOWN)
        if row.settlement is not Settlement.FAILED:
            continue
        journal += _event(row, Event.DELIVERY_FAILED)
        # What a reporter was to get with files, people must send another way.
        whole = row.claim.attached_message is not None and row.claim.role == "maintainer"
        if result.delivery.outcome is DeliveryOutcome.TOO_LARGE and whole:
            mails.append(correspondence.without_attachment(mailbox, row.claim))
        elif row.claim.kind not in UNMOURNED:
            # Forged senders by the hundred, whose servers refuse our answers, must not become as many notices.
            if budget.count(failures_key(mailbox.name, now)) > mailbox.notices.collect_above_per_hour:
                collected.append(_undelivered(row))
            else:
                mails += correspondence.failure(mailbox, row.claim, row.reply)
    tx.add_journal(journal, now)
    tx.add_mails(mails, now, now + correspondence.lifetime)
    tx.add_collected(collected, now)
    tx.spend(budget.spent)
    return ours


def _undelivered(row: Settled) -> CollectedItem:
    return CollectedItem(
        mailbox=row.claim.mailbox,
        channel="digest",
        section="undelivered",
        line=f"our {row.claim.kind} could not be delivered: {clean(row.reply, 120)}",
        message_id=row.claim.about_message,
        case_id=row.claim.case_id,
    )


def _event(row: Settled, event: Event) -> list[JournalEntry]:
    if row.claim.case_id is None:
        return []
    data: dict[str, object] = {"mail": int(row.claim.id), "kind": row.claim.kind, "reply": row.reply}
    return [JournalEntry(row.claim.case_id, event, "outbox", data)]
