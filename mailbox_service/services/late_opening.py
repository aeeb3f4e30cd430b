"""A message that nobody could read when it came, told of once more when its key is there.

The maintainers are shown it like any message of a sealed case (services/filling): whole where we have their key, and as
a notice without content else. Nothing that it asks for is done: what its author knew of the case then may be wrong now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mailbox_service.core.case import Event
from mailbox_service.core.evidence import AuthResult
from mailbox_service.core.message import parse
from mailbox_service.errors import Refused
from mailbox_service.services.conversation import outlook
from mailbox_service.services.correspondence import Correspondence, Late
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.opening import ciphertext_of
from mailbox_service.services.ports import CaseId, CaseRecord, MessageId, Transaction


def tell_of_opened(
    tx: Transaction, mailbox: Mailbox, correspondence: Correspondence, message: MessageId, now: datetime
) -> int:
    """Tell the maintainers that `message`, which the caller has opened, can be read. Returns how many mails that makes:
    each is told once, so 0 where all were.

    Raises: NotFound; Refused where the message is in no case, or where what is in it came first with another one.
    """
    row = tx.message_row(message)
    if row["case_id"] is None:
        raise Refused(f"message {message} is in no case; message sort {message} --as case makes it one")
    raw = tx.raw(message)
    digest = ciphertext_of(raw)
    first = tx.ciphertexts(mailbox.name, [digest]).get(digest, message) if digest else message
    if first != message:
        raise Refused(
            f"the same encrypted content came first with message {first}; whoever sent it once more need not be its "
            "author, so it is not shown in this case"
        )
    record = tx.case_for_update(CaseId(int(str(row["case_id"]))))
    outer = parse(raw)
    late = Late(
        message,
        outer.from_.addr_spec if outer.from_ is not None else "",
        _received_at(row["received_at"]),
        *_proof(tx, record, message),
        outlook(record.state, mailbox),
    )
    mails = correspondence.notice_late(mailbox, late, record)
    told = {mail.message_id for mail in tx.outbound_named([mail.message_id for mail in mails])}
    tx.add_mails(mails, now, now + correspondence.lifetime)
    return sum(mail.message_id not in told for mail in mails)


def _received_at(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("received_at is no date")
    return value


def _proof(tx: Transaction, record: CaseRecord, message: MessageId) -> tuple[str, bool]:
    """What proved its author when it came, in words, and whether that counts."""
    entries = tx.journal_after(record.id, record.state.opened_at - timedelta(days=1))
    entry = next(
        (
            e
            for e in entries
            if e.event in (Event.OPENED, Event.MESSAGE_ADDED) and e.data.get("message") == int(message)
        ),
        None,
    )
    if entry is None:
        return "not known any more", False
    result, method = str(entry.data.get("authentication")), str(entry.data.get("authentication_method") or "")
    proof = " ".join(part for part in (method.upper(), result) if part)
    return proof, bool(entry.data.get("verified", result == AuthResult.PASS))
