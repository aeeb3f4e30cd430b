"""A reporter's key, pinned for their case when they first use it: from then on we write to them encrypted.

What is pinned here says only that the key came with what the reporter sent. It never takes the place of a key that was
pinned, except by a mail that the pinned key has signed; and maintainers' keys are pinned on the host alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mailbox_service.core.case import Event
from mailbox_service.services.key_news import FIRST_USE, SUCCESSOR
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import CaseId, JournalEntry, Transaction
from mailbox_service.services.ports.openpgp import OfferedKey, Pin, PublicKey, Verified
from mailbox_service.services.understanding import Understood


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a key that was offered. The journal is for the caller to write; so is whom it tells."""

    pinned: Pin | None = None
    former: PublicKey | None = None  # whose place it took
    remark: str = ""  # for the maintainers, about one that may not be pinned
    journal: tuple[JournalEntry, ...] = ()


NOTHING = Taken()


def take_key(
    tx: Transaction,
    mailbox: Mailbox,
    case: CaseId,
    understood: Understood,
    *,
    authenticated: bool,
    opens: bool = False,
    now: datetime,
) -> Taken:
    """Pin the key that a reporter of `case` offers with their mail, where it may be.

    `authenticated`: the author of the mail is; `opens`: it opens the case, encrypted. In a case that exists, anybody
    can encrypt to us under the reporter's address; a token alone must not put a stranger's key in the reporter's place.
    What stands outside of encryption and signature counts for an authenticated author only, and follows no other key.
    """
    content, address = understood.content, understood.sender_key
    if content is None or not address or mailbox.is_maintainer(address) or address in mailbox.own_addresses:
        return NOTHING
    inside = bool(content.offered)
    keys = content.offered or content.offered_outside
    fitting = [key for key in keys if address in key.facts.addresses and key.facts.can("e")]
    if len(fitting) != 1:
        return NOTHING
    offered = fitting[0]
    pinned = next((pin for pin in tx.pins(mailbox.name, case) if pin.address.lower() == address), None)
    if pinned is None:
        known = authenticated or (opens and inside)
        return _pinned(tx, mailbox, case, address, offered, FIRST_USE, now) if known else NOTHING
    if pinned.key.fingerprint == offered.key.fingerprint:
        return NOTHING
    by = content.signature.fingerprint if isinstance(content.signature, Verified) else ""
    if inside and by == pinned.key.fingerprint:
        return _pinned(tx, mailbox, case, address, offered, SUCCESSOR, now, pinned.key)
    return Taken(remark=f"Another key of the reporter, {offered.key.fingerprint}, was offered; it is not used.")


def _pinned(
    tx: Transaction,
    mailbox: Mailbox,
    case: CaseId,
    address: str,
    offered: OfferedKey,
    how: str,
    now: datetime,
    former: PublicKey | None = None,
) -> Taken:
    pin = Pin(mailbox.name, address, offered.key, case, how, now, offered.facts.expires_at)
    if not tx.pin(pin):
        return NOTHING
    data: dict[str, object] = {"fingerprint": offered.key.fingerprint, "how": how}
    return Taken(pin, former, journal=(JournalEntry(case, Event.KEY_PINNED, address, data),))
