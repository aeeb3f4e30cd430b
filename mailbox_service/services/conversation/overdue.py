"""What falls due in the cases: reminders to people, and the little that the service does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailbox_service.core.authority import Evidence
from mailbox_service.core.case import Audience, Clock, Due, Party, due, next_due
from mailbox_service.core.evidence import Authentication, AuthResult
from mailbox_service.services.conversation import contexts
from mailbox_service.services.conversation.casework import Work, reporter_wrote
from mailbox_service.services.conversation.letters import Letters, Words
from mailbox_service.services.conversation.speakers import Speaker
from mailbox_service.services.correspondence import LISTED_LINES, Correspondence
from mailbox_service.services.mailboxes import Mailboxes, written_moment
from mailbox_service.services.ports import CaseRecord, NewMail, Transaction

# Of one look. What is left comes with the next one, moments later.
CASES_AT_ONCE = 500
# More reminders than these come in one mail: after a flood of reports nobody wants as many reminders.
REMINDERS_APART = 5

THE_SERVICE = Speaker(
    Party.SERVICE,
    "",
    "",
    Evidence(False, Authentication(AuthResult.NONE, "", "the service itself"), obtainable=False, on_host=True),
)
# What is due, as the reminder's first sentence names it.
SENTENCES = {
    Clock.FIRST_RESPONSE: "the reporter was promised a first answer by a person",
    Clock.UPDATE: "the reporter should hear how it stands, even if nothing changed",
    Clock.PROMISE: "the reporter was promised a word by this date",
    Clock.VERDICT: "the reporter was asked to try the fix and did not answer; you decide whether it holds",
    Clock.EMBARGO: "the embargo ends",
    Clock.PUBLICATION: "the release is out, and the advisory is due",
}
UNANSWERED = "the reporter wrote after our questions, without proof of who they are; nobody has answered yet"


@dataclass(frozen=True, slots=True)
class Reminder:
    """Something that a person has to look after."""

    record: CaseRecord
    cause: str
    sentence: str
    end: datetime
    only: str  # the address of the owner; empty for all maintainers


def fall_due(tx: Transaction, mailboxes: Mailboxes, correspondence: Correspondence, now: datetime) -> list[NewMail]:
    """The mails of all that is due now. The service's own steps are written."""
    mails: list[NewMail] = []
    reminders: dict[str, list[Reminder]] = {}
    for number in tx.cases_to_look_at(now, sorted(mailboxes), CASES_AT_ONCE):
        record = tx.case_for_update(number)
        mailbox = mailboxes[record.mailbox]
        letters = Letters(tx, correspondence, mailbox, f"case:{record.state.ref}", now)
        for item in due(record.state, mailbox.policy, now):
            record = _fallen(record, item, letters, reminders.setdefault(record.mailbox, []))
        tx.set_next_due(record.id, next_due(record.state, mailbox.policy, now))
        mails += letters.mails
    for name, found in reminders.items():
        letters = Letters(tx, correspondence, mailboxes[name], "", now)
        if len(found) <= REMINDERS_APART:
            for reminder in found:
                _remind(reminder, letters)
        else:
            _remind_together(found, letters)
        mails += letters.mails
    return mails


def _fallen(record: CaseRecord, item: Due, letters: Letters, reminders: list[Reminder]) -> CaseRecord:
    letters.cause = f"case:{record.state.ref}/due/{item.key}"
    if item.action is None or reporter_wrote(letters.tx, record, record.state.since):
        # Whoever closed the case now would tell a person who answered that they did not.
        sentence = SENTENCES.get(item.clock, "") if item.action is None else UNANSWERED
        only = letters.owner_of(record) if item.to is Audience.OWNER else ""
        reminders.append(Reminder(record, letters.cause, sentence, item.end, only))
        return record
    work = Work(record, THE_SERVICE, letters.mailbox, letters.now)
    work.do(item.action)
    letters.tell(work, Words(), "the service")
    work.write(letters.tx, {"due": item.key})
    return letters.tx.case_for_update(record.id)


def _remind(reminder: Reminder, letters: Letters) -> None:
    record = reminder.record
    context = contexts.for_maintainers(record, letters.mailbox, who="the service") | {
        "clock": reminder.sentence,
        "end": written_moment(reminder.end),
        "overdue": letters.now >= reminder.end,
    }
    letters.to_maintainers(record, "reminder", context, only=reminder.only, cause=reminder.cause)


def _remind_together(reminders: Sequence[Reminder], letters: Letters) -> None:
    """One list for each maintainer, of what they would have been reminded of one by one."""
    for maintainer in letters.mailbox.maintainers:
        theirs = [one for one in reminders if one.only.lower() in ("", maintainer.address.lower())]
        records = list({one.record.id: one.record for one in theirs}.values())
        if records:
            context = letters.mailbox.identity() | {
                "cases": [contexts.listed(record, letters.mailbox) for record in records[:LISTED_LINES]],
                "more": max(len(records) - LISTED_LINES, 0),
            }
            letters.outside(f"due/{theirs[0].cause}", "reminders", maintainer.address, context)
