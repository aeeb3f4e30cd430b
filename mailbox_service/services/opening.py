"""What a mail is once gpg has looked at it: opened, verified, or neither, and why.

Nothing of what is decrypted here may be written to the database, to a log or to another process: it lives as long as
the work on its message. Verdict, routing and threads are made from the mail as it came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailbox_service.core.display import harmless
from mailbox_service.core.gpg.status import SignatureFlaw
from mailbox_service.core.message import Encryption, ParsedMessage, parse
from mailbox_service.core.openpgp import (
    CandidateKey,
    Encrypted,
    EncryptedMessage,
    Layer,
    Refusal,
    Refused,
    Signed,
    attached_keys,
    entity_of,
    offered_key,
    protected_headers,
    read,
)
from mailbox_service.errors import Refused as KeyRefused
from mailbox_service.services.ports.ids import MessageId
from mailbox_service.services.ports.openpgp import (
    NotVerified,
    OfferedKey,
    Opened,
    OpenPgp,
    Pin,
    PublicKey,
    Verified,
)

NO_DOOR = "no OpenPGP is set up for this mailbox"
CAME_BEFORE = "the same encrypted content came before"
# Each costs a run of gpg. One person offers one key, or also the one before it.
EXAMINED = 3
_UNSIGNED = NotVerified(SignatureFlaw.NONE)


class Openness(StrEnum):
    CLEAR = "clear"  # nothing of it is encrypted; its signature may be verified
    OPENED = "opened"
    CLOSED = "closed"  # encrypted, and not opened: `why`
    REPEATED = "repeated"  # the same ciphertext came before with another message, and is not opened again
    SMIME = "s/mime"


# Of these nothing is known but the outside.
UNREAD = frozenset({Openness.CLOSED, Openness.REPEATED, Openness.SMIME})


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail is once gpg has looked at it. Never stored, logged or pickled: it may hold plaintext."""

    openness: Openness
    view: ParsedMessage = field(repr=False)  # what may be shown and obeyed: decrypted or verified; else the outer mail
    subject: str = field(repr=False)
    from_display: str = field(repr=False)
    entity: bytes = field(default=b"", repr=False)  # the bytes of `view`; b"" where `view` is the outer mail
    signature: Verified | NotVerified = _UNSIGNED  # over exactly `view`
    why: str = ""  # a constant of ours: why closed, or why nothing could be verified
    signed_digest: str = ""  # what a verified signature is known by: signed bytes, signer and moment; SHA-256 in hex
    data_digest: str = ""  # of the ciphertext (core/openpgp, EncryptedMessage.data_digest), in hex
    offered: tuple[OfferedKey, ...] = ()  # keys that came along in `entity`: inside of the encryption or signature
    # Where there are none of these: what stands elsewhere in the mail, and anybody on the way may have put there.
    offered_outside: tuple[OfferedKey, ...] = ()
    first: MessageId | None = None  # the message in which the same ciphertext, or the same signature, came first
    pins: tuple[Pin, ...] = field(
        default=(), repr=False
    )  # whose signatures were looked for, in whatever case they count
    remarks: tuple[str, ...] = ()  # for the maintainers: lines of ours, with nothing of the content in them

    @property
    def unread(self) -> bool:
        """Whether it says nothing to us: no command, no information."""
        return self.openness in UNREAD

    def said_before(self, first: MessageId) -> Content:
        """The same of a mail whose ciphertext came first in message `first`: nothing of it is shown or obeyed."""
        return replace(
            self,
            openness=Openness.REPEATED,
            view=NOTHING_SAID,
            subject="",
            from_display="",
            entity=b"",
            signature=_UNSIGNED,
            signed_digest="",
            offered=(),
            offered_outside=(),
            why=CAME_BEFORE,
            first=first,
            remarks=(*self.remarks, f"{CAME_BEFORE}, in message {int(first)}; it is not opened"),
        )

    def signed_before(self, first: MessageId) -> Content:
        """The same of a mail whose very signature came first in message `first`: it proves nothing."""
        remark = f"the same signed content came before, in message {int(first)}; the signature proves nothing"
        return replace(
            self, signature=NotVerified(SignatureFlaw.REPEATED), first=first, remarks=(*self.remarks, remark)
        )


def state_of(content: Content, pins: Sequence[Pin]) -> str:
    """How the message came, and what its signature is worth where `pins` count: one sentence of ours."""
    came = "It came encrypted and is shown opened. " if content.openness is Openness.OPENED else ""
    if isinstance(content.signature, Verified):
        fingerprint = content.signature.fingerprint
        whose = next((pin.address for pin in pins if pin.key.fingerprint == fingerprint), None)
        if whose is not None:
            return f"{came}It is signed by the key pinned to {harmless(whose)}: {fingerprint}."
        flaw = SignatureFlaw.UNKNOWN_KEY  # by a key that counts in another case
    else:
        flaw = content.signature.why
    if flaw is SignatureFlaw.REPEATED:
        where = f"message {int(content.first)}" if content.first is not None else "an earlier message"
        return f"{came}Its signature is a repetition of that of {where}, and proves nothing."
    return f"{came}It is not signed." if flaw is SignatureFlaw.NONE else f"{came}Its signature proves nothing: {flaw}."


# What a mail says that nobody could read.
NOTHING_SAID = parse(b"")


def ciphertext_of(raw: bytes) -> str:
    """What the ciphertext of a mail is known by, in hex; "" where nothing of it may be decrypted. Without gpg."""
    found = _ciphertext(raw)
    return found.data_digest.hex() if found is not None else ""


