"""Mails of a mailbox that has OpenPGP keys, composed (T5): signed, and encrypted to whoever has a key that is pinned.

gpg runs here, so this is done in threads of the process that has the keyrings, and not where other mails are composed.
What is encrypted is put together in memory; what leaves this module, and is frozen, is ciphertext.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar, TypeVarTuple

import structlog

from mailbox_service.core.case import Party
from mailbox_service.core.composition import OutFile, Outgoing, compose
from mailbox_service.core.openpgp import armoured, encrypted, header_field, payload, signed
from mailbox_service.errors import Refused, TemporaryError
from mailbox_service.services import key_news
from mailbox_service.services.conversation.sealed import why_unread
from mailbox_service.services.filling import fill, looked_at, said_on_host
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.opener import AT_ONCE
from mailbox_service.services.opening import Content
from mailbox_service.services.ports import CaseId, MessageId, OutboundClaim, Storage
from mailbox_service.services.ports.openpgp import OpenPgp, Pin, PublicKey, usable_pin
from mailbox_service.services.processing import AUTO_REPLIED, Composition, Processing

log = structlog.get_logger()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
# Of one batch; never kept longer.
_Contents = dict[tuple[str, CaseId | None, MessageId | None], asyncio.Task[Content | None]]

# What is composed, sent and recorded together. gpg takes longer for a mail than all the rest: with more of them whoever
# comes next, and be it an acknowledgement, would wait for a second and longer.
BATCH_MAILS = 2 * AT_ONCE
KEY_FILE = "security-key.asc"
# A redirect does not: nearly nobody who gets one has anything to encrypt, and its header offers the key to programs.
NAMING_OUR_KEY = frozenset({"acknowledgement", "acknowledgement_collected"})
# The door signs by SHA-512 (ports.OpenPgp).
MICALG = "pgp-sha512"
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,60}")


class Addressed(Protocol):
    """A maintainer, as configured or as the services know them."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ToSeal:
    """A row, the inbound message that travels along or is told of, and the keys pinned for its mailbox and case."""

    row: OutboundClaim
    raw: bytes | None
    pins: Sequence[Pin] = ()


class Sealing:
    """Composes the mails of mailboxes that have a door to OpenPGP."""

    def __init__(
        self,
        processing: Processing,
        doors: Mapping[str, OpenPgp],
        storage: Storage,
        threads: Executor | None = None,
    ) -> None:
        """gpg is waited for in `threads`, or in those of the event loop."""
        self._processing, self._doors, self._storage, self._threads = processing, doors, storage, threads
        self._running = asyncio.Semaphore(AT_ONCE)

    def takes(self, row: OutboundClaim) -> bool:
        """Whether the row is composed here. What the mailbox writes to itself is not: it is no mail to a person."""
        return row.mailbox in self._doors and row.role != "mailbox"

    async def compose(self, batch: Sequence[ToSeal], now: datetime) -> Composition:
        """One bad mail never fails its batch."""
        composed: list[tuple[OutboundClaim, bytes]] = []
        broken: list[tuple[OutboundClaim, str]] = []
        contents: _Contents = {}

        async def one(work: ToSeal) -> None:
            try:
                if work.row.kind in AUTO_REPLIED:
                    # Signed in a moment; it waits for nobody's copies.
                    done = await asyncio.to_thread(self._compose_one, work, None, now)
                else:
                    async with self._running:
                        done = await self._compose(work, contents, now)
                composed.append((work.row, done))
            except Exception as error:
                # Of another error the text may quote what is composed.
                reason = str(error) if isinstance(error, TemporaryError) else ""
                name = type(error).__name__
                log.error("mail cannot be composed", outbound_id=int(work.row.id), error_type=name, reason=reason)
                broken.append((work.row, f"could not be composed: {type(error).__name__}"))

        await asyncio.gather(*(one(work) for work in batch))
        return composed, broken

    async def _compose(self, work: ToSeal, contents: _Contents, now: datetime) -> bytes:
        content: Content | None = None
        if "within" in work.row.context and _key_of(work, now) is not None:
            # Opened once for all of the batch who are told of it.
            told_of = work.row.mailbox, work.row.case_id, source_of(work.row)
            if told_of not in contents:
                contents[told_of] = asyncio.create_task(self._content(work), name="open")
            content = await contents[told_of]
        return await self._in_thread(self._compose_one, work, content, now)

    async def _content(self, work: ToSeal) -> Content | None:
        """What gpg finds in the message that a mail tells of. Raises: TemporaryError."""
        door = self._doors[work.row.mailbox]
        content = await self._in_thread(looked_at, work.row, work.raw, door, work.pins)
        return await self._once(content, work.row) if content is not None else None

    async def _in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _once(self, content: Content, row: OutboundClaim) -> Content:
        """A signature that another message has used up proves nothing, however good it is."""
        digest = content.signed_digest
        used = await self._storage.transact(lambda tx: tx.burned_by(row.mailbox, digest)) if digest else None
        return content.signed_before(used) if used is not None and used != source_of(row) else content

    def _compose_one(self, work: ToSeal, content: Content | None, now: datetime) -> bytes:
        """The bytes of one row. Raises: TemplateError, ValueError; TemporaryError when gpg cannot be run."""
        row, door = work.row, self._doors[work.row.mailbox]
        key = _key_of(work, now)
        if key is not None:
            try:
                return self._encrypted(self._whole(work, content, now), row, door, key)
            except Refused as refused:
                log.warning("not encrypted", outbound_id=int(row.id), reason=refused)
        if row.kind in NAMING_OUR_KEY and (own := door.public_key()) is not None:
            return self._signed(self._with_own_key(row, own), row, door)
        return self._signed(self._outside(work), row, door)

    def _outside(self, work: ToSeal) -> Outgoing:
        """What anybody may see: without the message that is only there to be told of."""
        return self._processing.outgoing(work.row, work.raw if work.row.attached_message is not None else None)

    def _whole(self, work: ToSeal, content: Content | None, now: datetime) -> Outgoing:
        row, mailbox = work.row, self._processing.mailboxes[work.row.mailbox]
        if "within" not in row.context:
            return self._outside(work)
        said = said_on_host(row, self._doors[row.mailbox])
        filled = fill(row, work.raw, content, mailbox, work.pins, said)
        if filled is None:
            return self._outside(work)
        outside = {
            key: value for key, value in row.context.items() if key not in ("within", "within_template", "source")
        }
        context = outside | filled.context
        if row.role == Party.MAINTAINER:
            remarks = context.get("remarks")
            told = list(remarks) if isinstance(remarks, list) else []
            keys = keys_that_came(row, work.pins) if row.kind in ("notice_case", "notice_message") else []
            context |= {"remarks": [*told, *keys, *unserved(mailbox, work.pins, now)]}
        template = str(row.context.get("within_template") or row.template)
        mail = self._processing.outgoing(replace(row, template=template, context=context), filled.attachment)
        return replace(mail, files=filled.files)

    def _with_own_key(self, row: OutboundClaim, own: PublicKey) -> Outgoing:
        """A first answer says how to write to us encrypted, to whom that is news."""
        mail = self._processing.outgoing(row, None, own.spoken)
        # Programs that know S/MIME alone do not find the key in the header field that they have never heard of.
        return replace(mail, files=(OutFile(KEY_FILE, armoured(own.data)),)) if row.context.get("smime") else mail

    def _encrypted(self, mail: Outgoing, row: OutboundClaim, door: OpenPgp, key: PublicKey) -> bytes:
        """Raises: Refused when the key cannot be encrypted to."""
        mailbox = self._processing.mailboxes[row.mailbox]
        if row.role != Party.MAINTAINER:
            # Below the foot. Both sides see which key it is: a mail brought it, and perhaps somebody else's mail.
            mail = replace(mail, body=f"{mail.body.rstrip()}\n\nEncrypted to your key\n{key.spoken}\n")
        reference = f"[{row.case_ref}]" if _REFERENCE.fullmatch(row.case_ref or "") else "[...]"
        ciphertext = door.encrypt(payload(mail, reference), [key], sign=signs(door, mailbox))
        return encrypted(mail, reference, ciphertext, _autocrypt(door, mailbox))

    def _signed(self, mail: Outgoing, row: OutboundClaim, door: OpenPgp) -> bytes:
        mailbox = self._processing.mailboxes[row.mailbox]
        if not signs(door, mailbox):
            return compose(mail)
        inner = payload(mail)
        return signed(mail, inner, door.sign_detached(inner), MICALG, _autocrypt(door, mailbox))


