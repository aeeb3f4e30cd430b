"""Word of a person's key that is pinned, replaced or taken away: to the person, and to the maintainers.

Whoever puts a key of their own in a person's place reads and signs for them from then on. So the person hears of it by
the way that was theirs and by the one that is: encrypted to the old key and to the new one, and in clear where there is
or was none. The mail to the person holds nothing but fingerprints, which are as public as their keys.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailbox_service.core.case import Event, Party
from mailbox_service.services.correspondence import Correspondence
from mailbox_service.services.mailboxes import Mailbox, clean, written_moment
from mailbox_service.services.ports import (
    CaseId,
    CaseRecord,
    JournalEntry,
    NewMail,
    OutboundClaim,
    ThreadIds,
    Transaction,
)
from mailbox_service.services.ports.openpgp import Pin, PublicKey

TO_PERSON, TO_MAINTAINERS = "key_changed", "notice_key"
HOST, FIRST_USE, SUCCESSOR = "host", "first use", "signed by the former key"
OLD, NEW = "old", "new"
_TOLD_PERSON = {
    HOST: "Somebody who runs this service did it by hand.",
    FIRST_USE: "The key came with a mail of yours.",
    SUCCESSOR: "The new key came with a mail that is signed by the one until now.",
}
_TOLD_MAINTAINERS = {
    FIRST_USE: "The key came with a mail of theirs, as the first one.",
    SUCCESSOR: "The new key came with a mail of theirs that is signed by the one until now.",
}


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What is encrypted to a person, in a case or in all of a mailbox, from one moment on; None is no key."""

    address: str
    old: PublicKey | None
    new: PublicKey | None
    how: str
    at: datetime
    case: CaseRecord | None = None
    by: str = ""  # who did it on the host


def pin_on_host(tx: Transaction, mailbox: Mailbox, correspondence: Correspondence, pin: Pin) -> bool:
    """Pin the key and tell of it. False where the very same is pinned already. Raises: NotFound."""
    case = tx.case_for_update(pin.case_id) if pin.case_id is not None else None
    old = key_in_force(tx, mailbox, pin.address, pin.case_id)
    if not tx.pin(pin):
        return False
    _record_and_tell(tx, mailbox, correspondence, pin.address, old, case, pin.by, pin.pinned_at)
    return True


def unpin_on_host(
    tx: Transaction,
    mailbox: Mailbox,
    correspondence: Correspondence,
    address: str,
    case_id: CaseId | None,
    by: str,
    now: datetime,
) -> list[str]:
    """Take the key away and tell of it. Returns the fingerprints that are no longer pinned. Raises: NotFound."""
    case = tx.case_for_update(case_id) if case_id is not None else None
    old = key_in_force(tx, mailbox, address, case_id)
    gone = tx.unpin(mailbox.name, address, case_id, now)
    if gone:
        _record_and_tell(tx, mailbox, correspondence, address, old, case, by, now)
    return gone


def key_in_force(tx: Transaction, mailbox: Mailbox, address: str, case: CaseId | None) -> PublicKey | None:
    """What is pinned to an address, in the case before all of the mailbox."""
    return next((pin.key for pin in tx.pins(mailbox.name, case) if pin.address == address.lower()), None)


def _record_and_tell(
    tx: Transaction,
    mailbox: Mailbox,
    correspondence: Correspondence,
    address: str,
    old: PublicKey | None,
    case: CaseRecord | None,
    by: str,
    now: datetime,
) -> None:
    new = key_in_force(tx, mailbox, address, case.id if case is not None else None)
    if _fingerprint(old) == _fingerprint(new):
        return  # renewed by its owner, or of no effect
    change = KeyChange(address.lower(), old, new, HOST, now, case, by)
    if case is not None:
        tx.add_journal([_entry(change, case)], now)
    mails = [*to_person(tx, mailbox, correspondence, change), *to_maintainers(mailbox, correspondence, change)]
    tx.add_mails(mails, now, now + correspondence.lifetime)


def _entry(change: KeyChange, case: CaseRecord) -> JournalEntry:
    event, key = (Event.KEY_UNPINNED, change.old) if change.new is None else (Event.KEY_PINNED, change.new)
    data: dict[str, object] = {"address": change.address, "fingerprint": _fingerprint(key), "how": HOST}
    return JournalEntry(case.id, event, change.by, data)


