"""OpenPGP as the services see it: what may be asked of a keyring, and what the answers mean.

The calls block, for up to their deadline: make them in a thread. None of them ever changes a key that is pinned: the
keys that count are handed over with each call, as they were pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mailbox_service.core.gpg.keys import KeyFacts
from mailbox_service.core.gpg.status import DecryptionFlaw, SignatureFlaw
from mailbox_service.services.ports.ids import CaseId, MessageId


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key by the full fingerprint of its primary key, with its bytes in minimal form."""

    fingerprint: str
    data: bytes = field(repr=False)

    @property
    def spoken(self) -> str:
        """The fingerprint in groups of four digits, as people compare it."""
        return " ".join(self.fingerprint[at : at + 4] for at in range(0, len(self.fingerprint), 4))


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """A key as it arrived, examined and pinned to nobody."""

    facts: KeyFacts
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Verified:
    """One good signature by an allowed key that is neither expired nor revoked, over exactly the bytes given."""

    fingerprint: str  # of the primary key
    made_at: datetime  # as the signer says


@dataclass(frozen=True, slots=True)
class NotVerified:
    """Nothing is proven."""

    why: SignatureFlaw


@dataclass(frozen=True, slots=True)
class Opened:
    """One plaintext, decrypted whole and protected against changes."""

    data: bytes = field(repr=False)
    # What is said of a signature inside the encryption; NotVerified(NONE) where there is none.
    signature: Verified | NotVerified


@dataclass(frozen=True, slots=True)
class NotOpened:
    """Nothing of it may be shown."""

    why: DecryptionFlaw


@dataclass(frozen=True, slots=True)
class Pin:
    """Which key belongs to whom: for all of a mailbox, or for one case."""

    mailbox: str
    address: str
    key: PublicKey
    case_id: CaseId | None
    how: str  # how it came to be pinned: "host", "first use", "signed by the former key"
    pinned_at: datetime
    expires_at: datetime | None = None  # as the key said when it was pinned
    by: str = ""  # the person, where it was one

    def lasts(self, now: datetime) -> bool:
        """Whether the key has not expired, by what it said when it was pinned."""
        return self.expires_at is None or self.expires_at > now


def pin_of(pins: Sequence[Pin], address: str, *, by_hand: bool = False) -> Pin | None:
    """The key that is pinned first to `address`, expired or not. `by_hand`: only what somebody on the host pinned
    counts, as for a maintainer, whose key no mail may bring."""
    theirs = (pin for pin in pins if pin.address.lower() == address.lower())
    return next((pin for pin in theirs if pin.how == "host" or not by_hand), None)


def usable_pin(pins: Sequence[Pin], address: str, now: datetime, *, by_hand: bool = False) -> Pin | None:
    """`pin_of`, where that key can be used now. An expired one is not replaced by one that ranks below it."""
    found = pin_of(pins, address, by_hand=by_hand)
    return found if found is not None and found.lasts(now) else None


class Pins(Protocol):
    """Pinned keys in the database, inside one transaction. Addresses are compared in lower case."""

    def pin(self, pin: Pin) -> bool:
        """Pin a key in place of the one that was pinned to this address for the mailbox, or for the case. False where
        the very same is pinned already; the same key with newer signatures takes the older one's place."""
        ...

    def unpin(self, mailbox: str, address: str, case_id: CaseId | None, now: datetime) -> list[str]:
        """The fingerprints that are no longer pinned."""
        ...

    def pins(self, mailbox: str, case_id: CaseId | None = None) -> list[Pin]:
        """All that is pinned for a mailbox; with `case_id` also for that case, whose pins outrank those of the mailbox
        for the same address. One at most for each address."""
        ...

    def pins_of(self, mailbox: str, address: str) -> list[Pin]:
        """All that is pinned to an address, for the mailbox and for any case of it."""
        ...


def pins_for(tx: Pins, mailbox: str, case: CaseId | None) -> list[Pin]:
    """All that is pinned for a mailbox and a case of it, those of the case first. Unlike in `Pins.pins` what a case's
    pin outranks is there too: a key that came by mail may stand before a maintainer's, for which it never counts."""
    return [*tx.pins(mailbox, case), *(tx.pins(mailbox) if case is not None else ())]


class Seen(Protocol):
    """What was encrypted or signed in mails before, inside one transaction. What came first decides, for ever."""

    def ciphertexts(self, mailbox: str, digests: Sequence[str]) -> dict[str, MessageId]:
        """The message in which each of these ciphertexts came first (digests in hex); those never seen are left out."""
        ...

    def add_ciphertexts(self, mailbox: str, came: Sequence[tuple[str, MessageId]]) -> dict[str, MessageId]:
        """Record that each came with its message, and return the message in which each came first: of two at once,
        both see the same one."""
        ...

    def burn(self, mailbox: str, digest: str, message: MessageId) -> bool:
        """A signature (`services.opening.Content.signed_digest`) is used up by `message`. False when another message
        had it before; as often as it is asked for the first one, True."""
        ...

    def burned_by(self, mailbox: str, digest: str) -> MessageId | None:
        """The message that used the signature up."""
        ...


class OpenPgp(Protocol):
    """One mailbox's secret keys, and gpg."""

    def open(self, ciphertext: bytes, signers: Sequence[PublicKey] = ()) -> Opened | NotOpened:
        """What is inside an encrypted message, and whether one of `signers` signed it inside.

        Raises: TemporaryError when gpg cannot be run.
        """
        ...

    def verify_detached(self, signed: bytes, signature: bytes, allowed: Sequence[PublicKey]) -> Verified | NotVerified:
        """Whether `signature` is one good signature over `signed` by one of `allowed`. Raises: TemporaryError."""
        ...

    def encrypt(self, data: bytes, to: Sequence[PublicKey], *, sign: bool) -> bytes:
        """`data` encrypted to all of `to`, signed by the mailbox's key if `sign`; in ASCII armour.

        Raises: Refused when a key cannot be encrypted to or the mailbox has none to sign with; TemporaryError.
        """
        ...

    def sign_detached(self, data: bytes) -> bytes:
        """A signature by the mailbox's key over exactly `data` (by SHA-512: micalg=pgp-sha512), in ASCII armour.

        Raises: Refused when the mailbox has no key to sign with; TemporaryError.
        """
        ...

    def examine(self, data: bytes) -> list[OfferedKey]:
        """The keys in what somebody offers, in a keyring that is thrown away: with their own signatures only.

        Raises: Refused for what is too large or holds no key; TemporaryError.
        """
        ...

    def public_key(self) -> PublicKey | None:
        """Of the mailbox's own keys the newest that others can encrypt to; None where there is none.

        Raises: TemporaryError.
        """
        ...

    def own_keys(self) -> list[KeyFacts]:
        """The mailbox's own keys, newest first. Raises: TemporaryError."""
        ...
