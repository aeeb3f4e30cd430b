"""The door of the conversations: what a message that answers one of our mails says, from T3's side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mailbox_service.core.budget import turns_key
from mailbox_service.core.case import CaseState, Party, Resolution
from mailbox_service.core.message import Encryption
from mailbox_service.services import key_news
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.conduct import take_turn
from mailbox_service.services.conversation.desk import take_desk_turn
from mailbox_service.services.conversation.letters import Letters
from mailbox_service.services.conversation.signatures import goes_outward, with_signature
from mailbox_service.services.conversation.speakers import Speaker, speaker_of
from mailbox_service.services.conversation.turn import Heard, Turn
from mailbox_service.services.correspondence import Correspondence, Outlook, travels_along, without_fingerprints
from mailbox_service.services.first_use import take_key
from mailbox_service.services.key_news import KeyChange
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import (
    CaseId,
    CaseRecord,
    CollectedItem,
    KnownOutbound,
    NewMail,
    Transaction,
)
from mailbox_service.services.ports.openpgp import OpenPgp
from mailbox_service.services.understanding import Understood

# Nobody writes more in an hour to one case. A mail program that answers by itself, and says nowhere that it is one,
# is heard no more often than this.
TURNS_AN_HOUR = 20


@dataclass(frozen=True, slots=True)
class Said:
    """A message that answers `answered`, a mail of ours that went to its From. `case` None: a digest, say."""

    understood: Understood
    mailbox: Mailbox
    case: CaseId | None
    answered: KnownOutbound
    outward: bool = False  # it came to the address that answers the reporter


def hear(
    tx: Transaction, said: Said, correspondence: Correspondence, now: datetime, door: OpenPgp | None = None
) -> tuple[Heard, list[NewMail], list[CollectedItem]]:
    """What comes of it, with the mails and the lines for collected mails that follow."""
    letters = Letters(tx, correspondence, said.mailbox, f"message:{said.understood.claim.id}", now, door)
    record = _record(tx, said, said.case) if said.case is not None else None
    speaker = speaker_of(said.understood, said.mailbox, record, said.answered)
    if speaker is None:
        return Heard(told=False, verified=False), [], []
    speaker = with_signature(
        tx,
        speaker,
        said.understood.content,
        mailbox=said.mailbox.name,
        case=record.id if record is not None else None,
        number=said.understood.claim.id,
        answered=said.answered,
        now=now,
    )
    # Whoever holds a token alone must not use up what its owner may say.
    who = speaker.address if speaker.evidence.proven else f"{speaker.address}/unproven"
    key = turns_key(said.mailbox.name, record.state.ref if record is not None else "", who, now)
    if tx.budgets([key]).get(key, 0) >= TURNS_AN_HOUR:
        return Heard(told=True, verified=False), [], [_too_many(said)]
    tx.spend({key: 1})
    if record is None:
        return take_desk_turn(tx, said.understood, said.answered, speaker, letters), letters.mails, []
    journal = tuple(tx.journal_after(record.id, said.answered.created_at))
    attached = travels_along(said.mailbox, said.understood, sealed=record.sealed)
    outward = said.outward and goes_outward(speaker.evidence, authenticated=speaker.evidence.authenticated)
    turn = Turn(said.understood, record, speaker, said.answered, attached, journal, outward=outward)
    heard = replace(take_turn(turn, letters), outlook=outlook(record.state, said.mailbox), sealed=record.sealed)
    if speaker.party is not Party.REPORTER:
        return heard, letters.mails, []
    remark = _take_key(said, record, speaker, letters)
    if remark and heard.told:
        line = without_fingerprints(remark) if record.sealed else remark
        return heard, letters.mails, [_for_the_digest(said, line)]
    return replace(heard, remark=remark), letters.mails, []


def _take_key(said: Said, record: CaseRecord, speaker: Speaker, letters: Letters) -> str:
    """Pin a key that came with the mail, where it may be, and tell of it; or a line about one that may not."""
    tx, now = letters.tx, letters.now
    taken = take_key(
        tx, said.mailbox, record.id, said.understood, authenticated=speaker.evidence.authenticated, now=now
    )
    tx.add_journal(list(taken.journal), now)
    if taken.pinned is not None:
        pin = taken.pinned
        change = KeyChange(pin.address, taken.former, pin.key, pin.how, now, record)
        letters.mails += key_news.to_person(tx, said.mailbox, letters.correspondence, change)
        letters.mails += key_news.to_maintainers(said.mailbox, letters.correspondence, change)
    return taken.remark


def outlook(state: CaseState, mailbox: Mailbox) -> Outlook:
    """What can be done next with a case, and what is due."""
    return Outlook(tuple(contexts.next_lines(state)), tuple(contexts.due_lines(state, mailbox)))


def _record(tx: Transaction, said: Said, case: CaseId) -> CaseRecord:
    """The case, or the last one of those that have taken it in: there its reporters are heard.

    Maintainers speak of the case whose mail they answer. What has come together is sealed together.
    """
    record = tx.case_for_update(case)
    way = [record.id]
    while said.answered.role != Party.MAINTAINER:
        merged = record.state.resolution is Resolution.DUPLICATE and record.state.duplicate_of
        into = tx.case_named(record.mailbox, record.state.duplicate_of or "") if merged else None
        if into is None or into in way:
            break
        target = tx.case_for_update(into)
        if said.understood.sender_key not in {address.lower() for address in target.state.reporters}:
            break
        sealed = record.sealed or target.sealed
        record = replace(target, sealed=sealed)
        way.append(record.id)
    if said.understood.message.encryption is not Encryption.NONE:
        record = replace(record, sealed=True)
    if record.sealed:
        tx.seal(way)
    return record


def _too_many(said: Said) -> CollectedItem:
    return _for_the_digest(said, f"one of more than {TURNS_AN_HOUR} messages of one sender to one case in an hour")


def _for_the_digest(said: Said, line: str) -> CollectedItem:
    return CollectedItem(
        mailbox=said.mailbox.name,
        channel="digest",
        section="unsure",
        line=line,
        message_id=said.understood.claim.id,
        case_id=said.case,
    )
