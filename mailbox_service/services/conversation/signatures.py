"""Evidence P: whether a person has signed a mail with the key that is pinned to them, now and for this first time.

A signature says nothing of the headers around what was signed. What binds it to a case is that its mail answers a mail
of ours to this very person (evidence T), was made after that one, and came once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailbox_service.core.authority import Demand, Evidence
from mailbox_service.core.case import Party
from mailbox_service.core.gpg.status import SignatureFlaw
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.opening import NO_DOOR, Content
from mailbox_service.services.ports import CaseId, KnownOutbound, MessageId, Transaction
from mailbox_service.services.ports.openpgp import Verified, pin_of, pins_for

# Clocks of mail programs differ from ours.
MAY_BE_BEFORE = timedelta(minutes=2)
MAY_BE_AHEAD = timedelta(minutes=10)
# Somebody may hold a signed mail back, and let it arrive when it means something else.
LIFETIME = timedelta(days=7)

NOT_READ = "it is encrypted, and could not be opened here"
UNPINNED = "no key is pinned to you here; whoever runs this host can pin it (mailbox-service key pin)"
OTHER_KEY = "it is signed by a key that is not the one pinned to you"
PIN_EXPIRED = "the key that is pinned to you has expired; let the renewed one be pinned"
TOO_EARLY = "it was signed before the mail that it answers was sent"
TOO_OLD = "it was signed more than seven days ago"
AHEAD = "it was signed at a time that is still to come: is the clock of your computer right?"
CAME_BEFORE = "the very same signed text came before, and counts once"
_FLAWS = {
    SignatureFlaw.NONE: "it is not signed",
    SignatureFlaw.BAD: "its signature does not fit its text: was it changed on the way?",
    SignatureFlaw.UNKNOWN_KEY: OTHER_KEY,
    SignatureFlaw.EXPIRED: "its signature, or the key that made it, has expired",
    SignatureFlaw.REVOKED: "the key that signed it was revoked",
    SignatureFlaw.SEVERAL: "it has more than one signature",
    SignatureFlaw.WEAK: "its signature is made with a digest that can be forged",
    SignatureFlaw.REPEATED: CAME_BEFORE,
}


@dataclass(frozen=True, slots=True)
class _Mail:
    """What is asked of one signature."""

    mailbox: str
    case: CaseId | None
    number: MessageId
    answered: KnownOutbound
    now: datetime


def with_signature(
    tx: Transaction,
    speaker: Speaker,
    content: Content | None,
    *,
    mailbox: str,
    case: CaseId | None,
    number: MessageId,
    answered: KnownOutbound,
    now: datetime,
) -> Speaker:
    """The same speaker with what the signature of message `number` proves, which is used up by it; or why nothing."""
    if content is None:
        # Nothing was signed, or nobody here could have looked.
        return replace(speaker, unsigned=_FLAWS[SignatureFlaw.NONE])
    found = _proven(tx, speaker, content, _Mail(mailbox, case, number, answered, now))
    if isinstance(found, str):
        return replace(speaker, unsigned=found)
    return replace(speaker, evidence=replace(speaker.evidence, signature=True), signed_by=found.fingerprint)


def _proven(tx: Transaction, speaker: Speaker, content: Content, mail: _Mail) -> Verified | str:
    signature = content.signature
    if content.unread or content.why == NO_DOOR:
        return NO_DOOR if content.why == NO_DOOR else NOT_READ
    if not isinstance(signature, Verified):
        return _FLAWS.get(signature.why, "its signature cannot be read")
    pins = pins_for(tx, mail.mailbox, mail.case)
    pin = pin_of(pins, speaker.address, by_hand=speaker.party is Party.MAINTAINER)
    if pin is None:
        return UNPINNED
    if pin.key.fingerprint != signature.fingerprint:
        return OTHER_KEY
    if not pin.lasts(mail.now):
        return PIN_EXPIRED
    if signature.made_at < mail.answered.created_at - MAY_BE_BEFORE:
        return TOO_EARLY
    if signature.made_at <= mail.now - LIFETIME:
        return TOO_OLD
    if signature.made_at > mail.now + MAY_BE_AHEAD:
        return AHEAD
    if not content.signed_digest or not tx.burn(mail.mailbox, content.signed_digest, mail.number):
        return CAME_BEFORE
    return signature


def goes_outward(evidence: Evidence, *, authenticated: bool) -> bool:
    """Whether the address a mail came to may say that its text is for the reporter: no signature covers it. Where
    signatures are asked for, the mail server has to vouch for the rest."""
    return authenticated or evidence.demand is Demand.STANDARD


def wanted(speaker: Speaker) -> str:
    """Why nothing of a person's mail was done who has to sign; "" for whom it is not the signature."""
    if speaker.evidence.demand is Demand.STANDARD or speaker.evidence.signature:
        return ""
    return f"this needs your signature: {speaker.unsigned}. Nothing was done"
