"""From UIDs to raw messages: sizes first, then bodies in bounded batches; one bad message never holds up the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from mailbox_service.adapters.imap.session import Facts, Refusal, Session
from mailbox_service.adapters.imap.settings import MIB, Deadlines

log = structlog.get_logger()

T = TypeVar("T")

# Measured: 50 messages a FETCH are more than twice as fast as one, more gain little there; a transaction for more is
# cheaper. Memory grows with bytes, not with messages.
BATCH_MESSAGES = 80
BATCH_BYTES = 2 * MIB

# A message above this is fetched in parts, so that no single answer is huge.
WHOLE_BYTES = 8 * MIB
PART_BYTES = 1 * MIB

# More header than this serves nobody; it is what is kept of a message too large to fetch.
HEADER_BYTES = 256 * 1024

# UIDs a FETCH for sizes names.
FACTS_MESSAGES = 160

# After so many failures a person is told.
ALARM_FAILURES = 5


@dataclass(slots=True)
class Unread:
    """The messages of one folder that the server did not hand out, and when they are tried again.

    Outlives connections: a message whose FETCH ends the connection must not be asked for in company again.
    """

    deadlines: Deadlines
    failures: dict[int, int] = field(default_factory=dict)
    retry_at: dict[int, float] = field(default_factory=dict)  # monotonic
    alone: set[int] = field(default_factory=set)  # were in a batch that ended the connection
    in_parts: set[int] = field(default_factory=set)  # sent more than they announced

    def failed(self, uid: int, now: float) -> None:
        """Count a failure; the first one is retried with the next pass, later ones after doubling pauses."""
        count = self.failures[uid] = self.failures.get(uid, 0) + 1
        pause = min(self.deadlines.unread_first * 2 ** min(count - 2, 30), self.deadlines.unread_limit)
        self.retry_at[uid] = now + (pause if count > 1 else 0.0)
        self.alone.add(uid)
        if count >= ALARM_FAILURES:
            log.error("imap message cannot be fetched", uid=uid, attempt=count)
        else:
            log.info("imap message was not handed out", uid=uid, attempt=count)

    def succeeded(self, uids: Sequence[int]) -> None:
        if self.failures or self.alone:
            for uid in uids:
                self.failures.pop(uid, None)
                self.retry_at.pop(uid, None)
                self.alone.discard(uid)
                self.in_parts.discard(uid)

    def blame(self, uids: Sequence[int], now: float, *, oversized: bool) -> None:
        """The connection ended while `uids` were fetched: together they are suspects, one alone has failed."""
        if len(uids) == 1:
            if oversized:
                self.in_parts.add(uids[0])
            self.failed(uids[0], now)
        else:
            self.alone.update(uids)

    def forget_all_but(self, uids: set[int]) -> None:
        """Only `uids` are still on the server and not on file."""
        for uid in [uid for uid in self.failures if uid not in uids]:
            del self.failures[uid]
            self.retry_at.pop(uid, None)
        self.alone &= uids
        self.in_parts &= uids

    def waiting(self, now: float) -> set[int]:
        return {uid for uid, at in self.retry_at.items() if at > now}

    def due(self, now: float) -> list[int]:
        return sorted(uid for uid, at in self.retry_at.items() if at <= now)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One message as the server gave it. `full_size_bytes` is set when `data` is only the header."""

    uid: int
    data: bytes
    facts: Facts
    full_size_bytes: int | None = None


