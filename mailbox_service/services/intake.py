"""A message's way in: stored (T1), claimed (T2), understood, concluded (T3).

`accept` stores and hands the batch straight to the worker, which has it in memory; what a dead worker left behind
comes back through `claim_messages`. Either way the lease decides who may finish a message.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from mailbox_service.core.budget import AnswerBudget, hour_of, new_cases_key
from mailbox_service.core.routing import EXHAUSTED, Disposition
from mailbox_service.core.schedule import backoff
from mailbox_service.core.tokens import may_be_ours
from mailbox_service.errors import MailboxServiceError, TemporaryError
from mailbox_service.services.authentication import authenticate_answer
from mailbox_service.services.conclusion import Concluded, conclude
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.mailboxes import Mailboxes
from mailbox_service.services.metering import (
    BATCHES_FAILED,
    LEASES_LOST,
    NO_METER,
    STORED,
    WORK_FAILED,
    WORKED,
    WORKING,
    Meter,
)
from mailbox_service.services.opener import Opener, Sealed
from mailbox_service.services.ports import (
    Authenticator,
    Claim,
    Clock,
    CollectedItem,
    Finished,
    FolderId,
    FolderState,
    Lease,
    Mark,
    MarkJob,
    MarkResult,
    NewMessage,
    RawMessage,
    SourceKind,
    Storage,
    Transaction,
)
from mailbox_service.services.ports.openpgp import OpenPgp
from mailbox_service.services.processing import Loaded
from mailbox_service.services.processor import Processor
from mailbox_service.services.signals import Bell, Pulse
from mailbox_service.services.triage import OpenCases
from mailbox_service.services.understanding import Understood, authenticated

log = structlog.get_logger()

BATCH_MESSAGES = 80
# A batch in work and one that waits: enough to overlap, little enough to hold in memory.
HANDED_OVER_BATCHES = 1
# What of one batch is held in memory at once; a larger message makes a batch of its own.
BATCH_BYTES = 2_000_000
# A thread is not worth its start for so little: a fifth of a millisecond's work.
DIGESTED_AT_ONCE_BYTES = 100_000
# What is understood, or about to be, waits while the batch before it is concluded.
UNDERSTOOD_BATCHES = 1
# What is for gpg waits beside the rest, in portions, so that nothing else waits for gpg, until there are too many.
SEALED_MESSAGES, SEALED_PORTIONS = 8, 25
# The mails of so few are claimed in the transaction that makes them.
SENT_ALONG_MESSAGES = 4
MAX_ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=10)
# Far above what any step may take: 1 s of CPU for a message, and a minute until a server that vanished is noticed.
STUCK_SECONDS = 180.0
# How often a worker looks for what a dead one left behind.
RECOVERY_SECONDS = 5.0
# The folders of a new mailbox are opened within moments of each other.
FIRST_RUN = timedelta(seconds=60)


# `Outbox.send_along`.
SendAlong = Callable[[], Callable[[Transaction], Callable[[], None]] | None]


class Digest:
    """What a message is known by: SHA-256 of its bytes, piece by piece."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        self._digest.update(piece)

    def hexdigest(self, full_size_bytes: int | None = None) -> str:
        """`full_size_bytes`: when the pieces were only the header of a message too large to fetch."""
        digest = self._digest.copy()
        if full_size_bytes is not None:
            # The size tells two large messages with one header apart.
            digest.update(f"\0{full_size_bytes}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Timing:
    clock: Clock
    jitter: Callable[[], float]  # in [0, 1)
    lease: timedelta = timedelta(minutes=2)


class Intake:
    """Takes messages in and works them off. Implements ports.IntakeDoor."""

    def __init__(
        self,
        storage: Storage,
        mailboxes: Mailboxes,
        processor: Processor,
        correspondence: Correspondence,
        timing: Timing,
        *,
        mails_waiting: Bell,
        send_along: SendAlong = lambda: None,
        meter: Meter = NO_METER,
        authenticator: Authenticator | None = None,
        doors: Mapping[str, OpenPgp] | None = None,
        threads: Executor | None = None,
    ) -> None:
        """`doors`: the OpenPGP of mailboxes that have keys; gpg is waited for in `threads`, or in the loop's own."""
        self._authenticator = authenticator
        self.pulse = Pulse(STUCK_SECONDS)
        self._doors: Mapping[str, OpenPgp] = doors or {}
        self._opener = Opener(storage, mailboxes, self._doors, self.pulse.beat, threads) if doors else None
        self._meter = meter
        self._storage, self._mailboxes, self._processor = storage, mailboxes, processor
        self._correspondence, self._timing = correspondence, timing
        self._recovery_at = 0.0  # of the event loop's clock
        self._first_contacts: dict[str, datetime] = {}  # of mailboxes that this very process met first
        self._handed_over: asyncio.Queue[list[Claim]] = asyncio.Queue()
        self._room = asyncio.Semaphore(HANDED_OVER_BATCHES)  # of that queue: taken before T1 or after it
        self._restored: set[str] = set()  # mailboxes whose folders come from a backup
        self._understood: asyncio.Queue[asyncio.Task[list[Understood]]] = asyncio.Queue(UNDERSTOOD_BATCHES)
        self._sealed: asyncio.Queue[Sealed] = asyncio.Queue(SEALED_PORTIONS)
        self._running = False
        self._mails_waiting, self._send_along = mails_waiting, send_along
        self._marks_waiting = {name: Bell() for name in mailboxes}
        self._recovering = asyncio.Lock()
        self._open_cases = OpenCases()
        self._crowded: dict[str, datetime] = {}  # mailboxes with many new cases, and the hour that has them

    # --- the door that sources of mail see ----------------------------------------------------------------

    async def open_folder(self, mailbox: str, name: str, uidvalidity: int, uidnext: int, *, junk: bool) -> FolderState:
        now = self._timing.clock()
        met = self._first_contacts.get(mailbox)
        first_run = met is not None and now - met < FIRST_RUN
        state = await self._storage.transact(
            lambda tx: tx.open_folder(mailbox, name, uidvalidity, uidnext, junk, first_run, now)
        )
        if state.first_contact_at == now:
            self._first_contacts[mailbox] = now
        if state.restored_at is not None:
            self._restored.add(mailbox)
        return state

    async def missing_uids(self, folder: FolderId, uids: Sequence[int]) -> list[int]:
        return await self._storage.transact(lambda tx: tx.missing_uids(folder, uids))

    async def accept(self, batch: Sequence[RawMessage]) -> None:
        claims = await self.store(batch)
        if claims:
            await self._room.acquire()
            self._handed_over.put_nowait(claims)
        elif batch:
            self._ring_for_marks()  # copies of what is known still have to be flagged

    async def take(self, batch: Sequence[RawMessage]) -> None:
        """`accept` without back-pressure: what the worker has no room for, it finds on file later."""
        large = sum(len(raw.data) for raw in batch) > BATCH_BYTES
        if self._room.locked() or (large and not self._handed_over.empty()):
            await self.store(batch, claim=False)
            self._recovery_at = 0.0
            return
        await self._room.acquire()  # at once, since there is room
        claims: list[Claim] = []
        try:
            claims = await self.store(batch)
        finally:
            if claims:
                self._handed_over.put_nowait(claims)
            else:
                self._room.release()

    async def store(self, batch: Sequence[RawMessage], *, claim: bool = True) -> list[Claim]:
        """T1 alone. Returns claims on the messages that are new; the caller works them or lets the lease lapse.

        Without `claim` these are void: the messages wait for whoever looks for work first.
        """
        if not batch:
            return []
        answerable = [self._answerable(raw) for raw in batch]
        small = sum(len(raw.data) for raw in batch) <= DIGESTED_AT_ONCE_BYTES
        items = _digested(answerable) if small else await asyncio.to_thread(_digested, answerable)
        now = self._timing.clock()
        claims = await self._storage.transact(lambda tx: tx.store(items, now, self._lease() if claim else None))
        for (mailbox, source), count in Counter((c.mailbox, c.source.value) for c in claims).items():
            self._meter.count(STORED, mailbox, source, by=count)
        log.debug("stored", count=len(claims), mailbox=batch[0].origin.mailbox)
        return claims

    def _answerable(self, raw: RawMessage) -> RawMessage:
        # The key speaks of what lay in the mailbox at the first contact; an import says by itself whether it is
        # answered, and what a restored database does not know may have been answered before.
        name = raw.origin.mailbox
        backlog = raw.origin.kind is SourceKind.IMAP and name not in self._restored
        if raw.origin.quiet and backlog and self._mailboxes[name].answer_backlog:
            return replace(raw, origin=replace(raw.origin, quiet=False))
        return raw

    async def caught_up(self, folder: FolderId) -> None:
        now = self._timing.clock()
        await self._storage.transact(lambda tx: tx.folder_caught_up(folder, now))
        self._ring_for_marks()  # what a former run left to mark can be marked now that the folder is open

    async def has_mark_jobs(self, folder: FolderId) -> bool:
        now = self._timing.clock()
        return await self._storage.transact(lambda tx: tx.has_mark_jobs(folder, now))

    async def mark_jobs(self, folder: FolderId, limit: int) -> list[MarkJob]:
        now = self._timing.clock()
        return await self._storage.transact(lambda tx: tx.mark_jobs(folder, limit, now, self._lease()))

    def in_time(self, jobs: Sequence[MarkJob]) -> bool:
        return self._timing.clock() < min(job.until for job in jobs)

    async def marked(self, results: Sequence[tuple[MarkJob, MarkResult]]) -> None:
        now = self._timing.clock()
        rows = [
            (
                job,
                result,
                now
                if result is not MarkResult.RETRY
                else now + backoff(job.attempts + 1, FIRST_RETRY, LONGEST_RETRY, self._timing.jitter()),
            )
            for job, result in results
        ]
        await self._storage.transact(lambda tx: tx.marked(rows))

    async def marks_waiting(self, mailbox: str) -> None:
        await self._marks_waiting[mailbox].wait()

    def _ring_for_marks(self) -> None:
        for bell in self._marks_waiting.values():
            bell.ring()

    # --- the worker ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work for ever: what is handed over at once, what is left behind every few seconds.

        While one batch is concluded the next is understood.
        """
        while not self._understood.empty():  # of a run that failed; the leases lapse, and the work is done again
            self._understood.get_nowait()
            self._handed_over.task_done()
        while not self._sealed.empty():
            self._sealed.get_nowait()
            self._sealed.task_done()
        if self._opener is not None:
            self._opener.forget()
        self._running = True
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._understand_what_comes(stages), name="understand")
                stages.create_task(self._conclude_what_is_understood(), name="conclude")
                stages.create_task(self._conclude_what_is_sealed(), name="open")
        finally:
            self._running = False

    async def _understand_what_comes(self, stages: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.pulse.beat()
            if loop.time() >= self._recovery_at:
                self._recovery_at = loop.time() + RECOVERY_SECONDS
                await self._recover()
            try:
                async with asyncio.timeout_at(self._recovery_at):
                    claims = await self._handed_over.get()
            except TimeoutError:
                continue
            self._room.release()
            # Begun before the one before it has ended, so that a process that does it need not wait for us in between.
            understanding = stages.create_task(self._understand(claims), name="understand a batch")
            try:
                await self._understood.put(understanding)
            except asyncio.CancelledError:
                self._handed_over.task_done()
                raise

    async def _conclude_what_is_understood(self) -> None:
        while True:
            understanding = await self._understood.get()
            try:
                await self._conclude_apart(await understanding)
            finally:
                self._handed_over.task_done()

    async def _conclude_what_is_sealed(self) -> None:
        while True:
            portion = await self._sealed.get()
            try:
                await self._conclude_batch(await self._opened(portion))
            finally:
                self._sealed.task_done()

    async def _conclude_apart(self, understood: list[Understood]) -> None:
        """What gpg has to look at before waits beside the rest, while somebody is there to take it up."""
        clear, sealed = self._opener.apart(understood, SEALED_MESSAGES) if self._opener else (understood, [])
        await self._conclude_batch(clear)
        for portion in sealed:
            if self._running:
                await self._sealed.put(portion)
            else:
                await self._conclude_batch(await self._opened(portion))

    async def drained(self) -> None:
        """Returns when all that was handed over or picked up has been worked."""
        await self._handed_over.join()
        # What a dead worker left behind is in work too: ended now, it would stay claimed until its lease lapses.
        async with self._recovering:
            pass
        await self._sealed.join()

    async def _recover(self) -> None:
        try:
            async with self._recovering:
                # What was handed over is worked in between: it is in memory, and its lease runs.
                await self.work_off(until=lambda: not self._handed_over.empty())
                if not self._handed_over.empty():
                    self._recovery_at = 0.0
        except TemporaryError as error:
            log.warning("cannot look for work", error_type=type(error).__name__, reason=error)

    async def work_off(self, until: Callable[[], bool] = lambda: False) -> int:
        """Work everything that waits and is due, or a batch at least and then `until`. Returns how many messages."""
        worked = 0
        while True:
            self.pulse.beat()
            await self._hold_exhausted()
            claims = await self._claim()
            if not claims:
                return worked
            for portion in _portions(claims):
                self.pulse.beat()
                await self.work(portion)
            worked += len(claims)
            if until():
                return worked

    async def _claim(self) -> list[Claim]:
        now, lease, names = self._timing.clock(), self._lease(), sorted(self._mailboxes)
        return await self._storage.transact(lambda tx: tx.claim_messages(BATCH_MESSAGES, now, lease, names))

    async def work(self, claims: Sequence[Claim]) -> None:
        """Understand and conclude a batch."""
        await self._conclude_apart(await self._understand(claims))

    async def _conclude_batch(self, understood: list[Understood]) -> None:
        """One bad message never fails its batch: then each goes alone."""
        if not understood:
            return
        try:
            await self._conclude(understood)
        except Exception as error:  # the worker's loop top: count, log, reschedule
            self._meter.count(BATCHES_FAILED)
            log.warning("batch failed", count=len(understood), error_type=type(error).__name__)
            for one in understood:
                await self._conclude_alone(one)
        self._ring_for_marks()
        self._mails_waiting.ring()

    async def _understand(self, claims: Sequence[Claim]) -> list[Understood]:
        claims = [claim for claim in claims if claim.mailbox in self._mailboxes]
        try:
            loaded = await self._load(claims)
        except MailboxServiceError as error:
            for claim in claims:
                await self._failed(claim, type(error).__name__)
            return []
        understood, failed = await self._processor.understand(loaded)
        for claim, error_type in failed:
            await self._failed(claim, error_type)
        return await self._proven(understood, loaded)

    async def _opened(self, portion: Sealed) -> list[Understood]:
        """What is encrypted or signed is shown to gpg."""
        if self._opener is None:  # nothing was set apart
            return list(portion.understood)
        try:
            opened, failed = await self._opener.opened(portion)
        except MailboxServiceError as error:
            opened, failed = [], [(u.claim, type(error).__name__) for u in portion.understood]
        for claim, error_type in failed:
            await self._failed(claim, error_type)
        return opened

    async def _proven(self, understood: list[Understood], loaded: Sequence[Loaded]) -> list[Understood]:
        """Who wrote an answer to a mail of ours is worth a question to the DNS; who wrote anything else is not."""
        authenticator = self._authenticator
        answers = [u for u in understood if authenticator is not None and _may_be_an_answer(u, self._mailboxes)]
        if not answers or authenticator is None:
            return understood
        raw = {claim.id: data for claim, data in loaded}
        found = await asyncio.gather(
            *(
                authenticate_answer(self._mailboxes[u.claim.mailbox], u.message, raw[u.claim.id], authenticator)
                for u in answers
            )
        )
        proven = {u.claim.id: authenticated(u, result) for u, result in zip(answers, found, strict=True)}
        return [proven.get(u.claim.id, u) for u in understood]

    async def _load(self, claims: Sequence[Claim]) -> list[Loaded]:
        absent = [c.id for c in claims if c.data is None]
        read = await self._storage.transact(lambda tx: {id_: tx.raw(id_) for id_ in absent}) if absent else {}
        hour = hour_of(self._timing.clock())
        # Without its data a claim is small, wherever it is sent and however long it is kept.
        return [
            (
                replace(c, data=None, hints=self._crowded.get(c.mailbox) != hour),
                read[c.id] if c.data is None else c.data,
            )
            for c in claims
        ]

    async def _conclude_alone(self, one: Understood) -> None:
        self.pulse.beat()
        try:
            await self._conclude([one])
        except Exception as error:  # the worker's loop top: count, log, reschedule
            await self._failed(one.claim, type(error).__name__)

    async def _conclude(self, batch: list[Understood]) -> None:
        now = self._timing.clock()
        # In a backlog the outbox has a batch of its own to claim; alone, a mail need not wait for another commit.
        claim_too = self._send_along() if len(batch) <= SENT_ALONG_MESSAGES else None

        def work(tx: Transaction) -> tuple[Concluded, Callable[[], None] | None]:
            concluded = conclude(tx, batch, self._mailboxes, self._correspondence, now, self._open_cases, self._doors)
            return concluded, claim_too(tx) if claim_too is not None else None

        concluded, send = await self._storage.transact(work)
        if send is not None:
            send()
        if concluded.more:
            self._recovery_at = 0.0
        # Nobody reads hints on what is told of in one list; in a flood they would cost a third of all work.
        self._crowded |= dict.fromkeys(concluded.crowded, hour_of(now))
        if concluded.lost:
            self._meter.count(LEASES_LOST, "message", by=concluded.lost)
            log.warning("lease lost", count=concluded.lost)
        self._count(batch, concluded, now)
        for name in concluded.unheard:
            log.error("a notice came back from every maintainer", mailbox=name)
        for message, disposition, case in concluded.dispositions:
            log.info("message worked", inbound_id=int(message), disposition=disposition.value, case=case)

    def _count(self, batch: Sequence[Understood], concluded: Concluded, now: datetime) -> None:
        claims = {understood.claim.id: understood.claim for understood in batch}
        worked = [(claims[id_], disposition.value) for id_, disposition, _ in concluded.dispositions]
        for (mailbox, disposition), count in Counter((c.mailbox, d) for c, d in worked).items():
            self._meter.count(WORKED, mailbox, disposition, by=count)
        for claim, _ in worked:
            if not claim.quiet:  # what lay there before we came has no speed
                self._meter.time(WORKING, (now - claim.received_at).total_seconds(), claim.mailbox)

    async def _failed(self, claim: Claim, error_type: str) -> None:
        self.pulse.beat()
        self._meter.count(WORK_FAILED, claim.mailbox)
        log.error("message failed", inbound_id=int(claim.id), attempt=claim.attempt, error_type=error_type)
        due = self._timing.clock() + backoff(claim.attempt, FIRST_RETRY, LONGEST_RETRY, self._timing.jitter())
        try:
            await self._storage.transact(lambda tx: tx.return_message(claim, due))
        except TemporaryError as unavailable:
            # The lease lapses by itself; nothing is lost by waiting for it.
            log.warning("cannot reschedule", inbound_id=int(claim.id), reason=unavailable)

    async def _hold_exhausted(self) -> None:
        now = self._timing.clock()
        held = await self._storage.transact(lambda tx: hold_exhausted(tx, self._mailboxes, self._correspondence, now))
        for claim in held:
            log.error("message held", inbound_id=int(claim.id), attempt=claim.attempt)
        if held:
            self._ring_for_marks()
            self._mails_waiting.ring()

    def _lease(self) -> Lease:
        # Called inside transactions only: to learn its identity the storage may have to ask the database.
        return Lease(self._storage.identity, self._timing.clock() + self._timing.lease)


def hold_exhausted(tx: Transaction, mailboxes: Mailboxes, correspondence: Correspondence, now: datetime) -> list[Claim]:
    """Messages that used up their attempts are kept for a person, and the maintainers are told."""
    claims = tx.exhausted_messages(MAX_ATTEMPTS, now, sorted(mailboxes))
    tx.finish([Finished(c, True, Disposition.HOLD, Mark.HELD, EXHAUSTED, case_id=c.case_id) for c in claims], now)
    budget = AnswerBudget(tx.budgets(sorted({new_cases_key(c.mailbox, now) for c in claims})))
    mails, collected = [], []
    for c in claims:
        # Whoever finds mail that we cannot work may send a thousand of it.
        if budget.count(new_cases_key(c.mailbox, now)) > mailboxes[c.mailbox].notices.collect_above_per_hour:
            collected.append(CollectedItem(c.mailbox, "digest", Disposition.HOLD, EXHAUSTED, message_id=c.id))
        else:
            mails += correspondence.held(mailboxes[c.mailbox], c, EXHAUSTED)
    tx.add_mails(mails, now, now + correspondence.lifetime)
    tx.add_collected(collected, now)
    tx.spend(budget.spent)
    return claims


def _may_be_an_answer(understood: Understood, mailboxes: Mailboxes) -> bool:
    mailbox = mailboxes[understood.claim.mailbox]
    by_ourselves = mailbox.authserv_id is None and mailbox.dkim
    ours = understood.reply_tokens or any(may_be_ours(name, mailbox.domain) for name in understood.names)
    return by_ourselves and bool(ours)


def _portions(claims: Sequence[Claim]) -> Iterator[list[Claim]]:
    """The claims in order, cut so that the messages of one portion fit into memory."""
    portion: list[Claim] = []
    size_bytes = 0
    for claim in claims:
        if portion and size_bytes + claim.size_bytes > BATCH_BYTES:
            yield portion
            portion, size_bytes = [], 0
        portion.append(claim)
        size_bytes += claim.size_bytes
    if portion:
        yield portion


def _digested(batch: Sequence[RawMessage]) -> list[NewMessage]:
    return [NewMessage(raw, digest_of(raw)) for raw in batch]


def digest_of(raw: RawMessage) -> str:
    """What one message of a mailbox is known by, wherever it lies (docs/decisions/004)."""
    digest = Digest()
    digest.update(raw.data)
    return digest.hexdigest(raw.full_size_bytes)