def source_of(row: OutboundClaim) -> MessageId | None:
    """The message of ours whose content a mail of a sealed case tells of, to whoever has a key."""
    source = row.context.get("source")
    return MessageId(source["message"]) if isinstance(source, dict) and "message" in source else None


def signs(door: OpenPgp, mailbox: Mailbox) -> bool:
    """Whether the mailbox has a key to sign with now."""
    return any(key.can_secretly("s") and key.addresses & mailbox.own_addresses for key in door.own_keys())


def unserved(mailbox: Mailbox, pins: Sequence[Pin], now: datetime) -> list[str]:
    """Which maintainers get nothing of this but that it is there, and why."""
    return [f"{name} cannot read this: {why}." for name, why in keyless(mailbox.maintainers, pins, now)]


def keyless(maintainers: Iterable[Addressed], pins: Sequence[Pin], now: datetime) -> list[tuple[str, str]]:
    """The names of maintainers to whom nothing of a sealed case can be sent, each with the reason."""
    found = ((m.name, why_unread(pins, m.address, now, by_hand=True)) for m in maintainers)
    return [(name, why) for name, why in found if why]


def keys_that_came(row: OutboundClaim, pins: Sequence[Pin]) -> list[str]:
    """By which keys the people of a case are written to, where a mail brought them and nobody has compared them."""
    return [
        f"{pin.address} is written to by the key {pin.key.fingerprint}, which came by mail ({pin.how})."
        for pin in pins
        if pin.case_id is not None and pin.case_id == row.case_id and pin.how != "host"
    ]


def _key_of(work: ToSeal, now: datetime) -> PublicKey | None:
    """Whom the mail is encrypted to. A first answer never is: whoever names an address would learn what we know."""
    if work.row.kind == key_news.TO_PERSON:
        return key_news.way_of(work.row)
    outside = work.row.case_id is None and work.row.kind != key_news.TO_MAINTAINERS
    if outside or work.row.kind in AUTO_REPLIED:
        return None
    by_hand = work.row.role == Party.MAINTAINER
    pin = usable_pin(work.pins, work.row.recipient, now, by_hand=by_hand)
    return pin.key if pin is not None else None


def _autocrypt(door: OpenPgp, mailbox: Mailbox) -> tuple[str, str] | None:
    key = door.public_key()
    try:
        return header_field(mailbox.address, key.data) if key is not None else None
    except ValueError:
        return None  # too large for a header, or an address that does not fit one