class Fetcher:
    """Takes the newest of `backlog` (ascending UIDs) batch by batch over one session."""

    def __init__(
        self,
        session: Session,
        backlog: list[int],
        unread: Unread,
        max_message_size_bytes: int,
        monotonic: Callable[[], float],
        before_large: Callable[[], Awaitable[None]],
        facts: Mapping[int, Facts] | None = None,  # what is known already
        bodies: Mapping[int, bytes] | None = None,  # ... and what has come already, whole
    ) -> None:
        self._session = session
        self._unread = unread
        self._max_size_bytes = max_message_size_bytes
        self._monotonic = monotonic
        self._before_large = before_large  # waits until no other message is held in memory
        self._facts: dict[int, Facts] = dict(facts or {})
        self._come: dict[int, bytes] = dict(bodies or {})
        suspects = [uid for uid in backlog if uid in unread.alone]
        self._backlog = suspects + [uid for uid in backlog if uid not in unread.alone]
        self.in_flight: list[int] = []  # what the running FETCH asks for

    def __len__(self) -> int:
        return len(self._backlog)

    def add(self, uids: Sequence[int]) -> None:
        """Mail that came in the meantime is taken next."""
        self._backlog.extend(uids)

    def _large(self, uid: int) -> bool:
        return self._facts[uid].size_bytes > min(WHOLE_BYTES, self._max_size_bytes) or uid in self._unread.in_parts

    async def next_batch(self) -> list[Fetched]:
        """The next messages, ascending; fewer than asked for, or none, where the server does not hand them out.

        Raises: ConnectionLost (with `in_flight` telling which messages were being fetched).
        """
        batch = await self._choose()
        if not batch:
            return []
        if self._large(batch[0]):
            await self._before_large()
            fetched = await self._in_parts(batch[0])
        else:
            bodies = {uid: self._come.pop(uid) for uid in batch if uid in self._come}
            if left := [uid for uid in batch if uid not in bodies]:
                bodies |= await self._by_halves(left, self._bodies)
            fetched = [await self._judged(uid, data) for uid, data in sorted(bodies.items())]
        self._unread.succeeded([message.uid for message in fetched])
        got = {message.uid for message in fetched}
        for uid in batch:
            self._facts.pop(uid, None)
            if uid not in got:
                self._unread.failed(uid, self._monotonic())
        return fetched

    async def _choose(self) -> list[int]:
        """Remove the next batch from the backlog: at most 80 messages and 4 MiB, or one single message."""
        await self._learn_sizes()
        batch: list[int] = []
        total = 0
        while self._backlog and len(batch) < BATCH_MESSAGES:
            uid = self._backlog[-1]
            facts = self._facts.get(uid)
            if facts is None:
                break
            single = uid in self._unread.alone or facts.size_bytes > BATCH_BYTES or self._large(uid)
            if batch and (single or total + facts.size_bytes > BATCH_BYTES):
                break
            batch.append(self._backlog.pop())
            total += facts.size_bytes
            if single:
                break
        return sorted(batch)

    async def _learn_sizes(self) -> None:
        """Know the facts of the newest messages, dropping from the backlog what the server knows nothing about."""
        if not self._backlog or self._backlog[-1] in self._facts:
            return
        head = self._backlog[-FACTS_MESSAGES:]
        wanted = sorted(uid for uid in head if uid not in self._facts)
        company = [uid for uid in wanted if uid not in self._unread.alone]
        asked = company or [self._backlog[-1]]
        self._facts |= await self._by_halves(asked, self._session.facts)
        unknown = {uid for uid in asked if uid not in self._facts}
        self._backlog[-FACTS_MESSAGES:] = [uid for uid in head if uid not in unknown]
        for uid in sorted(unknown):
            self._unread.failed(uid, self._monotonic())

    async def _bodies(self, uids: Sequence[int]) -> tuple[dict[int, bytes], Refusal | None]:
        # Some servers are wrong about sizes; what is far beyond is a fault, and the message is then fetched in parts.
        announced = sum(self._facts[uid].size_bytes for uid in uids)
        return await self._session.bodies(uids, announced + announced // 4 + WHOLE_BYTES)

    async def _by_halves(
        self,
        uids: Sequence[int],
        ask: Callable[[Sequence[int]], Awaitable[tuple[dict[int, T], Refusal | None]]],
    ) -> dict[int, T]:
        """What `ask` finds for `uids`; where the server refuses, each half is asked for by itself, down to one."""
        self.in_flight = list(uids)
        found, refusal = await ask(uids)
        self.in_flight = []
        if refusal is None or len(uids) == 1:
            return found
        rest = [uid for uid in uids if uid not in found]
        middle = (len(rest) + 1) // 2
        for half in (rest[:middle], rest[middle:]):
            if half:
                found |= await self._by_halves(half, ask)
        return found

    async def _judged(self, uid: int, data: bytes) -> Fetched:
        """The message, asked for once more by itself when its length is not what the server announced."""
        facts = self._facts[uid]
        if len(data) != facts.size_bytes:
            again = await self._by_halves([uid], self._bodies)
            renewed = await self._by_halves([uid], self._session.facts)
            data, facts = again.get(uid, data), renewed.get(uid, facts)
            if len(data) != facts.size_bytes:
                _warn_of_size(uid, len(data), facts)
        return Fetched(uid, data, facts)

    async def _in_parts(self, uid: int) -> list[Fetched]:
        """A large message, fetched until the server has no more; only its header where it is above the limit."""
        facts = self._facts[uid]
        self.in_flight = [uid]
        data = bytearray()
        while max(len(data), facts.size_bytes) <= self._max_size_bytes:
            part = await self._session.part(uid, "", len(data), PART_BYTES)
            if part is None and len(data) < facts.size_bytes:
                return []
            data += part or b""
            # A message that once sent more than it announced is read until nothing more comes.
            complete = len(data) == facts.size_bytes and uid not in self._unread.in_parts
            if complete or len(part or b"") < PART_BYTES:
                self.in_flight = []
                if len(data) != facts.size_bytes:
                    _warn_of_size(uid, len(data), facts)
                return [Fetched(uid, bytes(data), facts)] if data else []
        header = await self._session.part(uid, "HEADER", 0, HEADER_BYTES)
        self.in_flight = []
        if not header:
            return []
        return [Fetched(uid, header, facts, full_size_bytes=max(facts.size_bytes, len(data)))]


def _warn_of_size(uid: int, size_bytes: int, facts: Facts) -> None:
    log.warning(
        "imap message has another size than announced",
        uid=uid,
        size_bytes=size_bytes,
        announced_bytes=facts.size_bytes,
    )