def _ciphertext(raw: bytes) -> EncryptedMessage | None:
    reading = read(raw)
    if isinstance(reading, Signed):
        reading = read(reading.content, (Layer.SIGNED,))
    return reading.message if isinstance(reading, Encrypted) else None


def look(
    raw: bytes,
    outer: ParsedMessage,
    door: OpenPgp | None,
    signers: Sequence[PublicKey],
    *,
    seen: Mapping[str, MessageId] = {},
    offers: bool = True,
) -> Content:
    """What the mail `raw` is, whose view is `outer`; `signers` are the keys that may have signed it.

    A ciphertext in `seen` (by `ciphertext_of`) is not opened: the message is where it came first. Without `offers`
    no key that came along is examined. Total for any bytes; blocks for some seconds.
    Raises: TemporaryError when gpg cannot be run.
    """
    if door is None or outer.encryption is Encryption.SMIME:
        return unopened(outer, NO_DOOR if outer.encryption is not Encryption.SMIME else "")
    looking = _Looking(raw, outer, door, signers, seen)
    content = looking.content()
    if not offers or content.openness in UNREAD:
        return content
    inside = _examined(attached_keys(content.entity), door)
    if inside:
        return replace(content, offered=inside)
    field = offered_key(outer)
    # What lies beside a ciphertext is no attachment of what was written.
    beside = [] if content.openness is Openness.OPENED else attached_keys(raw)
    return replace(content, offered_outside=_examined([*([field.key] if field is not None else []), *beside], door))


@dataclass(slots=True)
class _Looking:
    """One mail, layer by layer."""

    raw: bytes
    outer: ParsedMessage
    door: OpenPgp
    signers: Sequence[PublicKey]
    seen: Mapping[str, MessageId]
    layers: tuple[Layer, ...] = ()
    entity: bytes = b""
    signature: Verified | NotVerified = _UNSIGNED
    signed: bytes = b""
    data_digest: str = ""

    def content(self) -> Content:
        self.entity = self.raw
        # core/openpgp takes off three layers at most.
        while True:
            reading = read(self.entity, self.layers)
            if isinstance(reading, Encrypted):
                closed = self._decrypted(reading)
                if closed is not None:
                    return closed
            elif isinstance(reading, Signed):
                self._verified(reading)
            else:
                return self._innermost(reading)

    def _decrypted(self, reading: Encrypted) -> Content | None:
        """Whatever was signed around it proves nothing of the plaintext."""
        self.signature, self.signed = _UNSIGNED, b""
        self.data_digest = reading.message.data_digest.hex()
        if self.data_digest in self.seen:
            closed = unopened(self.outer, CAME_BEFORE, self.data_digest)
            return closed.said_before(self.seen[self.data_digest])
        opened = self.door.open(reading.message.octets, self.signers)
        if not isinstance(opened, Opened):
            return unopened(self.outer, opened.why.value, self.data_digest)
        self.entity, self.layers = entity_of(opened.data, reading.form), (*self.layers, Layer.ENCRYPTED)
        self.signature, self.signed = opened.signature, opened.data
        return None

    def _verified(self, reading: Signed) -> None:
        # Without a key that may have made it there is nothing to ask gpg.
        self.signature = (
            self.door.verify_detached(reading.content, reading.signature.octets, self.signers)
            if self.signers
            else NotVerified(SignatureFlaw.UNKNOWN_KEY)
        )
        self.entity, self.signed = reading.content, reading.content
        self.layers = (*self.layers, Layer.SIGNED)

    def _innermost(self, refused: Refused) -> Content:
        opened, verified = Layer.ENCRYPTED in self.layers, isinstance(self.signature, Verified)
        if not opened and not verified:
            why = "" if refused.reason is Refusal.NONE or self.layers else refused.reason.value
            return replace(unopened(self.outer, why), signature=self.signature)
        shown = protected_headers(self.entity, self.outer, encrypted=opened)
        return Content(
            Openness.OPENED if opened else Openness.CLEAR,
            shown.view,
            shown.subject,
            shown.from_display,
            shown.entity,
            self.signature,
            "",
            _signature_digest(self.signature, self.signed),
            self.data_digest,
            remarks=tuple(shown.defects),
        )


def unopened(outer: ParsedMessage, why: str, data_digest: str = "") -> Content:
    """What a mail is of which gpg has seen nothing; `why` counts where something of it is encrypted."""
    match outer.encryption:
        case Encryption.NONE if not data_digest:
            openness = Openness.CLEAR
        case Encryption.SMIME:
            openness = Openness.SMIME
        case _:
            openness = Openness.CLOSED
    why = "" if openness is Openness.CLEAR and why == NO_DOOR else why
    return Content(openness, outer, outer.subject, outer.from_display, why=why, data_digest=data_digest)


def _signature_digest(signature: Verified | NotVerified, signed: bytes) -> str:
    """The moment is part of what was signed: who signs the same words twice makes two signatures, a copy makes none.

    Line ends and the blanks before them are left open by a signature over text (RFC 9580 §5.2.4), so they do not count.
    """
    if not isinstance(signature, Verified):
        return ""
    digest = hashlib.sha256(f"{signature.fingerprint}\0{signature.made_at.isoformat()}\0".encode())
    digest.update(b"\r\n".join(line.rstrip(b" \t\r") for line in signed.split(b"\n")))
    return digest.hexdigest()


def _examined(candidates: Sequence[CandidateKey], door: OpenPgp) -> tuple[OfferedKey, ...]:
    found: dict[str, OfferedKey] = {}
    for octets in list(dict.fromkeys(candidate.octets for candidate in candidates))[:EXAMINED]:
        try:
            found |= {key.key.fingerprint: key for key in door.examine(octets)}
        except KeyRefused:
            continue  # it is no key that anybody could use
    return tuple(found.values())
