"""When mails are shown to gpg: those of a batch before they are concluded, others when they are read once more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial

from mailbox_service.core.message import Encryption, ParsedMessage, parse
from mailbox_service.core.openpgp import offered_key
from mailbox_service.core.tokens import may_be_ours
from mailbox_service.errors import MailboxServiceError, Refused, TemporaryError
from mailbox_service.services.mailboxes import Mailbox, Mailboxes
from mailbox_service.services.opening import Content, ciphertext_of, look, unopened
from mailbox_service.services.ports import Claim, MessageId, Storage, Transaction
from mailbox_service.services.ports.openpgp import OpenPgp, Pin, PublicKey
from mailbox_service.services.understanding import Understood

# gpg is a process with an agent beside it: more at once only wait for the processor.
AT_ONCE = 4
# What of a batch is not begun by then is worked again later: the leases of all of it run meanwhile.
BATCH_SECONDS = 60.0
# From this attempt on a mail is taken as what it is outside: gpg that cannot be run must not keep a report from people.
ATTEMPTS = 3
NOT_RUN = "gpg could not be run"

Failed = list[tuple[Claim, str]]  # each with the type of its error


@dataclass(frozen=True, slots=True)
class Facts:
    """What is on file about one mail, before gpg sees it."""

    seen: dict[str, MessageId]  # ciphertexts that came first with another message
    pins: list[Pin]

    @property
    def signers(self) -> list[PublicKey]:
        """Each key once, as it was pinned last."""
        newest = sorted(self.pins, key=lambda pin: pin.pinned_at)
        return list({pin.key.fingerprint: pin.key for pin in newest}.values())


@dataclass(frozen=True, slots=True)
class Sealed:
    """Messages that gpg has to look at, and what their writers wrote after them. Their bytes stay on file meanwhile."""

    understood: Sequence[Understood]
    until: float  # of the event loop's clock: what is not begun by then is worked again later, for its lease runs


class Opener:
    """For the mailboxes that have a door to OpenPGP. gpg is waited for in `threads`, or in those of the event loop."""

    def __init__(
        self,
        storage: Storage,
        mailboxes: Mailboxes,
        doors: Mapping[str, OpenPgp],
        beat: Callable[[], None],
        threads: Executor | None = None,
    ) -> None:
        self._storage, self._mailboxes, self._doors, self._beat = storage, mailboxes, doors, beat
        self._threads = threads
        self._behind: Counter[tuple[str, str]] = Counter()  # mailbox and writer of what waits here

    def apart(self, understood: Sequence[Understood], most: int) -> tuple[list[Understood], list[Sealed]]:
        """What gpg has nothing to say of; and, in portions of `most`, what it has to look at, for `opened`.

        Of one writer what was sent first is worked first: what follows something that waits here waits too.
        """
        clear: list[Understood] = []
        sealed: list[Understood] = []
        for one in understood:
            writer = one.claim.mailbox, one.sender_key
            if self._takes(one) or (one.sender_key and self._behind[writer]):
                self._behind[writer] += 1
                sealed.append(one)
            else:
                clear.append(one)
        until = asyncio.get_running_loop().time() + BATCH_SECONDS
        return clear, [Sealed(sealed[at : at + most], until) for at in range(0, len(sealed), most)]

    def forget(self) -> None:
        """Nothing waits any more."""
        self._behind.clear()

    def _takes(self, understood: Understood) -> bool:
        return understood.claim.mailbox in self._doors and _worth_a_look(understood, self._mailboxes)

    async def opened(self, portion: Sealed) -> tuple[list[Understood], Failed]:
        """The same, with what gpg found in those that are worth a look; and those that must be worked again.

        Raises: TemporaryError.
        """
        try:
            return await self._opened(portion.understood, portion.until)
        finally:
            self._behind -= Counter((u.claim.mailbox, u.sender_key) for u in portion.understood)

    async def _opened(self, understood: Sequence[Understood], until: float) -> tuple[list[Understood], Failed]:
        looked_at = [u for u in understood if self._takes(u)]
        loop = asyncio.get_running_loop()
        raw = await self._storage.transact(lambda tx: {u.claim.id: tx.raw(u.claim.id) for u in looked_at})
        digests = await loop.run_in_executor(self._threads, _ciphertexts, looked_at, raw)
        facts = await self._storage.transact(lambda tx: self._facts(tx, looked_at, digests))
        running = asyncio.Semaphore(AT_ONCE)

        async def one(u: Understood) -> tuple[Understood, str]:
            try:
                async with running:
                    self._beat()
                    if loop.time() > until:
                        raise TemporaryError("there is too much for gpg to do at once")
                    door, fact = self._doors[u.claim.mailbox], facts[u.claim.id]
                    looking = partial(look, raw[u.claim.id], u.message, door, fact.signers, seen=fact.seen)
                    content = replace(await loop.run_in_executor(self._threads, looking), pins=tuple(fact.pins))
            except (MailboxServiceError, OSError) as error:
                if u.claim.attempt < ATTEMPTS:
                    return u, type(error).__name__
                content = unopened(u.message, NOT_RUN, digests[u.claim.id])
            return replace(u, content=content), ""

        done = await asyncio.gather(*(one(u) for u in looked_at))
        failed = {u.claim.id: (u.claim, error) for u, error in done if error}
        found = {u.claim.id: u for u, _ in done}
        kept = [found.get(u.claim.id, u) for u in understood if u.claim.id not in failed]
        return kept, list(failed.values())

    def _facts(
        self, tx: Transaction, batch: Sequence[Understood], digests: Mapping[MessageId, str]
    ) -> dict[MessageId, Facts]:
        return {
            u.claim.id: facts_of(tx, self._mailboxes[u.claim.mailbox], u.claim.id, u.message, digests[u.claim.id])
            for u in batch
        }


def facts_of(tx: Transaction, mailbox: Mailbox, message: MessageId, outer: ParsedMessage, digest: str) -> Facts:
    """For `look`: whether the ciphertext came with another message before, and whose signatures are known."""
    first = tx.ciphertexts(mailbox.name, [digest]) if digest else {}
    pins = [pin for pin in tx.pins(mailbox.name) if mailbox.is_maintainer(pin.address)]
    if outer.from_ is not None:
        pins += tx.pins_of(mailbox.name, outer.from_.key)
    return Facts({known: came for known, came in first.items() if came != message}, pins)


def _ciphertexts(batch: Sequence[Understood], raw: Mapping[MessageId, bytes]) -> dict[MessageId, str]:
    return {u.claim.id: ciphertext_of(raw[u.claim.id]) for u in batch}


def _worth_a_look(understood: Understood, mailboxes: Mailboxes) -> bool:
    message, claim = understood.message, understood.claim
    if claim.partial:
        return False
    if message.encryption is not Encryption.NONE or message.signed:
        return True
    ours = understood.reply_tokens or any(may_be_ours(n, mailboxes[claim.mailbox].domain) for n in understood.names)
    return bool(ours) and _may_offer_a_key(message)


def _may_offer_a_key(message: ParsedMessage) -> bool:
    attached = any(
        one.content_type == "application/pgp-keys" or one.filename.lower().endswith((".asc", ".pgp", ".gpg", ".key"))
        for one in message.attachments
    )
    return attached or offered_key(message) is not None


@dataclass(frozen=True, slots=True)
class Reopened:
    """A message on file, read once more. Like `Content` it is written nowhere."""

    message: ParsedMessage  # as it came
    content: Content | None  # None where nothing of it is for gpg
    data: bytes = field(repr=False)  # what `said` was read from: files are in it

    @property
    def said(self) -> ParsedMessage:
        return self.content.view if self.content is not None else self.message


def reopened(tx: Transaction, mailbox: Mailbox, message: MessageId, door: OpenPgp | None) -> Reopened:
    """A message of `mailbox` on file, opened and verified where it can be. Blocks while gpg runs.

    Raises: Refused when it is encrypted and cannot be opened; NotFound; TemporaryError when gpg cannot be run.
    """
    raw = tx.raw(message)
    outer = parse(raw)
    if door is None or (outer.encryption is Encryption.NONE and not outer.signed):
        return Reopened(outer, None, raw)
    facts = facts_of(tx, mailbox, message, outer, ciphertext_of(raw))
    content = look(raw, outer, door, facts.signers, seen=facts.seen, offers=False)
    if content.unread:
        raise Refused(f"message M-{int(message)} is encrypted and cannot be opened ({content.why or content.openness})")
    used = tx.burned_by(mailbox.name, content.signed_digest) if content.signed_digest else None
    if used is not None and used != message:
        content = content.signed_before(used)
    return Reopened(outer, content, content.entity or raw)
