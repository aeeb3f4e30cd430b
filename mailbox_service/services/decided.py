"""One message, decided, and what is written of it: its entry in the journal, its line in a collected mail, its row."""

from __future__ import annotations

from dataclasses import dataclass

from mailbox_service.core.case import Event
from mailbox_service.core.delivery_report import Fate
from mailbox_service.core.message import Encryption
from mailbox_service.core.routing import Answer, Disposition, Outcome, Routing, answer_refusal
from mailbox_service.services.conversation import Said
from mailbox_service.services.correspondence import NO_OUTLOOK, Outlook
from mailbox_service.services.mailboxes import Mailbox
from mailbox_service.services.ports import (
    MARK_OF,
    CaseId,
    CollectedItem,
    Finished,
    JournalEntry,
    KnownOutbound,
    OpenCase,
)
from mailbox_service.services.triage import duplicate_hint, hints_written
from mailbox_service.services.understanding import Understood
from mailbox_service.sorting.triage import Hint

DECIDED_BY_PERSON = "decided by a person"
SUBJECT_CHARS = 500


@dataclass(slots=True)
class Decision:
    understood: Understood
    mailbox: Mailbox
    routing: Routing
    case: OpenCase | None
    answer: Answer
    no_answer: str
    related: OpenCase | None = None  # the case of this very batch that it names without proof
    returned: KnownOutbound | None = None  # the mail of ours that came back with it
    answered: KnownOutbound | None = None  # the mail of ours that it answers, which went to its From
    outward: bool = False  # it came to the address that answers the reporter
    outlook: Outlook = NO_OUTLOOK  # what a notice of it says can be done next, and what is due
    owed: bool = False  # the sender's own limit is reached: acknowledged together with others, once a day

    @property
    def unreadable_bounce(self) -> bool:
        """A mail of ours came back, and what became of it is not said in words we know."""
        report, returned = self.understood.report, self.returned
        return report is not None and returned is not None and report.about(returned.recipient).fate is Fate.UNKNOWN

    @property
    def said(self) -> Said | None:
        """What it says in a conversation; None where it is none, or lay there before we came."""
        if self.answered is None or self.understood.claim.quiet or self.routing.silent:
            return None
        if self.routing.disposition is Disposition.ATTACHED and self.case is not None and self.case.id is not None:
            return Said(self.understood, self.mailbox, self.case.id, self.answered, self.outward)
        if self.routing.disposition is Disposition.ANSWER:
            return Said(self.understood, self.mailbox, None, self.answered)
        return None

    @property
    def hints(self) -> list[Hint]:
        """For the maintainers, about the case that the message opens."""
        if self.case is None or self.case.sealed or self.routing.with_redirected is not None:
            return []
        duplicate = duplicate_hint(self.case)
        return [*self.understood.triage.hints, *([duplicate] if duplicate is not None else [])]

    @property
    def relation(self) -> str | None:
        """The reference of the case that it probably belongs to."""
        return self.routing.relation or (self.related.ref if self.related is not None else None)


def as_decided(understood: Understood, decided: str, mailbox: Mailbox) -> Routing:
    refusal = answer_refusal(understood.subject, ack_unauthenticated=mailbox.ack_unauthenticated)
    if decided == Disposition.CASE:
        answer = Answer.NOTHING if refusal else Answer.ACKNOWLEDGEMENT
        return Routing(Disposition.CASE, DECIDED_BY_PERSON, answer=answer, no_answer=refusal)
    if decided == Disposition.REDIRECT:
        answer = Answer.NOTHING if refusal else Answer.REDIRECT
        return Routing(Disposition.REDIRECT, DECIDED_BY_PERSON, answer=answer, no_answer=refusal)
    return Routing(Disposition.SPAM, DECIDED_BY_PERSON)


def entry_of(decision: Decision, case: CaseId) -> JournalEntry:
    understood, routing = decision.understood, decision.routing
    event = {
        Disposition.CASE: Event.OPENED,
        Disposition.ATTACHED: Event.MESSAGE_ADDED,
    }.get(routing.disposition, Event.AUTOMATIC_REPLY)
    actor = understood.message.from_.addr_spec if understood.message.from_ else ""
    return JournalEntry(
        case,
        event,
        actor,
        {
            "message": int(understood.claim.id),
            "why": routing.why,
            "authentication": understood.authentication.result.value,
            "authentication_method": understood.authentication.method,
            "answer": decision.answer.value,
            "no_answer": decision.no_answer,
        }
        | ({"verified": routing.verified} if event is Event.MESSAGE_ADDED else {})
        | ({"relation": decision.relation} if decision.relation else {})
        | ({"hints": hints_written(decision.hints)} if event is Event.OPENED and decision.hints else {}),
    )


def answered_of(decision: Decision) -> str:
    if decision.answer is Answer.ACKNOWLEDGEMENT:
        return "was acknowledged"
    later = " (acknowledged later, together with others)" if decision.owed else ""
    return f"was not acknowledged, because {decision.no_answer}{later}"


def item_of(decision: Decision, channel: str, section: str, recipient: str = "", *, why: str = "") -> CollectedItem:
    understood = decision.understood
    return CollectedItem(
        mailbox=decision.mailbox.name,
        channel=channel,
        section=section,
        line=why or decision.routing.why,
        recipient=recipient,
        message_id=understood.claim.id,
        case_id=decision.case.id if decision.case else None,
    )


def finished_of(decision: Decision) -> Finished:
    understood, routing = decision.understood, decision.routing
    message, verdict = understood.message, understood.verdict
    return Finished(
        claim=understood.claim,
        held=routing.disposition is Disposition.HOLD,
        disposition=routing.disposition,
        mark=MARK_OF[routing.disposition],
        why=routing.why,
        no_answer=decision.no_answer,
        case_id=decision.case.id if decision.case else None,
        outcome=Outcome(verdict.outcome).value,
        security=verdict.security,
        spam=verdict.spam,
        reasons=tuple({"label": r.label, "towards": r.towards, "weight": round(r.weight, 2)} for r in verdict.reasons),
        sender=message.from_.addr_spec if message.from_ else "",
        subject=message.subject[:SUBJECT_CHARS],
        header_message_id=message.message_id,
        content_sha256=understood.content_sha256,
        encrypted=message.encryption is not Encryption.NONE,
        model=understood.model,
    )