def to_person(
    tx: Transaction,
    mailbox: Mailbox,
    correspondence: Correspondence,
    change: KeyChange,
    ways: Sequence[str] = (OLD, NEW),
) -> list[NewMail]:
    """One mail by each way. Of the same change there is one, however often it is told."""
    case = change.case
    if change.address in mailbox.own_addresses or (case is not None and case.quiet):
        return []
    role = _role(mailbox, change)
    context = mailbox.identity() | {
        "reference": case.state.ref if case is not None else "",
        "unsure": case is not None and case.unsure,
        "party": Party.MAINTAINER.value if role == Party.MAINTAINER else Party.REPORTER.value,
        "old": _spoken(change.old),
        "new": _spoken(change.new),
        "how": _TOLD_PERSON[change.how],
        "at": written_moment(change.at),
    }
    return [
        correspondence.in_case(
            mailbox,
            f"{_cause(change)}/{way}",
            TO_PERSON,
            change.address,
            role,
            context | {"way": _packed(change.old if way == OLD else change.new)},
            case=case.id if case is not None else None,
            thread=_thread(tx, mailbox, correspondence, change, role),
        )
        for way in ways
    ]


def to_maintainers(mailbox: Mailbox, correspondence: Correspondence, change: KeyChange) -> list[NewMail]:
    """One to each but the person. Who reports something sealed, or may, is named to those alone whose key we have."""
    case = change.case
    hidden = case.sealed if case is not None else not mailbox.is_maintainer(change.address)
    by = f"It was done on the host, by {clean(change.by)}." if change.by else "It was done on the host."
    shown: dict[str, object] = {
        "address": change.address,
        "old": _spoken(change.old),
        "new": _spoken(change.new),
        "how": _TOLD_MAINTAINERS.get(change.how, by),
    }
    context = mailbox.identity() | {
        "reference": case.state.ref if case is not None else "",
        "unsure": case is not None and case.unsure,
        "sealed": hidden,
        "at": written_moment(change.at),
    }
    context |= dict.fromkeys(shown, "") if hidden else shown
    if hidden and mailbox.openpgp:
        context["within"] = shown | {"sealed": False}
    return [
        correspondence.in_case(
            mailbox,
            _cause(change),
            TO_MAINTAINERS,
            maintainer.address,
            Party.MAINTAINER.value,
            context,
            case=case.id if case is not None else None,
            thread=_of_maintainers(mailbox, correspondence, change),
        )
        for maintainer in mailbox.maintainers
        if maintainer.address.lower() != change.address
    ]


def way_of(row: OutboundClaim) -> PublicKey | None:
    """The key that a mail to the person is encrypted to; None for one that goes out in clear."""
    packed = row.context.get("way")
    if not isinstance(packed, dict) or not packed:
        return None
    return PublicKey(str(packed["fingerprint"]), b64decode(str(packed["data"])))


def _packed(key: PublicKey | None) -> dict[str, object]:
    """The key goes with the row: once another one is pinned it is nobody's any more."""
    return {} if key is None else {"fingerprint": key.fingerprint, "data": b64encode(key.data).decode()}


def _role(mailbox: Mailbox, change: KeyChange) -> str:
    if mailbox.is_maintainer(change.address):
        return Party.MAINTAINER.value
    invited = change.case.state.participants if change.case is not None else ()
    return "participant" if change.address in {one.lower() for one in invited} else Party.REPORTER.value


def _thread(
    tx: Transaction, mailbox: Mailbox, correspondence: Correspondence, change: KeyChange, role: str
) -> ThreadIds:
    if role == Party.MAINTAINER or change.case is None:
        return _of_maintainers(mailbox, correspondence, change)
    return tx.thread_with(change.case.id, change.address)


def _of_maintainers(mailbox: Mailbox, correspondence: Correspondence, change: KeyChange) -> ThreadIds:
    if change.case is None:
        return ThreadIds(None, ())
    root = correspondence.thread_root(mailbox, change.case.state.ref)
    return ThreadIds(root, (root,))


def _cause(change: KeyChange) -> str:
    scope = f"case:{change.case.state.ref}" if change.case is not None else "mailbox"
    keys = f"{_fingerprint(change.old)}:{_fingerprint(change.new)}"
    return f"{scope}/key:{change.address}:{keys}:{change.at:%Y-%m-%dT%H:%M:%S}"


def _fingerprint(key: PublicKey | None) -> str:
    return key.fingerprint if key is not None else ""


def _spoken(key: PublicKey | None) -> str:
    return key.spoken if key is not None else ""
