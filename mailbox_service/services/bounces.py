"""A mail of ours came back: what is believed, and what follows.

Whoever sends a bounce must know what only the recipient of that mail, and the servers on the way, can know: the keyed
envelope sender, or the Message-ID in the returned message (RFC 3464 §4.1: anybody can forge the rest). All that such
knowledge can do is to tell people; it stops no mail to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mailbox_service.core.automatic import Automatic
from mailbox_service.core.bounce_address import is_of
from mailbox_service.core.budget import AnswerBudget, Key, bounces_key, failures_key
from mailbox_service.core.case import Event
from mailbox_service.core.delivery_report import Fate, RecipientReport
from mailbox_service.core.tokens import TokenKey
from mailbox_service.services.correspondence import UNMOURNED, Correspondence
from mailbox_service.services.mailboxes import Mailbox, clean
from mailbox_service.services.ports import (
    Bounced,
    CollectedItem,
    JournalEntry,
    KnownOutbound,
    MessageId,
    NewMail,
    OpenCase,
    OutboundClaim,
    OutboundId,
    Transaction,
)
from mailbox_service.services.understanding import Understood

_MACHINES = (Automatic.BOUNCE, Automatic.RECEIPT, Automatic.REPLY)
# Status codes (RFC 3463) that speak of the content: a notice without its attachment may pass where it did not.
_TOO_LARGE = ("5.2.3", "5.3.4")
_CONTENT = ("5.6.", "5.7.")


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report, in an inbound message, of what became of one row of the outbox. It proved that it knows the row."""

    message: MessageId
    mail: OutboundId
    recipient: str
    mailbox: Mailbox
    case: OpenCase | None
    report: RecipientReport
    quiet: bool  # nobody is told, as of all that was in the mailbox before us


@dataclass(slots=True)
class Told:
    """What follows from bounces."""

    journal: list[JournalEntry] = field(default_factory=list)
    mails: list[NewMail] = field(default_factory=list)
    collected: list[CollectedItem] = field(default_factory=list)
    spent: dict[Key, int] = field(default_factory=dict)  # to be added to the budgets
    unheard: list[str] = field(default_factory=list)  # mailboxes of which a notice reached no maintainer at all


def named_by_address(
    understood: Understood, known: Mapping[OutboundId, KnownOutbound], key: TokenKey
) -> list[KnownOutbound]:
    """The rows to whose keyed envelope sender a machine has written; a person proves nothing by writing there."""
    if understood.automatic.kind not in _MACHINES:
        return []
    mailbox = understood.claim.mailbox
    rows = ((token, known.get(OutboundId(token.row))) for token in understood.bounce_tokens)
    return [
        row
        for token, row in rows
        if row is not None and row.mailbox == mailbox and is_of(token, key, mailbox=mailbox, message_id=row.message_id)
    ]


def returned_mail(
    understood: Understood, by_address: Sequence[KnownOutbound], named: Mapping[str, Sequence[KnownOutbound]]
) -> KnownOutbound | None:
    """The mail of ours that came back with this bounce; None where nothing proves one.

    In the returned message only the outermost of our Message-IDs counts: a notice carries others' mail inside.
    What References or In-Reply-To name was perhaps only quoted somewhere.
    """
    if understood.automatic.kind is not Automatic.BOUNCE:
        return None
    returned = (row for name in understood.message.returned_message_ids for row in named.get(name, ()))
    return next((row for row in (*by_address, *returned) if row.mailbox == understood.claim.mailbox), None)


def tell(tx: Transaction, bounces: Iterable[Bounce], correspondence: Correspondence, now: datetime) -> Told:
    """Record what failed, and say who hears of it. A row comes back once, however many reports tell so."""
    failed = {bounce.mail: bounce for bounce in bounces if bounce.report.fate.failed}
    told = Told()
    if not failed:
        return told
    rows = tx.bounced([Bounced(id_, _what(bounce.report)) for id_, bounce in failed.items()], now)
    budget = AnswerBudget(tx.budgets(sorted({key for row in rows for key in _keys(failed[row.id], now)})))
    for row in rows:
        bounce = failed[row.id]
        told.journal += _event(bounce, row)
        if not bounce.quiet:
            _tell(told, bounce, row, correspondence, budget, now)
    told.spent |= budget.spent
    told.unheard += unheard(tx, rows)
    return told


def unheard(tx: Transaction, failed: Sequence[OutboundClaim]) -> list[str]:
    """The mailboxes of which a notice reached no maintainer, now that these mails have come back."""
    causes = {row.cause: row.mailbox for row in failed if row.role == "maintainer"}
    return sorted({causes[cause] for cause in tx.reached_nobody(list(causes))}) if causes else []


def _tell(
    told: Told,
    bounce: Bounce,
    row: OutboundClaim,
    correspondence: Correspondence,
    budget: AnswerBudget,
    now: datetime,
) -> None:
    mailbox, report = bounce.mailbox, bounce.report
    attached = row.attached_message is not None and row.role == "maintainer"
    if attached and report.status.startswith((*_TOO_LARGE, *_CONTENT)):
        told.mails.append(correspondence.without_attachment(mailbox, row))
    elif row.kind in UNMOURNED:
        return
    elif row.role == "maintainer":
        # Once a day: whoever cannot be reached misses everything, and one mail says so.
        if budget.count(bounces_key(mailbox.name, row.recipient, now)) == 1:
            told.mails += correspondence.bounce(mailbox, row, report, bounce.message, bounce.case)
    elif bounce.case is None:
        told.collected.append(_undelivered(bounce, row))
    elif budget.count(failures_key(mailbox.name, now)) > mailbox.notices.collect_above_per_hour:
        # Forged senders by the hundred, whose servers refuse our answers, must not become as many notices.
        told.collected.append(_undelivered(bounce, row))
    else:
        told.mails += correspondence.bounce(mailbox, row, report, bounce.message, bounce.case)


def _keys(bounce: Bounce, now: datetime) -> tuple[Key, Key]:
    return failures_key(bounce.mailbox.name, now), bounces_key(bounce.mailbox.name, bounce.recipient, now)


def _what(report: RecipientReport) -> str:
    kind = "came back" if report.fate is Fate.HARD else "came back after temporary errors"
    return clean(" ".join(f"{kind}: {report.status} {report.diagnostic}".split())).rstrip(": ")


def _event(bounce: Bounce, row: OutboundClaim) -> list[JournalEntry]:
    if bounce.case is None or bounce.case.id is None:
        return []
    data: dict[str, object] = {
        "mail": int(row.id),
        "kind": row.kind,
        "role": row.role,
        "message": int(bounce.message),
        "bounce": bounce.report.fate.value,
        "status": bounce.report.status,
        "reply": clean(bounce.report.diagnostic),
    }
    return [JournalEntry(bounce.case.id, Event.BOUNCED, "outbox", data)]


def _undelivered(bounce: Bounce, row: OutboundClaim) -> CollectedItem:
    return CollectedItem(
        mailbox=bounce.mailbox.name,
        channel="digest",
        section="undelivered",
        line=f"our {row.kind} {_what(bounce.report)}"[:200],
        message_id=row.about_message,
        case_id=bounce.case.id if bounce.case is not None else None,
    )
